"""A connection that the server made, as streams."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from nacre.aio.waiting import Gate
from nacre.client.forwarding.tunnel import Tunnel
from nacre.wire.numbers import MAIN


async def test_the_close_ends_the_channel_and_can_be_awaited() -> None:
    channel: Any = SimpleNamespace(closed=False, changed=Gate(), sinks={}, before_write=None)

    def close() -> None:
        channel.closed = True
        channel.changed.wake()

    channel.close = close
    via: Any = object()
    tunnel = Tunnel(channel, via)
    assert channel.sinks == {MAIN: tunnel.reader}
    assert tunnel.via is via
    await tunnel.close()
    assert channel.closed
    await tunnel.wait_closed()
