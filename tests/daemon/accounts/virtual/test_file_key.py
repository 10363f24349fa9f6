"""The file with the key of encrypted files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nacre.daemon.accounts.virtual.file_key import read_file_key
from nacre.errors import AccountError


def write(path: Path, text: str, mode: int = 0o600) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize("text", ["aB" * 32, "ab" * 32 + "\n", "AB" * 32 + "\r\n"])
def test_a_key(text: str, tmp_path: Path) -> None:
    assert read_file_key(write(tmp_path / "key", text)) == "ab" * 32


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601])
def test_a_key_is_for_its_owner_alone(mode: int, tmp_path: Path) -> None:
    path = write(tmp_path / "key", "ab" * 32, mode)
    with pytest.raises(AccountError, match=f"chmod 600 {path}"):
        read_file_key(path)


@pytest.mark.parametrize("text", ["", "ab" * 31, "ab" * 33, "xy" * 32, f"{'ab' * 32} x", "a" * 300])
def test_what_is_no_key(text: str, tmp_path: Path) -> None:
    with pytest.raises(AccountError, match="must be 64 hexadecimal digits") as caught:
        read_file_key(write(tmp_path / "key", text))
    assert not text or text not in str(caught.value)


def test_what_can_not_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(AccountError):
            read_file_key(str(path))
    with pytest.raises(AccountError, match="openssl rand -hex 32"):
        read_file_key(str(tmp_path / "missing"))
    # A FIFO without a writer would hang.
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(AccountError, match="has no key"):
        read_file_key(str(tmp_path / "fifo"))


def test_the_message_says_what_the_key_is_of(tmp_path: Path) -> None:
    path = write(tmp_path / "key", "ab" * 32, 0o644)
    with pytest.raises(AccountError, match=f"others may read the key {path} of the host keys"):
        read_file_key(path, "the host keys in the store")
