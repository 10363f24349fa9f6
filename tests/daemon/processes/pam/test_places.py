"""How many logins may use PAM at a time."""

from __future__ import annotations

import asyncio

import pytest

from nacre.daemon.processes.pam import places
from nacre.daemon.processes.pam.places import Places

HOST, OTHER = "192.0.2.1", "192.0.2.2"


async def waits(task: asyncio.Task[object]) -> bool:
    """Let other tasks run, and tell whether this one still waits."""
    for _ in range(5):
        await asyncio.sleep(0)
    return not task.done()


async def test_a_host_has_a_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "SHARE", 2)
    rooms = Places()
    first, _ = [await rooms.take(HOST) for _ in range(2)]
    third = asyncio.create_task(rooms.take(HOST))
    assert await waits(third)
    await asyncio.wait_for(rooms.take(OTHER), 30)
    first()
    await asyncio.wait_for(third, 30)


async def test_all_hosts_together_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "LOGINS", 2)
    rooms = Places()
    _, second = await rooms.take(HOST), await rooms.take(OTHER)
    third = asyncio.create_task(rooms.take("192.0.2.3"))
    assert await waits(third)
    second()
    await asyncio.wait_for(third, 30)


async def test_a_place_is_given_back_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "SHARE", 1)
    rooms = Places()
    first = await rooms.take(HOST)
    first()
    await asyncio.wait_for(rooms.take(HOST), 30)
    first()
    assert await waits(asyncio.create_task(rooms.take(HOST)))


async def test_who_stops_waiting_has_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "SHARE", 1)
    rooms = Places()
    first = await rooms.take(HOST)
    second = asyncio.create_task(rooms.take(HOST))
    assert await waits(second)
    second.cancel()
    first()
    await asyncio.wait_for(rooms.take(HOST), 30)


async def test_hosts_that_are_gone_are_forgotten() -> None:
    rooms = Places()
    (await rooms.take(HOST))()
    assert not rooms._taken
