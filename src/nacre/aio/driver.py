"""The driver: bytes between a transport of asyncio and an engine."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Final, Protocol, cast

from nacre.aio.busy_poll import BRIEF, BusyPoll
from nacre.aio.receiving import RECEIVE_UNAUTHENTICATED, ReceiveBuffer
from nacre.aio.waiting import Gate
from nacre.limits import KIB, MIB
from nacre.protocol.engine import Engine
from nacre.protocol.events import Event
from nacre.protocol.phases import Phase
from nacre.wire.blocks import SHARED_BLOCKS

FLUSH = 256 * KIB
"""Sealed bytes that go to the transport at once, without waiting for the end of the turn."""

UNSENT = 4 * MIB
"""Bytes the socket did not take at which nothing more is read.

Writers stop as soon as the socket takes no more: what comes on top of it are replies to a peer that
does not read them.
"""

EARLY = 16 * KIB
"""Bytes at a connection's start that are acknowledged at once: its login and first request."""

# A member of an Enum takes longer to be looked up than a function to be called.
_CONNECTION: Final = Phase.CONNECTION
_CLOSED: Final = Phase.CLOSED

LINGER = 5.0
"""Seconds the peer has, after the connection's end, to take what is unsent and to hang up."""


class Owner(Protocol):
    """Whom a driver reports to."""

    def transport_made(self) -> None:
        """The transport is there; the engine starts next, unless it is told to end."""

    def handle(self, events: list[Event]) -> None:
        """Act on what the engine reports."""

    def transport_lost(self) -> None:
        """The transport is closed; nothing follows."""


