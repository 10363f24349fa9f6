from __future__ import annotations

import asyncio

import pytest

from nacre.agent import lock
from nacre.agent.lock import AgentLock
from nacre.errors import UnusableKey


async def test_the_passphrase_opens_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_STEP", 0.0)
    made = AgentLock()
    with pytest.raises(UnusableKey, match="not locked"):
        await made.unlock(b"secret")
    await made.lock(b"secret")
    assert made.locked
    with pytest.raises(UnusableKey, match="locked already"):
        await made.lock(b"other")
    for wrong in (b"", b"Secret", b"secret\0"):
        with pytest.raises(UnusableKey, match="wrong"):
            await made.unlock(wrong)
    assert made.locked
    await made.unlock(b"secret")
    assert not made.locked


async def test_an_empty_passphrase_is_one() -> None:
    made = AgentLock()
    await made.lock(b"")
    await made.unlock(b"")
    assert not made.locked


async def test_each_wrong_guess_costs_more(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    made = AgentLock()
    await made.lock(b"secret")
    monkeypatch.setattr(lock, "_LONGEST", 0.25)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    for _ in range(4):
        with pytest.raises(UnusableKey):
            await made.unlock(b"guess")
    await made.unlock(b"secret")
    assert waited == pytest.approx([0.1, 0.2, 0.25, 0.25])
