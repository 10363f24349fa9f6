"""Threads that users share: what one of them hangs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from nacre.server.admission import user_threads
from nacre.server.admission.user_threads import UserThreads

PATIENCE = 20.0


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """What hanging calls wait for."""
    event = threading.Event()
    yield event
    event.set()


async def test_hanging_calls_take_no_thread_from_other_users(released: threading.Event) -> None:
    made = UserThreads()
    hung = [asyncio.ensure_future(made.run("bob", released.wait)) for _ in range(200)]
    async with asyncio.timeout(PATIENCE):
        assert await made.run("alice", lambda: "alice") == "alice"
        elsewhere: Any = SimpleNamespace(peer=("192.0.2.1", 5))
        assert await made.run_for_login("bob", elsewhere, lambda: "bob") == "bob"
    for one in hung:
        one.cancel()
    released.set()
    made.close()


async def test_a_call_that_hangs_ends_with_the_cause_and_a_remedy(
    released: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_threads, "PATIENCE", 0.01)
    made = UserThreads()
    with pytest.raises(TimeoutError, match="look whether a disk, a file server"):
        await made.run("bob", released.wait)
    monkeypatch.setattr(user_threads, "PATIENCE", PATIENCE)
    with pytest.raises(TimeoutError, match="of the call's own"):
        await made.run("alice", _times_out)
    made.close()


def _times_out() -> None:
    raise TimeoutError("of the call's own")
