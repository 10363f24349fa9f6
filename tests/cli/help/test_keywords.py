"""What ``nacre help KEYWORD`` says."""

from __future__ import annotations

import pytest

from nacre.cli.help.keywords import (
    SCHEMAS,
    default_of,
    describe,
    listed,
    options_of,
    similar,
)
from nacre.config.client.words import SCHEMA as CLIENT


@pytest.mark.parametrize("keyword", ["ProxyJump", "proxyjump", "MaxSessions"])
def test_a_keyword_in_any_case(keyword: str) -> None:
    text = describe(keyword)
    assert text is not None
    assert text.lower().startswith(keyword.lower())


def test_what_is_no_keyword() -> None:
    assert describe("ProxyJum") is None
    assert similar("ProxyJum") == "ProxyJump"
    assert similar("maxsession") == "MaxSessions"
    assert similar("zzzz") is None


def test_the_list_has_every_keyword() -> None:
    names = set(listed().split())
    for schema in SCHEMAS.values():
        assert {word.name for word in schema.words} <= names


def test_everything_about_a_keyword() -> None:
    assert (describe("identityfile") or "").splitlines() == [
        "IdentityFile (ssh_config: nacre ssh, sftp, scp, trace)",
        "",
        "  A private key to log in with.",
        "",
        "  values     a file, or none",
        "  default    ~/.ssh/id_ed25519, ~/.ssh/id_ecdsa, ~/.ssh/id_rsa and ~/.ssh/id_dsa",
        "  tokens     %C %d %h %i %j %k %L %l %n %p %r %u",
        "  variables  ${NAME} is the value of a variable of the environment",
        "  repeated   all values count",
        "  options    -i",
        "  support    honoured",
    ]


def test_why_a_keyword_is_not_honoured() -> None:
    text = " ".join((describe("KerberosOrLocalPasswd") or "").split())
    assert "support refused, except yes: nacre has no Kerberos" in text


def test_former_names() -> None:
    text = describe("ChallengeResponseAuthentication") or ""
    assert text.startswith("KbdInteractiveAuthentication (")
    assert "  former     ChallengeResponseAuthentication" in text
    assert describe("UseRoaming") == (
        "UseRoaming: a former keyword of ssh_config, which is accepted and ignored."
    )


def test_a_keyword_of_both_is_explained_for_both() -> None:
    text = describe("Ciphers") or ""
    assert "Ciphers (ssh_config: " in text
    assert "Ciphers (sshd_config: " in text


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("Port", "22"),
        ("User", "the local user's name"),
        ("ForwardAgent", "no"),
        ("ConnectTimeout", "none"),
        ("CanonicalizeMaxDots", "1"),
        ("BindAddress", ""),
        ("ProxyJump", ""),
    ],
)
def test_defaults(name: str, default: str) -> None:
    assert default_of("ssh_config", CLIENT[name]) == default


def test_defaults_of_algorithms() -> None:
    assert default_of("ssh_config", CLIENT["Ciphers"]).startswith("aes128-gcm@openssh.com, aes256-")


@pytest.mark.parametrize(
    ("name", "letters"),
    [("AddressFamily", ["4", "6"]), ("RequestTTY", ["T", "t"]), ("Tag", ["P"]), ("Match", [])],
)
def test_options_of_a_keyword(name: str, letters: list[str]) -> None:
    assert options_of(CLIENT[name]) == letters
