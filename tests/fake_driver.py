"""A driver without an engine and a socket, and channels on top of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nacre.aio.channel import Channel
from nacre.aio.waiting import Gate
from nacre.protocol.engine import MAIN
from nacre.protocol.phases import Phase
from nacre.protocol.requests import Request
from nacre.wire.codec import Buffer


class FakeDriver:
    """Notes calls, and takes data as far as its window goes. It is its own engine.

    :ivar calls: the engine's calls, as tuples of a name and arguments without the channel.
    :ivar sent: the data, by stream.
    :ivar flushed: how often it was flushed.
    """

    def __init__(self, window: int = 1 << 30) -> None:
        self.phase = Phase.CONNECTION
        self.window = window
        self.congested = False
        self.drained = Gate()
        self.calls: list[tuple[Any, ...]] = []
        self.sent: dict[int, bytearray] = {}
        self.flushed = 0
        self.collectors: list[Callable[[], None]] = []

    def channel(self, *writers: int) -> Channel:
        """Return an open channel that writes the streams given, by default the main one."""
        channel = Channel(self, self, 3, set(writers) or {MAIN})  # type: ignore[arg-type]
        channel.opened = True
        return channel

    # --- the driver ---

    def act(self) -> FakeDriver:
        return self

    def flush(self) -> None:
        self.flushed += 1

    def before_write(self, collect: Callable[[], None], *, at_once: bool = False) -> None:
        self.collectors.append(collect)

    def send_data(self, channel: int, data: Buffer, stream: int) -> int:
        taken = bytes(data[: self.window])
        self.window -= len(taken)
        self.sent.setdefault(stream, bytearray()).extend(taken)
        return len(taken)

    # --- the engine ---

    @property
    def connection(self) -> FakeDriver:
        return self

    def send_request(self, channel: int, request: Request, *, want_reply: bool) -> int:
        self.calls.append(("request", request, want_reply))
        return len(self.calls)

    def adjust_window(self, channel: int, count: int) -> None:
        self.calls.append(("adjust", count))

    def send_eof(self, channel: int) -> None:
        self.calls.append(("eof",))

    def close_channel(self, channel: int) -> None:
        self.calls.append(("close",))
