"""The settings for LDAP, and what is made of an entry; tests/interop has a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from nacre.daemon.accounts.directories.ldap import LDAPSettings, _is_key, _setting
from nacre.errors import AccountError, ConfigurationError
from nacre.keys import generate

BASE = 'base = "dc=example"\n'
LOCAL = 'url = "ldap://127.0.0.1"\n'


def read(directory: Path, text: str) -> LDAPSettings:
    path = directory / "ldap.toml"
    path.write_text(text)
    return LDAPSettings.read(str(path))


def test_what_is_usual(tmp_path: Path) -> None:
    found = read(tmp_path, LOCAL + BASE + '[groups]\n"CN=Staff,DC=example" = "staff"\n')
    assert (found.filter, found.name_attribute) == ("(objectClass=*)", "uid")
    assert (found.key_attribute, found.member_attribute) == ("sshPublicKey", "member")
    assert found.groups == {"cn=staff,dc=example": "staff"}


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text("hidden")
    bind = f'bind_dn = "cn=a"\npassword_file = "{secret}"\n'
    found = read(tmp_path, LOCAL + BASE + bind)
    assert found.password == "hidden"
    assert "hidden" not in repr(found)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LOCAL, "base is missing"),
        (BASE, "url is missing"),
        ('url = "ldap://192.0.2.1"\n' + BASE, "without TLS"),
        ('url = "ldap://ldap.example.com"\n' + BASE, "without TLS"),
        ('url = "ldap://"\n' + BASE, "without TLS"),
        ('url = "http://127.0.0.1"\n' + BASE, "no URL of ldaps"),
        ('url = "ldaps://127.0.0.1"\nstart_tls = true\n' + BASE, "start_tls is for"),
        (LOCAL + BASE + 'bind_dn = "cn=a"\n', "go together"),
        (LOCAL + BASE + 'ca_file = "/there/is/none"\n', "can't read the ca_file"),
        (LOCAL + BASE + 'scope = "one"\n', "no setting scope"),
        (LOCAL + BASE + '[attributes]\nkeys = "k"\n', "has a setting of its own"),
        (LOCAL + BASE + "[attributes]\nhome = 1\n", "what is no text"),
    ],
)
def test_what_is_wrong(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        read(tmp_path, text)


def test_values_of_attributes() -> None:
    assert _setting("rights", "r", ["/:list", "/in:*"]) == ["/:list", "/in:*"]
    assert _setting("home", "h", ["/home/a"]) == "/home/a"
    assert _setting("disabled", "d", ["TRUE"]) is True
    assert _setting("read_only", "r", ["false"]) is False
    assert _setting("max_sessions", "m", ["3"]) == 3
    for setting, values in (
        ("home", ["/a", "/b"]),
        ("disabled", ["maybe"]),
        ("max_sessions", ["many"]),
        ("expires", ["-1"]),
    ):
        with pytest.raises(AccountError):
            _setting(setting, "attribute", values)


def test_values_that_are_keys() -> None:
    key = str(generate("ssh-ed25519").public)
    assert _is_key(key)
    assert _is_key(f"{key} comment\n")
    assert not _is_key(f"{key}\n{key}")
    assert not _is_key("ssh-dss AAAA")
    assert not _is_key("")
