"""The key pair of sealed recordings, in files."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from nacre.cli.replay import keyfiles
from nacre.cli.replay.keyfiles import load_key, make_pair
from nacre.crypto.sealing import load_seal_public
from nacre.errors import ConfigurationError, PassphraseRequired, StateError, UnusableKey


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """What the user types, one for each question."""
    answers: list[str | None] = []

    async def prompt(text: str, echo: bool) -> str | None:
        assert not echo
        return answers.pop(0)

    monkeypatch.setattr(keyfiles, "prompt", prompt)
    return answers


def test_the_private_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    assert make_pair(tmp_path / "key", protect=False) == 0
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "key.pub").stat().st_mode) == 0o644
    public = load_seal_public((tmp_path / "key.pub").read_bytes())
    assert load_key(tmp_path / "key").public == public


@pytest.mark.parametrize("name", ["key", "key.pub"])
def test_a_file_that_is_there_is_kept(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(StateError, match="is there already"):
        make_pair(tmp_path / "key", protect=False)
    assert [one.read_text() for one in tmp_path.iterdir()] == ["mine"]


def test_a_passphrase_is_asked_for(tmp_path: Path, typed: list[str | None]) -> None:
    typed += ["secret", "secret", "secret", "wrong", None]
    make_pair(tmp_path / "key", protect=True)
    assert b"ENCRYPTED" in (tmp_path / "key").read_bytes()
    load_key(tmp_path / "key")
    with pytest.raises(UnusableKey):
        load_key(tmp_path / "key")
    with pytest.raises(PassphraseRequired, match="nobody to ask"):
        load_key(tmp_path / "key")


def test_an_empty_passphrase_is_none(tmp_path: Path, typed: list[str | None]) -> None:
    typed += ["", ""]
    make_pair(tmp_path / "key", protect=True)
    load_key(tmp_path / "key")


def test_passphrases_that_differ_make_nothing(tmp_path: Path, typed: list[str | None]) -> None:
    typed += ["one", "two"]
    with pytest.raises(ConfigurationError, match="differ"):
        make_pair(tmp_path / "key", protect=True)
    assert list(tmp_path.iterdir()) == []


def test_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        load_key(tmp_path / "key")
    with pytest.raises(StateError, match="can't write the key"):
        make_pair(tmp_path / "no" / "key", protect=False)
