"""A driver without an engine and a socket, and what stands on it: channels, a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from nacre.aio.channel import Channel
from nacre.aio.waiting import Gate
from nacre.errors import ConnectionLost, NacreError
from nacre.protocol.asks import Answer
from nacre.protocol.phases import Phase
from nacre.protocol.requests import Request
from nacre.wire.codec import Buffer
from nacre.wire.numbers import MAIN


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

    def touch(self) -> FakeDriver:
        return self

    def flush(self) -> None:
        self.flushed += 1

    def before_write(self, collect: Callable[[], None], *, at_once: bool = False) -> None:
        self.collectors.append(collect)

    def end_turn(self) -> None:
        """Do what is to be done before this turn's write."""
        while self.collectors:
            self.collectors.pop()()

    def send_data(self, channel: int, data: Buffer, stream: int, *, at_once: bool = False) -> int:
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


class FakeConnection:
    """What a relay or a listener needs of a connection: its tasks, and its end.

    :ivar holding: tasks that keep the connection from being idle.
    :ivar answers: the answers to the engine's questions.
    """

    def __init__(self, driver: FakeDriver) -> None:
        self.loop = asyncio.get_running_loop()
        self.driver = self.engine = driver
        self.ended = False
        self.channels: list[Channel] = []
        self.answers: list[Answer] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.holding = 0

    def spawn(self, work: Coroutine[Any, Any, None], *, holds: bool = False) -> asyncio.Task[None]:
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        if holds:
            self.holding += 1
            task.add_done_callback(self._let_go)
        return task

    def _let_go(self, _: asyncio.Task[None]) -> None:
        self.holding -= 1

    def add_channel(self, channel: Channel) -> None:
        self.channels.append(channel)

    def answer(self, ask_id: int, answer: Answer) -> None:
        self.answers.append(answer)

    def end(self, error: NacreError | None = None) -> None:
        """End as a connection does: its channels first, its tasks after that."""
        self.ended = True
        for channel in self.channels:
            channel.fail(error or ConnectionLost("gone"))
        for task in self.tasks:
            task.cancel()
