"""The agent forgets keys."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cli.add.held import CERTIFICATE, KEY, OTHER, save, save_certificate
from nacre.agent.client import Agent
from nacre.keys.certificate import CertifiedKey

Do = Callable[..., Awaitable[bool]]


@pytest.fixture
async def held(agent: Agent) -> Agent:
    for key in (KEY, CertifiedKey(CERTIFICATE, KEY), OTHER):
        await agent.add(key)
    return agent


async def left(agent: Agent) -> list[object]:
    return [key for key, _ in await agent.keys()]


async def test_all_keys(held: Agent, do: Do, capsys: pytest.CaptureFixture[str]) -> None:
    assert await do("-D")
    assert await left(held) == []
    assert capsys.readouterr().err == "All identities removed.\n"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["-d"], [OTHER.public]),
        (["-d", "-k"], [CERTIFICATE, OTHER.public]),
        (["-d", "-C"], [KEY.public, OTHER.public]),
    ],
    ids=["both", "key", "certificate"],
)
async def test_the_key_of_a_file_and_its_certificate(
    held: Agent, do: Do, tmp_path: Path, options: list[str], expected: list[object]
) -> None:
    path = save(tmp_path / "key", KEY)
    save_certificate(path)
    assert await do("-q", *options, path)
    assert await left(held) == expected


async def test_what_is_said(
    held: Agent, do: Do, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(tmp_path / "key", KEY)
    assert await do("-d", path)
    assert capsys.readouterr().err == f"Identity removed: {path} ED25519 (a key)\n"
    assert not await do("-d", path)
    assert f'Could not remove identity "{path}": the agent refuses' in capsys.readouterr().err
    assert not await do("-d", tmp_path / "missing")
    assert f"Bad key file {tmp_path / 'missing'}: No such file" in capsys.readouterr().out


async def test_keys_on_standard_input(
    held: Agent, do: Do, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = f"# a comment\n\n{KEY.public} mine\nno key\n{CERTIFICATE}\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    assert await do("-d", "-k", "-")
    assert await left(held) == [CERTIFICATE, OTHER.public]
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "Identity removed: (stdin) ED25519 (mine)"
    assert said[1].startswith("(stdin):4: invalid key: ")


async def test_a_certificate_of_another_key_stays(
    held: Agent, do: Do, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(tmp_path / "key", OTHER)
    beside = save_certificate(path)
    assert not await do("-q", "-d", path)
    assert await left(held) == [KEY.public, CERTIFICATE]
    assert f"Certificate {beside} does not match" in capsys.readouterr().err
