"""A channel as both roles use it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from nacre.aio.waiting import ClosesAtOnce, Gate, Later
from nacre.errors import ChannelOpenFailed, NacreError, NotUsableHere, StreamClosed
from nacre.protocol.events import (
    ChannelClosed,
    ChannelOpened,
    ChannelRefused,
    EofReceived,
    RequestAnswered,
    RequestReceived,
    Writable,
)
from nacre.protocol.phases import Phase
from nacre.protocol.requests import EndOfWrite, Exec, Request, Shell, Subsystem
from nacre.protocol.tcpip import AGENT_CHANNEL
from nacre.wire.codec import Buffer
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.aio.driver import Driver, EngineState


class Sink(Protocol):
    """What receives the data of one stream."""

    def feed(self, data: Buffer) -> None:
        """Take data; the sink calls :meth:`Channel.adjust_window` once it is consumed."""

    def end(self, error: NacreError | None = None) -> None:
        """Note the end of the data.

        :param error: what cut the data off, or None if the peer ended it.
        """


def _ignore(request: Request) -> None:
    """Ignore a request."""


def kind_of(channel_type: str, request: Request | None = None) -> str:
    """Return a channel's type in the words of ChannelTimeout (ssh_config(5), sshd_config(5)).

    :param request: what a session was opened for, if that is known.
    """
    match request:
        case Shell():
            return "session:shell"
        case Exec():
            return "session:command"
        case Subsystem():
            return f"session:subsystem:{request.name}"
    return "agent-connection" if channel_type == AGENT_CHANNEL else channel_type


class Channel:
    """The state of a channel, and the calls of the engine for it.

    The connection reports events by the ``accept_`` methods; streams, processes and relays call the
    others.

    :param writers: the streams this side writes, each of which :meth:`send_eof` must end.
    :ivar before_write: see :meth:`nacre.aio.driver.Driver.before_write`.
    :ivar sinks: the sink of each stream (``MAIN``, ``STDERR``); other data is dropped.
    :ivar on_request: called with each request that needs no decision.
    :ivar on_change: called at EOF, and when the channel is closed or the connection has ended.
    :ivar changed: woken when anything below changes.
    :ivar opened: whether the peer has confirmed the channel.
    :ivar eof_received: whether the peer has sent EOF.
    :ivar closing: whether this side has closed the channel.
    :ivar closed: whether both sides have, or the connection has ended.
    :ivar error: what ended it, if that was not a CLOSE.
    :ivar kind: its type in the words of ChannelTimeout, such as ``session:shell``; see
        :func:`kind_of`.
    :ivar traffic: how often data was received or handed over to be sent.
    """

    __slots__ = (
        "_answers",
        "_driver",
        "_engine",
        "_unended",
        "_writable",
        "before_write",
        "changed",
        "closed",
        "closing",
        "eof_received",
        "error",
        "kind",
        "number",
        "on_change",
        "on_request",
        "opened",
        "peer_reads",
        "sinks",
        "traffic",
    )

    def __init__(self, engine: EngineState, driver: Driver, number: int, writers: set[int]) -> None:
        self.number = number
        self.kind = ""
        self.sinks: dict[int, Sink] = {}
        self.on_request: Callable[[Request], None] = _ignore
        self.on_change: Callable[[], None] = lambda: None
        self.changed = Gate()
        self.opened = False
        self.peer_reads = True
        self.eof_received = False
        self.closing = False
        self.closed = False
        self.error: NacreError | None = None
        self.before_write = driver.before_write
        self._engine = engine
        self._driver = driver
        self._writable = Gate()
        self._answers: dict[int, bool] = {}
        self.traffic = 0
        self._unended = writers

    # --- called by the connection ---

    def accept_opened(self, event: ChannelOpened) -> None:
        """Note that the peer has confirmed the channel."""
        self.opened = True
        self.changed.wake()

    def accept_refused(self, event: ChannelRefused) -> None:
        """Note that the peer has refused the channel."""
        self.fail(ChannelOpenFailed(event.code, safe(event.description)))

    def accept_eof(self, event: EofReceived) -> None:
        """Note that the peer sends no more data."""
        self.eof_received = True
        for sink in self.sinks.values():
            sink.end()
        self.on_change()
        self.changed.wake()

    def accept_closed(self, event: ChannelClosed) -> None:
        """Note that both sides have closed it."""
        self._end(None)

    def accept_writable(self, event: Writable) -> None:
        """Note that the window has room again."""
        self._writable.wake()

    def accept_answer(self, event: RequestAnswered) -> None:
        """Note the peer's answer to one of our requests."""
        self._answers[event.token] = event.success
        self.changed.wake()

    def accept_request(self, event: RequestReceived) -> None:
        """Act on a request that needs no decision."""
        if isinstance(event.request, EndOfWrite):
            self.stop_writing()
        else:
            self.on_request(event.request)

    def fail(self, error: NacreError) -> None:
        """End the channel because of ``error``, which every waiting call raises."""
        self._end(error)

    def _end(self, error: NacreError | None) -> None:
        if self.closed:
            return
        self.closed = True
        self.error = error
        for sink in self.sinks.values():
            sink.end(error)
        self.on_change()
        self._writable.wake()
        self.changed.wake()

    def disown(self, error: NotUsableHere) -> None:
        """Give the channel up in a forked child; see :mod:`nacre.aio.home`."""
        if not self.closed:
            self.closed = True
            self.error = error

    # --- called by the users of the channel ---

    @property
    def _usable(self) -> bool:
        """Whether the engine knows the channel: it may have ended before its event reached us."""
        ended = self._engine.phase is Phase.CLOSED
        return not (self.closed or self.closing or ended)

    def check(self) -> None:
        """Raise what ended the channel, if that was an error."""
        if self.error is not None:
            raise self.error.with_traceback(None)

    async def wait_opened(self) -> None:
        """Return when the channel is open.

        :raises ChannelOpenFailed: the peer refused it.
        """
        while not self.opened:
            self.check()
            await self.changed.wait()

    def request(self, request: Request, *, want_reply: bool = False) -> int:
        """Send a request, unless the channel is closed; return a token for :meth:`granted`.

        :raises NotUsableHere: another process or event loop has the channel.
        """
        if not self._usable:
            if isinstance(self.error, NotUsableHere):
                self.check()
            return 0
        connection = self._driver.touch().connection
        return connection.send_request(self.number, request, want_reply=want_reply)

    async def granted(self, token: int) -> bool:
        """Return the peer's answer to a request; False if the channel is closed before it."""
        while token not in self._answers:
            self.check()
            if self.closed or self.closing:
                return False
            await self.changed.wait()
        return self._answers.pop(token)

    def adjust_window(self, count: int) -> None:
        """Let the peer send ``count`` more bytes."""
        if self._usable:
            self._driver.touch().connection.adjust_window(self.number, count)

    @property
    def takes_no_data(self) -> bool:
        """Whether nothing more can be written."""
        return self.closed or self.closing or not self.peer_reads

    def check_writable(self) -> None:
        """Raise when nothing more can be written.

        :raises StreamClosed: the channel is closed, or the peer reads no more.
        """
        self.check()
        if self.closed or self.closing:
            raise StreamClosed("the channel is closed: nothing more can be written")
        if not self.peer_reads:
            raise StreamClosed("the other end reads no more")

    def send(self, data: Buffer, stream: int, *, at_once: bool = False) -> int:
        """Send what the window takes of ``data`` now, and return how many bytes that was.

        None are taken while the socket takes no more, or when nothing more can be written.

        :param at_once: see :meth:`nacre.aio.driver.Driver.send_data`.
        """
        driver = self._driver
        if driver.congested or self.closed or self.closing or not self.peer_reads:
            return 0
        self.traffic += 1
        return driver.send_data(self.number, data, stream, at_once=at_once)

    @property
    def congested(self) -> bool:
        """Whether the socket takes no more."""
        return self._driver.congested

    async def wait_uncongested(self) -> None:
        """Wait until the socket takes more, or the state has changed otherwise."""
        await self._driver.drained.wait()

    async def wait_writable(self) -> None:
        """Wait until the window has room, or the state has changed otherwise."""
        await self._writable.wait()

    async def drain(self) -> None:
        """Return when the socket has taken everything."""
        driver = self._driver
        driver.flush()
        while driver.congested:
            await driver.drained.wait()
            driver.flush()
        self.check()

    def stop_writing(self) -> None:
        """Note that the peer takes no more data: waiting writes raise :class:`StreamClosed`."""
        self.peer_reads = False
        self._writable.wake()
        self._driver.drained.wake()

    def send_eof(self, stream: int) -> None:
        """End a stream; EOF is sent when all streams to the peer have ended."""
        if stream not in self._unended:
            return
        self._unended.discard(stream)
        if not self._unended and self._usable:
            self._driver.touch().connection.send_eof(self.number)

    def close(self) -> None:
        """Close our side; before the peer's confirmation, CLOSE is sent when that arrives."""
        if not self._usable:
            return
        self.closing = True
        self._driver.touch().connection.close_channel(self.number)
        for sink in self.sinks.values():
            sink.end()
        self._writable.wake()
        self.changed.wake()


class HasChannel(ClosesAtOnce):
    """What a program gets that is a channel, or at one end of it."""

    _channel: Channel

    def close(self) -> Later[None]:
        """Close the channel. It acts at once; await the result to wait for the server."""
        self._channel.close()
        return Later(self.wait_closed)

    async def wait_closed(self) -> None:
        """Return when both sides have closed the channel."""
        while not self._channel.closed:
            await self._channel.changed.wait()
