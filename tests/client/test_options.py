"""What the options of connect mean together with a configuration; connections: test_connect.py."""

from __future__ import annotations

from typing import Any, cast

import pytest

import nacre
from nacre.client.options import (
    DEFAULT,
    NO_OPTIONS,
    ConnectOptions,
    algorithms_of,
    identities_of,
    known_hosts_of,
)
from nacre.client.target import Target
from nacre.config.client.files import parse

TARGET = Target("host", "host", 22, "alice")
KEY = nacre.generate("ssh-ed25519")


@pytest.mark.parametrize(
    ("words", "given", "methods"),
    [
        ([], {}, ("publickey", "password", "keyboard-interactive")),
        (
            ["HostbasedAuthentication=yes"],
            {},
            ("hostbased", "publickey", "password", "keyboard-interactive"),
        ),
        (["PasswordAuthentication=no", "KbdInteractiveAuthentication=no"], {}, ("publickey",)),
        (
            ["PreferredAuthentications=password,publickey", "PasswordAuthentication=no"],
            {"password": "secret"},
            ("password", "publickey"),
        ),
        (["PubkeyAuthentication=no", "PasswordAuthentication=no"], {"keys": [KEY]}, ("publickey",)),
    ],
)
def test_the_methods_of_a_login(words: list[str], given: dict[str, Any], methods: Any) -> None:
    words = [*words, "KbdInteractiveAuthentication=no"] if "keys" in given else words
    options = cast("ConnectOptions", {**NO_OPTIONS, **given, "agent": False})
    trust = nacre.AnyHostKey()
    found = identities_of(TARGET, parse(words), options, (), trust, lambda: None)
    assert found._methods == methods
    assert (found.vouching is not None) == ("hostbased" in methods)


def test_algorithms_are_those_of_the_files_unless_a_profile_is_given() -> None:
    config = parse(["Ciphers=aes128-ctr"])
    assert algorithms_of(None, config).ciphers == ("aes128-ctr",)
    assert "ssh-rsa" in algorithms_of("legacy", parse([])).signatures
    assert "ssh-rsa" not in algorithms_of(None, parse([])).signatures


def test_a_new_host_is_refused_unless_a_file_says_otherwise() -> None:
    for words, strict in (([], "yes"), (["StrictHostKeyChecking=accept-new"], "accept-new")):
        found = cast("Any", known_hosts_of(DEFAULT, TARGET, parse(["Port=22", *words])))
        assert found._strict == strict