class Driver(asyncio.BufferedProtocol):
    """Feeds an engine what a transport receives, and writes what the engine puts out.

    Whoever calls the engine calls :meth:`touch` afterwards; what was put out in one turn of the
    loop then leaves in one write.

    :ivar congested: whether the socket takes no more.
    :ivar drained: where writers wait while ``congested``.
    :ivar received_at: when bytes came last, on the loop's clock.
    :ivar says_why: the peer is to see our last words, so it hangs up first, if it does so soon.
    :ivar cause: the operating system's reason for the end of the transport.
    """

    __slots__ = (
        "_asked_at",
        "_at_once",
        "_buffer",
        "_came",
        "_collectors",
        "_dispatching",
        "_early",
        "_left",
        "_linger",
        "_owner",
        "_poll",
        "_reading",
        "_scheduled",
        "_tick",
        "cause",
        "congested",
        "drained",
        "engine",
        "loop",
        "received_at",
        "says_why",
        "transport",
    )

    def __init__(self, engine: Engine, owner: Owner, loop: asyncio.AbstractEventLoop) -> None:
        self.engine = engine
        self.loop = loop
        self.transport: asyncio.Transport | None = None
        self.cause: Exception | None = None
        self.congested = False
        self.says_why = False
        self.drained = Gate()
        self.received_at = loop.time()
        self._owner = owner
        self._buffer = ReceiveBuffer.of(loop)
        self._left = 0  # bytes at the buffer's front: a packet that is not whole yet
        self._collectors: list[Callable[[], None]] = []
        self._poll = BusyPoll.of(loop)
        self._asked_at = 0.0
        self._came = 0
        self._early = EARLY
        self._at_once = False
        self._dispatching = False
        self._scheduled = False
        self._reading = True
        self._tick: asyncio.TimerHandle | None = None
        self._linger: asyncio.TimerHandle | None = None

    # --- called by the transport ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        # The socket's own buffer is queue enough: writers wait while it is full.
        self.transport.set_write_buffer_limits(high=0)
        no_delay(transport.get_extra_info("socket"))
        self._owner.transport_made()
        if self.engine.phase is not _CLOSED:
            self.engine.start(self.loop.time())
        self._finish_turn()

    def get_buffer(self, sizehint: int) -> memoryview:
        memory = self._buffer.claim(self)
        if self.engine.phase is not _CONNECTION:
            return memory[:RECEIVE_UNAUTHENTICATED]
        return memory[self._left :]

    def buffer_updated(self, nbytes: int) -> None:
        self.received_at = now = self.loop.time()
        self._came = came = self._came + nbytes
        quick = came <= BRIEF and now - self._asked_at < self._poll.seconds
        self._receive(nbytes, now)
        self.settle()
        if quick:
            self._poll.stay_awake(now)
        if self._early > 0:
            self._early -= nbytes
            if not self.engine.output_size and self.transport is not None:
                _acknowledge(self.transport.get_extra_info("socket"))

    def _receive(self, nbytes: int, now: float) -> None:
        """Give the engine what came; a packet that is not whole waits for what follows it."""
        buffer = self._buffer
        end = self._left + nbytes
        whole = buffer.shared and self.engine.phase is _CONNECTION
        self._left = left = self.engine.receive(buffer.view[:end], now, whole=whole)
        if 0 < left < end:
            buffer.view[:left] = buffer.view[end - left : end]
        buffer.tenant = self if left else None

    def vacate(self) -> None:
        """Let the engine keep the packet that is not whole: somebody else reads now."""
        left, self._left = self._left, 0
        self.engine.receive(self._buffer.view[:left], self.loop.time())
        self.touch()

    def eof_received(self) -> bool:
        if self.engine.phase is not _CLOSED:
            self.engine.receive_eof()
            self._finish_turn()
        return False

    def pause_writing(self) -> None:
        self.congested = True

    def resume_writing(self) -> None:
        self.congested = False
        self.drained.wake()
        self._pace()

    def connection_lost(self, exc: Exception | None) -> None:
        self.cause = exc
        for timer in (self._tick, self._linger):
            if timer is not None:
                timer.cancel()
        self._tick = self._linger = None
        if self._buffer.tenant is self:
            self._buffer.tenant = None
        if self.engine.phase is not _CLOSED:
            self.engine.receive_eof()
        self._dispatch()
        self.transport = None
        self.congested = False
        self.drained.wake()
        self._owner.transport_lost()

    # --- called by the connection ---

    def settle(self) -> None:
        """Act on events that change what may be called next, and on the rest as :meth:`touch`."""
        scheduled, self._scheduled = self._scheduled, True
        if self.engine.events:
            self._dispatch()
        if scheduled:
            return
        if self._at_once and not self._dispatching:
            self._turn()
        else:
            # Tasks that were woken run before the write, and what they send goes with it.
            self.loop.call_soon(self._turn)

    def touch(self) -> None:
        """The engine was called: act on it before this turn of the loop is over."""
        if not self._scheduled:
            self._scheduled = True
            self.loop.call_soon(self._turn)

    def before_write(self, collect: Callable[[], None], *, at_once: bool = False) -> None:
        """Call ``collect``, which may call the engine, right before this turn's write.

        :param at_once: nobody else has to be waited for: when all that came in was acted on, it is
            called and the answer written, where nothing was to be written already.
        """
        self._at_once = self._at_once or at_once
        self._collectors.append(collect)
        if not self._scheduled:
            self.touch()

    def touch_data(self) -> None:
        """Data was put out: do as :meth:`touch`, and write now when much is waiting."""
        if self.engine.output_size >= FLUSH:
            self.flush()
        if not self._scheduled:
            self.touch()

    def flush(self) -> None:
        """Hand what was put out to the transport."""
        if self.transport is not None and (output := self.engine.take_output()):
            size, memory = len(output), output.obj
            self.transport.write(output)
            # What the transport could not send it keeps a view of, or has copied.
            del output
            if size > BRIEF:
                SHARED_BLOCKS.give(memory)
            brief = self._came <= BRIEF and size <= BRIEF
            self._asked_at = self.loop.time() if brief else 0.0
            self._came = 0

    def abort(self) -> None:
        """Close the transport at once; what was not sent is dropped."""
        if self.transport is not None:
            self.transport.abort()

    # --- one turn ---

    def _turn(self) -> None:
        try:
            while self._collectors:
                self._collectors.pop()()
        finally:
            self._scheduled = self._at_once = False
            self._finish_turn()

    def _finish_turn(self) -> None:
        engine = self.engine
        if engine.events:
            self._dispatch()
        self.flush()
        if engine.phase is _CLOSED:
            self._finish()
            return
        if self.congested or engine.wants_input is not self._reading:
            self._pace()
        if self._tick is None:
            self._schedule_tick()

    def _dispatch(self) -> None:
        # What a handler makes happen comes after what happened before, but for the end.
        if self._dispatching and self.engine.phase is not _CLOSED:
            return
        self._dispatching = True
        engine = self.engine
        try:
            while engine.events:
                self._owner.handle(engine.take_events())
        finally:
            self._dispatching = False

    def _pace(self) -> None:
        transport = self.transport
        if transport is None or self.engine.phase is _CLOSED:
            return
        reading = self.engine.wants_input and not (
            self.congested and transport.get_write_buffer_size() > UNSENT
        )
        if reading != self._reading and not transport.is_closing():
            self._reading = reading
            if reading:
                transport.resume_reading()
            else:
                transport.pause_reading()

    def _finish(self) -> None:
        transport = self.transport
        if transport is None or transport.is_closing() or self._linger is not None:
            return
        self._linger = self.loop.call_later(LINGER, transport.abort)
        if not self.says_why:
            transport.close()
            return
        # Closing a socket with unread bytes resets it, and the peer would not see the reason.
        try:
            transport.write_eof()
        except OSError:
            # The peer has reset the connection: nobody is left to read it.
            transport.abort()
            return
        if not self._reading:
            transport.resume_reading()

    def _schedule_tick(self) -> None:
        # What is due is only ever put off: a tick that comes too early finds that out.
        if (due := self.engine.next_tick) is not None:
            self._tick = self.loop.call_at(due, self._on_tick)

    def _on_tick(self) -> None:
        self._tick = None
        self.engine.tick(self.loop.time())
        self._finish_turn()


def no_delay(sock: socket.socket | None) -> None:
    """Switch Nagle's algorithm off; asyncio does it for sockets it makes itself."""
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _acknowledge(sock: socket.socket | None) -> None:
    """Acknowledge what came at once, where the system can.

    A peer that has Nagle's algorithm on holds its second message back until the first one is
    acknowledged, for 40 ms: OpenSSH's client does so with what follows its NEWKEYS, its server with
    the answer to the first channel, which follows a list of its host keys.
    """
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError, AttributeError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
