"""What the agent holds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from cli.add.held import CERTIFICATE, KEY, OTHER
from nacre.agent.client import Agent
from nacre.cli.add.arguments import AddRefused
from nacre.keys.certificate import CertifiedKey
from nacre.wire.codec import string

Do = Callable[..., Awaitable[bool]]


async def test_fingerprints(agent: Agent, do: Do, capsys: pytest.CaptureFixture[str]) -> None:
    for key in (KEY, CertifiedKey(CERTIFICATE, KEY), OTHER):
        await agent.add(key)
    assert await do("-l")
    mark = KEY.public.fingerprint()
    assert capsys.readouterr().out.splitlines() == [
        f"256 {mark} a key (ED25519)",
        f"256 {mark} a key (ED25519-CERT)",
        f"256 {OTHER.public.fingerprint()} another key (ECDSA)",
    ]
    assert await do("-E", "md5", "-l")
    assert f"256 {KEY.public.fingerprint('md5')} a key" in capsys.readouterr().out


async def test_public_halves(agent: Agent, do: Do, capsys: pytest.CaptureFixture[str]) -> None:
    await agent.add(KEY)
    assert await do("-L")
    assert capsys.readouterr().out == f"{KEY.public} a key\n"


async def test_no_keys(do: Do, capsys: pytest.CaptureFixture[str]) -> None:
    assert not await do("-l")
    assert capsys.readouterr().out == "The agent has no identities.\n"


async def test_a_key_of_a_type_that_nacre_lacks(
    do: Do, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def identities(self: Agent) -> list[tuple[bytes, str]]:
        return [(string(b"ssh-new") + b"?", "of \x1b tomorrow"), (b"", "nothing")]

    monkeypatch.setattr(Agent, "identities", identities)
    assert await do("-l")
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("0 SHA256:")
    assert first.endswith(" of \\x1b tomorrow (ssh-new)")
    assert second.endswith(" nothing (unknown)")
    assert await do("-L")
    assert capsys.readouterr().out.startswith("ssh-new AAAAB3NzaC1uZXc/ ")


async def test_an_agent_that_is_gone(do: Do, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Agent, "_answer", lambda self, request: _nothing())
    with pytest.raises(AddRefused, match="error fetching identities: the agent answers"):
        await do("-l")


async def _nothing() -> bytes:
    return b""
