"""The command line of ssh-keyscan."""

from __future__ import annotations

import pytest

from nacre.cli.keyscan.arguments import DEFAULT_TYPES, parse_arguments
from nacre.errors import ConfigurationError


def test_what_is_scanned_by_default() -> None:
    made = parse_arguments(["host"])
    assert (made.hosts, made.port, made.timeout, made.family) == (["host"], 22, 5, "any")
    assert made.types == DEFAULT_TYPES
    assert made.hash_names == ("sha1", "sha256")


def test_options() -> None:
    words = ["-6", "-p", "2222", "-T1m", "-t", "ED25519,rsa", "-f", "a", "-f-", "-DHcqv"]
    made = parse_arguments([*words, "-O", "hashalg=sha256", "b", "c"])
    assert (made.port, made.timeout, made.family) == (2222, 60, "inet6")
    assert (made.types, made.files, made.hosts) == (("rsa", "ed25519"), ["a", "-"], ["b", "c"])
    assert made.hash_names == ("sha256",)
    assert all((made.records, made.hashed, made.certificates, made.quiet, made.verbose))


def test_a_type_may_be_named_by_an_algorithm() -> None:
    names = "ssh-rsa,ecdsa-sha2-nistp521,sk-ssh-ed25519@openssh.com"
    assert parse_arguments(["-t", names, "a"]).types == ("rsa", "ecdsa", "ed25519-sk")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "name the hosts"),
        (["-Z", "a"], "option -Z not recognized"),
        (["-p", "0", "a"], "bad port '0'"),
        (["-p", "65536", "a"], "bad port"),
        (["-t", "foo", "a"], "unknown type of key 'foo'"),
        (["-T", "x", "a"], "-T"),
        (["-T", "0", "a"], "a second or more"),
        (["-O", "hashalg=md5", "a"], "hashalg=sha1"),
        (["-O", "x", "a"], "bad value 'x'"),
    ],
    ids=str,
)
def test_what_is_refused(words: list[str], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        parse_arguments(words)
