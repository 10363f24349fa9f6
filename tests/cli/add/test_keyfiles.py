"""The files of the command line, and their public halves."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.add.held import KEY, OTHER, save
from nacre.cli.add.arguments import AddRefused, parse_arguments
from nacre.cli.add.keyfiles import chosen, content, public_key
from nacre.errors import KeyFormatError, PassphraseRequired, UnusableKey
from nacre.keys.files import MAXIMUM_SIZE


def test_the_usual_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    with pytest.raises(AddRefused, match="no key file"):
        chosen(parse_arguments([]))
    files = [tmp_path / ".ssh" / name for name in ("id_rsa", "id_ed25519")]
    for path in (*files, tmp_path / ".ssh" / "identity"):
        save(path, KEY)
    assert chosen(parse_arguments([])) == files
    assert chosen(parse_arguments(["-", "x"])) == [Path("-"), Path("x")]


def test_a_public_half_is_beside_the_file_or_in_it(tmp_path: Path) -> None:
    path = save(tmp_path / "key", KEY, "secret")
    beside = tmp_path / "key.pub"
    assert public_key(path) == public_key(beside) == (KEY.public, "a key")
    beside.unlink()
    assert public_key(path) == (KEY.public, "")
    path = save(tmp_path / "plain", OTHER)
    (tmp_path / "plain.pub").unlink()
    assert public_key(path) == (OTHER.public, "another key")


def test_no_public_half(tmp_path: Path) -> None:
    with pytest.raises(UnusableKey, match="No such file"):
        public_key(tmp_path / "missing")
    with pytest.raises(UnusableKey, match="Is a directory"):
        content(tmp_path)
    (tmp_path / "large").write_bytes(bytes(MAXIMUM_SIZE + 1))
    with pytest.raises(KeyFormatError, match="too large"):
        content(tmp_path / "large")


def test_an_encrypted_file_that_hides_its_public_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "key", KEY, "secret")
    (tmp_path / "key.pub").unlink()
    monkeypatch.setattr("nacre.cli.add.keyfiles.public_half", lambda text: None)
    with pytest.raises(PassphraseRequired):
        public_key(path)
