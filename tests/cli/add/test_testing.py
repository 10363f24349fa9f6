"""Whether the agent can sign with a key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cli.add.held import CERTIFICATE, KEY, OTHER, save, save_certificate
from nacre.agent.client import Agent
from nacre.cli.add.arguments import AddRefused
from nacre.keys.certificate import CertifiedKey

Do = Callable[..., Awaitable[bool]]


async def test_keys_that_the_agent_holds_pass_and_others_fail(
    agent: Agent, do: Do, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await agent.add(KEY)
    await agent.add(CertifiedKey(CERTIFICATE, KEY))
    held, other = save(tmp_path / "held", KEY), save(tmp_path / "other", OTHER)
    assert await do("-T", f"{held}.pub", held, save_certificate(held))
    assert capsys.readouterr().err == ""
    assert not await do("-T", f"{other}.pub", tmp_path / "missing", held)
    said = capsys.readouterr().err
    assert f"Agent signature failed for {other}.pub: the agent refuses to sign" in said
    assert f"Couldn't read public key {tmp_path / 'missing'}: " in said


async def test_a_file_is_needed(do: Do) -> None:
    with pytest.raises(AddRefused, match="no keys to test"):
        await do("-T")
