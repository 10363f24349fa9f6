"""A connection of either role: from the engine's events to channels, tasks and waiting calls.

The order of reading: the handlers of events (``_on_...``, listed in ``COMMON`` at the end), then
the calls of both roles, then the public ones. Clients and servers add their own handlers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, ClassVar, TypeAlias

from nacre.aio.channel import Channel, kind_of
from nacre.aio.driver import Driver, EngineState
from nacre.aio.home import check_loop, own
from nacre.aio.keepalive import KeepaliveTimer
from nacre.aio.versions import SSH1
from nacre.aio.waiting import Gate, Later
from nacre.errors import (
    ChannelOpenFailed,
    ConnectionLost,
    DisconnectCode,
    Disconnected,
    LocalProtocolError,
    NacreError,
    NotUsableHere,
    PeerSilent,
)
from nacre.keys import PublicKey
from nacre.protocol.asks import Answer, AskArithmetic, AskGlobalRequest, Computed, Denied
from nacre.protocol.engine import Engine
from nacre.protocol.events import (
    ChannelClosed,
    ChannelOpened,
    ChannelRefused,
    Chosen,
    ConnectionEnded,
    Data,
    EofReceived,
    Event,
    GlobalRequestAnswered,
    KexDone,
    PongReceived,
    RequestAnswered,
    RequestReceived,
    VersionReceived,
    Writable,
)
from nacre.wire.numbers import MAIN

Trace: TypeAlias = Callable[[Event, float], None]
"""Called with every event of an engine, questions included, and the loop's time."""

Handlers: TypeAlias = Mapping[type[Event], Callable[[Any, Any], None]]
"""The function that handles a connection's event, by the event's type."""


