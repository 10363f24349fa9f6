"""Which keys are installed, and which of them a file of keys lacks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import nacre
from nacre.cli.copy_id.arguments import CopyIdArguments
from nacre.cli.copy_id.identities import NewKey, identities, missing, newest
from nacre.errors import ConfigurationError
from nacre.keys.certificate import Certificate

ONE, OTHER = nacre.generate("ssh-ed25519"), nacre.generate("ssh-ed25519")


def arguments(**values: Any) -> CopyIdArguments:
    made = CopyIdArguments()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def silent(text: str) -> None:
    pass


class Agent:
    """An agent with some keys."""

    def __init__(self, *keys: nacre.PublicKey) -> None:
        self._keys = keys

    async def keys(self) -> list[tuple[nacre.PublicKey, str]]:
        return [(key, "comment") for key in self._keys]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    for name, time in (("id_a", 100), ("id_b", 200), ("id_b-cert", 300)):
        for suffix in ("", ".pub"):
            path = tmp_path / ".ssh" / f"{name}{suffix}"
            path.write_text(f"{ONE.public} {name}\n")
            os.utime(path, (time, time))
    return tmp_path


async def test_a_named_file_is_used_with_and_without_its_suffix(home: Path) -> None:
    told: list[str] = []
    for name in ("id_a", "id_a.pub"):
        path = home / ".ssh" / name
        (found,) = await identities(arguments(identity=str(path)), None, told.append)
        assert found == NewKey(ONE.public, f"{ONE.public} id_a", home / ".ssh" / "id_a")
    assert "id_a.pub" in told[0]


async def test_the_agents_keys_come_before_the_newest_file(home: Path) -> None:
    certificate = Certificate.issue(OTHER.public, ONE)
    agent: Any = Agent(OTHER.public, certificate)
    (found,) = await identities(arguments(), agent, silent)
    assert found == NewKey(OTHER.public, f"{OTHER.public} comment")
    (found,) = await identities(arguments(), Agent(), silent)  # type: ignore[arg-type]
    assert found.line.endswith("id_b")
    assert newest(home / ".ssh").endswith("id_b.pub")


async def test_a_private_key_is_needed_to_try_it(home: Path) -> None:
    (home / ".ssh" / "id_a").unlink()
    named = arguments(identity=str(home / ".ssh" / "id_a"))
    with pytest.raises(ConfigurationError, match="-f needs no private key"):
        await identities(named, None, silent)
    named.forced = True
    (found,) = await identities(named, None, silent)
    assert found.private is None


async def test_files_that_are_none(home: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"can't open the key file /nowhere\.pub"):
        await identities(arguments(identity="/nowhere"), None, silent)
    (home / ".ssh" / "id_a.pub").write_text("noise\n")
    with pytest.raises(ConfigurationError, match="not a public key"):
        await identities(arguments(identity=str(home / ".ssh" / "id_a")), None, silent)


async def test_no_key_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigurationError, match="nacre keygen"):
        await identities(arguments(), None, silent)


def test_lines_that_are_there_are_not_missing() -> None:
    wanted = [NewKey(key.public, str(key.public)) for key in (ONE, OTHER)]
    text = f"# a comment\nrestrict {ONE.public} with options\n".encode()
    assert missing(wanted, text) == wanted[1:]
    assert missing(wanted, b"") == wanted
