"""A place on which the server listens."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from nacre.client.forwarding.listener import Listener, RemoteListening
from nacre.protocol.tcpip import Endpoint


async def test_the_close_cancels_it_once() -> None:
    cancelled: list[int] = []

    async def cancel() -> None:
        cancelled.append(1)

    connection: Any = SimpleNamespace(ended=False, spawn=asyncio.ensure_future)
    listener = Listener(Endpoint("h", 7), RemoteListening(connection, cancel))
    assert (listener.host, listener.port, listener.path) == ("h", 7, "")
    assert not listener.closed
    await listener.close()
    assert listener.closed
    await listener.close()
    assert cancelled == [1]


async def test_it_is_closed_when_the_connection_has_ended() -> None:
    connection: Any = SimpleNamespace(ended=True, spawn=asyncio.ensure_future)

    async def cancel() -> None:
        pass

    listening = RemoteListening(connection, cancel)
    assert listening.closed
    await listening.wait_closed()
    listening.close()