class BaseConnection:
    """One connection: its driver, its channels, its tasks.

    :ivar protocol: the version both sides use, ``2.0`` or ``1.5``; empty before it is known.
    :ivar peer_version: the peer's identification line, made safe to print; empty before it is
        received.
    :ivar algorithms: what the last key exchange chose, or None before the first.
    :ivar session_id: the session identifier (RFC 4253 section 7.2); empty before the first key
        exchange.
    :ivar server_host_key: the server's host key, or None before the first key exchange.
    :ivar ended: whether the connection has ended; no more events follow then.
    :ivar error: what ended the connection, or None: it has not ended, or this side closed it.
    """

    handlers: ClassVar[Handlers]

    __slots__ = (
        # Policies and handlers keep state of their own on a connection, or in weak dictionaries.
        "__dict__",
        "__weakref__",
        "_changed",
        "_channels",
        "_exchanges",
        "_global_answers",
        "_holding",
        "_keepalive",
        "_pings",
        "_tasks",
        "_trace",
        "_transport_gone",
        "algorithms",
        "driver",
        "ended",
        "engine",
        "error",
        "loop",
        "peer_version",
        "protocol",
        "server_host_key",
        "session_id",
    )

    def __init__(
        self,
        engine: Engine,
        *,
        keepalive: float | None,
        keepalive_count: int,
        trace: Trace | None = None,
    ) -> None:
        self.engine: EngineState = engine
        self.loop = asyncio.get_running_loop()
        self.driver = Driver(engine, self, self.loop)
        self.protocol = ""
        self.peer_version = ""
        self.algorithms: Chosen | None = None
        self.session_id = b""
        self.server_host_key: PublicKey | None = None
        self.ended = False
        self.error: NacreError | None = None
        own(self)
        self._trace = trace
        self._channels: dict[int, Channel] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = Gate()
        self._transport_gone = False
        self._exchanges = 0
        self._global_answers: dict[int, asyncio.Future[bytes | None]] = {}
        self._holding = 0
        self._pings: list[asyncio.Future[bool]] = []
        self._keepalive = KeepaliveTimer(
            self.driver, keepalive, keepalive_count, self._ping, self._give_peer_up
        )

    # --- called by the driver ---

    def transport_made(self) -> None:
        """Note that the transport is there."""

    def handle(self, events: list[Event]) -> None:
        """Act on events; those without a handler do not concern this role."""
        handlers = self.handlers
        for event in events:
            if self.ended:
                return
            try:
                if self._trace is not None:
                    self._trace(event, self.loop.time())
                if (handler := handlers.get(type(event))) is not None:
                    handler(self, event)
            except Exception as error:
                self._fail_because_of(error, event)

    def _fail_because_of(self, error: Exception, event: Event) -> None:
        """End the connection after a failed handler: its state would no longer match the events."""
        failure = NacreError(f"acting on {type(event).__name__} failed: {error!r}")
        failure.__cause__ = error
        self.record_error(str(failure), error)
        self.fail(failure, DisconnectCode.BY_APPLICATION, "internal error")

    def record_error(self, what: str, error: Exception) -> None:
        """Log a failure of this program that no caller gets as an exception."""

    def transport_lost(self) -> None:
        """Note that the transport is closed."""
        self._transport_gone = True
        self._changed.wake()

    def _on_version(self, event: VersionReceived) -> None:
        self.protocol = event.protocol
        self.peer_version = event.remote
        if event.protocol == SSH1:
            # It has no message that a peer must answer; TCP alone detects a peer that is gone.
            self._keepalive.disable()

    def _on_kex_done(self, event: KexDone) -> None:
        self.algorithms = event.chosen
        self.session_id = event.session_id
        self.server_host_key = event.host_key
        self._exchanges += 1
        if not event.first:
            # For the tasks in ``rekey``.
            self._changed.wake()

    def _on_data(self, event: Data) -> None:
        channel = self._channels[event.channel]
        channel.traffic += 1
        if (sink := channel.sinks.get(event.stream)) is not None:
            sink.feed(event.data)
        else:
            channel.adjust_window(len(event.data))

    def _on_opened(self, event: ChannelOpened) -> None:
        self._channels[event.channel].accept_opened(event)

    def _on_refused(self, event: ChannelRefused) -> None:
        self._channels.pop(event.channel).accept_refused(event)
        self._changed.wake()

    def _on_eof(self, event: EofReceived) -> None:
        self._channels[event.channel].accept_eof(event)

    def _on_closed(self, event: ChannelClosed) -> None:
        self._channels.pop(event.channel).accept_closed(event)
        self._changed.wake()

    def _on_writable(self, event: Writable) -> None:
        if (channel := self._channels.get(event.channel)) is not None:
            channel.accept_writable(event)

    def _on_request(self, event: RequestReceived) -> None:
        self._channels[event.channel].accept_request(event)

    def _on_request_answered(self, event: RequestAnswered) -> None:
        if (channel := self._channels.get(event.channel)) is not None:
            channel.accept_answer(event)

    def _on_global_answered(self, event: GlobalRequestAnswered) -> None:
        if (answer := self._global_answers.pop(event.token, None)) is None:
            self._on_pong(event)
        elif not answer.done():
            answer.set_result(event.data if event.success else None)

    def _on_pong(self, event: PongReceived | GlobalRequestAnswered) -> None:
        if self._pings and not (ping := self._pings.pop(0)).done():
            ping.set_result(True)

    def _on_global_ask(self, event: AskGlobalRequest) -> None:
        self.answer(event.ask_id, Denied())

    def _on_ended(self, event: ConnectionEnded) -> None:
        self.ended = True
        self.error = self.error or event.error
        failed = self.error is not None and not isinstance(event.error, Disconnected)
        self.driver.half_close = failed
        cause = self.driver.cause
        if isinstance(self.error, ConnectionLost) and isinstance(cause, NacreError):
            # The streams that carried this connection say more than that their data has ended.
            self.error = cause
        elif isinstance(self.error, ConnectionLost) and cause is not None:
            self.error.__cause__ = cause
        self._keepalive.stop()
        channels = list(self._channels.values())
        self._channels.clear()
        for channel in channels:
            channel.fail(self.failure())
        for ping in self._pings:
            if not ping.done():
                ping.set_result(False)
        for answer in self._global_answers.values():
            if not answer.done():
                answer.set_result(None)
        for task in self._tasks:
            # Not at once: a task that was woken first gets what its stream or channel raises.
            self.loop.call_soon(task.cancel)
        self._changed.wake()

    def disown(self, error: NotUsableHere) -> None:
        """Give the connection up in a forked child; see :mod:`nacre.aio.home`."""
        self.driver.disown()
        if not self.ended:
            self.error = error
        self.ended = self._transport_gone = True
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            channel.disown(error)

    # --- called by both roles ---

    def failure(self) -> NacreError:
        """Return the error for a call that needs the connection after its end."""
        return self.error or ConnectionLost("this side has closed the connection")

    def follow(self, trace: Trace | None) -> None:
        """Give each event from now on to ``trace``; None ends that."""
        self._trace = trace

    def check(self) -> None:
        """Raise what ended the connection, if it has ended.

        :raises NotUsableHere: another process or event loop has the connection.
        """
        if self.ended:
            raise self.failure().with_traceback(None)
        check_loop(self.loop)

    def answer(self, ask_id: int, answer: Answer) -> None:
        """Answer a question of the engine."""
        self.driver.answer(ask_id, answer)

    def fail(self, error: NacreError, code: DisconnectCode, description: str) -> None:
        """End the connection because of ``error``, which every waiting call raises.

        :param description: the text of our DISCONNECT.
        """
        if not self.ended:
            self.error = error
            self.driver.disconnect(code, description)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels that are open, or are being opened or closed."""
        return tuple(self._channels.values())

    def add_channel(self, channel: Channel) -> None:
        """Give ``channel`` the events of its number."""
        self._channels[channel.number] = channel

    def open_channel(self, channel_type: str, data: bytes = b"") -> Channel:
        """Ask the peer for a channel, and give it its events.

        :raises ChannelOpenFailed: the protocol has no such channel, or too many are open.
        """
        self.check()
        try:
            number = self.driver.touch().connection.open_channel(channel_type, data)
        except LocalProtocolError as error:
            raise ChannelOpenFailed(0, str(error)) from error
        channel = Channel(self.engine, self.driver, number, {MAIN})
        channel.kind = kind_of(channel_type)
        self.add_channel(channel)
        return channel

    async def request(self, name: str, data: bytes) -> bytes | None:
        """Send a global request; return the data of its success, or None when it was refused.

        :raises LocalProtocolError: too many requests are unanswered.
        :raises ConnectionLost: the connection ended before the answer.
        """
        self.check()
        token = self.driver.touch().connection.send_global_request(name, data)
        answer: asyncio.Future[bytes | None] = self.loop.create_future()
        self._global_answers[token] = answer
        data_of_success = await answer
        self.check()
        return data_of_success

    def spawn(self, work: Coroutine[Any, Any, None], *, holds: bool = False) -> asyncio.Task[None]:
        """Run ``work`` in a task that is cancelled when the connection ends.

        :param holds: the connection is not idle before the task is done; see :meth:`wait_idle`.
        """
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if holds:
            self._holding += 1
            task.add_done_callback(self._let_go)
        if self.ended:
            self.loop.call_soon(task.cancel)
        return task

    def _let_go(self, _: asyncio.Task[None]) -> None:
        self._holding -= 1
        self._changed.wake()

    # --- public, both roles ---

    @property
    def closed(self) -> bool:
        """Whether the connection has ended."""
        return self.ended

    def close(self) -> Later[None]:
        """Send DISCONNECT and close. It acts at once; await the result to wait for the end.

        Bytes that the socket has not taken yet get some seconds to leave.
        """
        if not self.ended:
            self.driver.disconnect(DisconnectCode.BY_APPLICATION, "closed")
        return Later(self.wait_closed)

    def abort(self) -> None:
        """Close at once; what was not sent is dropped."""
        if not self.ended:
            self.driver.disconnect(DisconnectCode.BY_APPLICATION, "closed")
        self.driver.abort()

    async def wait_closed(self) -> None:
        """Return when the transport is closed; ``error`` then has the reason."""
        while not self._transport_gone:
            await self._changed.wait()

    async def wait_idle(self, seconds: float = 0.0) -> None:
        """Return when no channel is open and no connection is forwarded, or at the end.

        A connection is forwarded from when it is accepted until its socket has taken everything.

        :param seconds: how long that must have been so.
        """
        while not self.ended:
            waits = bool(self._channels or self._holding)
            if not waits and not seconds:
                return
            try:
                async with asyncio.timeout(None if waits else seconds):
                    await self._changed.wait()
            except TimeoutError:
                if not self._channels and not self._holding:
                    return

    async def keepalive(self) -> float:
        """Probe the peer, and return the seconds until its answer.

        :raises ConnectionLost: the connection ended before the answer.
        """
        self.check()
        start = self.loop.time()
        if not await self._ping():
            self.check()
        return self.loop.time() - start

    async def rekey(self) -> None:
        """Exchange keys again, or join an exchange in progress; return when it is done.

        :raises ConnectionLost: the connection ended meanwhile.
        """
        self.check()
        exchanges = self._exchanges
        self.driver.touch().rekey()
        while self._exchanges == exchanges:
            self.check()
            await self._changed.wait()

    # --- keepalive ---

    def set_keepalive(self, interval: float | None, count: int) -> None:
        """Change the seconds of silence before a keepalive, and how many may go unanswered."""
        self._keepalive.change(interval, count)

    def start_keepalive(self) -> None:
        """Probe a silent peer from now on."""
        self._keepalive.start()

    @property
    def silent(self) -> bool:
        """Whether the peer has left a keepalive unanswered for more than an interval."""
        return self._keepalive.silent

    def chaff(self) -> None:
        """Send a PING that looks like one keystroke; nothing if many are unanswered."""
        with suppress(LocalProtocolError):
            self._ping(b"PING!")

    def _ping(self, data: bytes = b"") -> asyncio.Future[bool]:
        self.driver.touch().ping(data)
        ping: asyncio.Future[bool] = self.loop.create_future()
        self._pings.append(ping)
        return ping

    def _give_peer_up(self, error: PeerSilent) -> None:
        self.fail(error, DisconnectCode.CONNECTION_LOST, "keepalives are not answered")
        self.driver.abort()


async def answer_computed(
    connection: BaseConnection, ask: AskArithmetic, computing: Awaitable[Computed]
) -> None:
    """Answer a question with what a thread computes; without a thread the connection ends."""
    try:
        answer = await computing
    except Exception as error:
        connection._fail_because_of(error, ask)
    else:
        connection.answer(ask.ask_id, answer)


def _on_arithmetic(connection: BaseConnection, ask: AskArithmetic) -> None:
    connection.spawn(answer_computed(connection, ask, asyncio.to_thread(ask.compute)))


COMMON: Handlers = {
    VersionReceived: BaseConnection._on_version,
    KexDone: BaseConnection._on_kex_done,
    Data: BaseConnection._on_data,
    ChannelOpened: BaseConnection._on_opened,
    ChannelRefused: BaseConnection._on_refused,
    EofReceived: BaseConnection._on_eof,
    ChannelClosed: BaseConnection._on_closed,
    Writable: BaseConnection._on_writable,
    RequestReceived: BaseConnection._on_request,
    RequestAnswered: BaseConnection._on_request_answered,
    PongReceived: BaseConnection._on_pong,
    GlobalRequestAnswered: BaseConnection._on_global_answered,
    AskArithmetic: _on_arithmetic,
    AskGlobalRequest: BaseConnection._on_global_ask,
    ConnectionEnded: BaseConnection._on_ended,
}
