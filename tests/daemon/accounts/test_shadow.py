"""The shadow file: which accounts are closed, and which passwords are compared."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from nacre.daemon.accounts import shadow

TODAY = int(time.time()) // 86400
HOST = "192.0.2.1"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "shadow"
    monkeypatch.setattr(shadow, "_FILE", file)
    return file


def line(
    password: str = "*", changed: object = TODAY, maximum: object = "", expires: object = ""
) -> str:
    return f"root:*:1:0:99999:7:::\nalice:{password}:{changed}:0:{maximum}:7::{expires}:\n"


@pytest.mark.parametrize(
    ("fields", "with_key", "with_password"),
    [
        ({}, None, None),
        ({"password": "!$6$x"}, "the account is locked", "the account is locked"),
        ({"expires": TODAY}, "the account has expired", "the account has expired"),
        ({"expires": TODAY + 1}, None, None),
        ({"changed": 0}, None, "the password has expired"),
        ({"changed": TODAY - 10, "maximum": 9}, None, "the password has expired"),
        ({"changed": TODAY - 10, "maximum": 10}, None, None),
        ({"changed": "", "maximum": 1}, None, None),
    ],
)
def test_the_state_of_an_account_closes_it_to_keys_and_passwords(
    write: Path,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, object],
    with_key: str | None,
    with_password: str | None,
) -> None:
    write.write_text(line(**fields))  # type: ignore[arg-type]
    assert shadow.refusal("alice", None) == with_key
    monkeypatch.setattr(shadow, "_matches", lambda password, found, lines: True)
    assert shadow.refusal("alice", "x") == with_password


@pytest.mark.parametrize("text", ["", "bob:*:1:0:9:7:::\n", "alice:*:1\n", "alice\n"])
def test_an_account_without_a_whole_line_is_unknown(write: Path, text: str) -> None:
    write.write_text(text)
    assert shadow.refusal("alice", None) == "unknown"


def test_without_the_file_every_account_is_unknown(write: Path) -> None:
    assert shadow.refusal("alice", None) == "unknown"
    assert shadow.refusal("alice", "x") == "wrong password"


class Crypt:
    """crypt(3) that appends the password to the salt, and notes its calls."""

    def __init__(self) -> None:
        self.salts: list[bytes] = []

    def crypt(self, password: bytes, salt: bytes) -> bytes:
        self.salts.append(salt)
        return salt.rpartition(b"$")[0] + b"$" + password


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Crypt:
    library = Crypt()
    monkeypatch.setattr(shadow, "_library", lambda: library)
    return library


def test_a_password_is_compared_with_what_is_stored(write: Path, library: Crypt) -> None:
    write.write_text(line("$6$salt$secret"))
    assert shadow.refusal("alice", "secret") is None
    assert shadow.refusal("alice", "wrong") == "wrong password"
    assert shadow.refusal("alice", "secret\0") == "wrong password"


@pytest.mark.parametrize("stored", ["", "*", "x", "!$6$salt$secret", None])
def test_an_account_without_a_password_costs_one_hash_like_any_other(
    write: Path, library: Crypt, stored: str | None
) -> None:
    write.write_text("" if stored is None else line(stored))
    assert shadow.refusal("alice", "guess") == "wrong password"
    assert len(library.salts) == 1
    assert library.salts[0].startswith(b"$6$rounds=5000$")


@pytest.mark.parametrize("user", ["alice", "ghost"])
def test_that_hash_is_made_as_the_systems_passwords_are(
    write: Path, library: Crypt, user: str
) -> None:
    """Otherwise the time would tell which accounts have a password."""
    write.write_text(line("*") + "bob:$y$j9T$salt$secret:1:0:99999:7:::\n")
    assert shadow.refusal(user, "secret") == "wrong password"
    assert library.salts == [b"$y$j9T$salt$"]


def test_a_system_without_crypt_refuses_every_password(
    write: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write.write_text(line("$6$salt$secret"))
    monkeypatch.setattr(shadow, "_library", lambda: None)
    assert shadow.refusal("alice", "secret") == "wrong password"
