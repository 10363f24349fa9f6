"""The files of keys and authorities."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nacre.daemon.hooks.secret_files import make_secret, read_authorities, read_secret
from nacre.errors import StateError


def test_a_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    make_secret(path)
    assert path.stat().st_mode & 0o777 == 0o600
    found = read_secret(str(path))
    assert len(found) == 64
    make_secret(path)
    assert read_secret(str(path)) == found
    with pytest.raises(StateError, match="can't make"):
        make_secret(tmp_path / "missing" / "key")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_that_others_may_read_is_none(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    make_secret(path)
    path.chmod(mode)
    with pytest.raises(StateError, match="chmod 600"):
        read_secret(str(path))


def test_what_is_no_key(tmp_path: Path) -> None:
    path = tmp_path / "key"
    os.mkfifo(path, 0o600)
    with pytest.raises(StateError, match="no file"):
        read_secret(str(path))
    path.unlink()
    with pytest.raises(StateError, match="can't read"):
        read_secret(str(path))
    for text, why in ((b"short\n", "5 bytes"), (b"x" * 5000, "longer than")):
        path.write_bytes(text)
        path.chmod(0o600)
        with pytest.raises(StateError, match=why):
            read_secret(str(path))


def test_authorities_are_certificates(tmp_path: Path) -> None:
    path = tmp_path / "ca"
    path.write_text("-----BEGIN CERTIFICATE-----\n")
    assert "CERTIFICATE" in read_authorities(str(path))
    path.write_text("none")
    with pytest.raises(StateError, match="no certificate"):
        read_authorities(str(path))
