"""The driver: bytes between a transport of asyncio and an engine.

Operations wanted:

- give the engine what the transport receives, the end of it, and the time;
- call the engine for a channel or a connection, and send what the call put out;
- hand the engine's events to the owner, in order.

Goals:

- No output is forgotten: a call without a write after it hangs the peer, perhaps under load only.
- What one turn of the loop puts out leaves in one write, after the tasks that run in this turn.
- Events that change which calls are legal are handled before the call that caused them returns.
- Memory is bounded: nothing more is read while the socket does not take the replies.
- No peer keeps the loop for long, whatever it sends: what is not handled after 5 ms waits for the
  next turn, and nothing more is read meanwhile.

Plan: the driver alone holds an :class:`~nacre.protocol.engine.Engine`; all others hold an
:class:`EngineState`, which has no call that puts anything out. They choose between

- :meth:`Driver.touch`: returns the engine for one call; the turn that sends its output follows;
- :meth:`Driver.send_data`: the same for a channel's data, which is written at once when it is much;
- :meth:`Driver.answer` and :meth:`Driver.disconnect`: these calls have events, which are handled
  before they return;
- :meth:`Driver.before_write`: registers a function that acts right before this turn's write, so
  that it can put into one packet what several calls asked for;
- :meth:`Driver.flush`: writes now what was put out. Only needed to wait for the socket.

Every turn ends in ``_finish_turn``: events, write, pause or resume reading, timer.
tests/aio/test_engine_calls.py checks that no other module calls an engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from time import thread_time
from typing import Final, Protocol, TypeVar, cast
from weakref import ref

from nacre.aio.busy_poll import BRIEF, QuickExchange
from nacre.aio.home import check_loop, detach
from nacre.aio.receiving import RECEIVE_UNAUTHENTICATED, ReceiveBuffer
from nacre.aio.waiting import Gate
from nacre.errors import DisconnectCode, LocalProtocolError
from nacre.limits import KIB, MIB
from nacre.protocol.asks import Answer
from nacre.protocol.engine import Engine
from nacre.protocol.events import Event
from nacre.protocol.phases import Phase
from nacre.wire.blocks import SHARED_BLOCKS
from nacre.wire.codec import Buffer

T = TypeVar("T")

FLUSH = 256 * KIB
"""Sealed bytes that are written at once, without waiting for the end of the turn."""

UNSENT = 4 * MIB
"""Bytes not yet taken by the socket at which reading stops.

Writers stop as soon as the socket takes no more. Beyond that, only replies to a peer that does not
read them are added.
"""

EARLY = 16 * KIB
"""Bytes at a connection's start that are acknowledged at once: its login and first request."""

# Looking up an Enum member costs more than a function call, so these are module constants.
_VERSION: Final = Phase.VERSION
_CONNECTION: Final = Phase.CONNECTION
_CLOSED: Final = Phase.CLOSED

_running_loop = asyncio._get_running_loop

_LINE = 256
"""Bytes in which our identification line ends (RFC 4253 section 4.2)."""

LINGER = 5.0
"""Seconds, after the connection's end, for unsent bytes to leave and for the peer to close."""

PORTION = 32
"""Messages that an engine handles before the driver looks at the clock: as many as a read brings
of a transfer."""

TURN = 0.005
"""Seconds of processor time that the messages of one peer, beyond the first portion, may take; then
others have their turn. Time in which another process had the processor is not the peer's: counted,
it would cut turns short, and let more of a transfer go ahead of each key."""

UNHEARD = 100 * KIB
"""Bytes that are read and dropped after the connection's end; a peer that sends more is cut off."""


class Owner(Protocol):
    """What a driver reports to: a connection."""

    def transport_made(self) -> None:
        """Note that the transport is there; the engine starts next, unless it is ended here."""

    def handle(self, events: list[Event]) -> None:
        """Act on the engine's events."""

    def transport_lost(self) -> None:
        """Note that the transport is closed; no call follows."""


class EngineState(Protocol):
    """What others than the driver may see of an engine."""

    @property
    def phase(self) -> Phase:
        """The phase of the connection."""

    @property
    def pings(self) -> bool:
        """Whether the peer announced that it answers ``ping@openssh.com``."""


class Driver(asyncio.BufferedProtocol):
    """Feeds an engine with what a transport receives, and writes what the engine puts out.

    :ivar congested: whether the socket takes no more.
    :ivar drained: where writers wait while ``congested``.
    :ivar received_at: when bytes were received last, on the loop's clock.
    :ivar half_close: half-close at the end, and give the peer up to LINGER seconds to read our
        DISCONNECT and close first.
    :ivar cause: the reason for the end of the transport: the operating system's, or the error of
        the streams that stood for a socket.
    """

    __slots__ = (
        "__weakref__",
        "_allowance",
        "_at_once",
        "_buffer",
        "_collectors",
        "_dispatching",
        "_engine",
        "_exchange",
        "_left",
        "_linger",
        "_owner",
        "_reading",
        "_scheduled",
        "_tick",
        "cause",
        "congested",
        "drained",
        "half_close",
        "loop",
        "received_at",
        "transport",
    )

    def __init__(self, engine: Engine, owner: Owner, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.transport: asyncio.Transport | None = None
        self.cause: Exception | None = None
        self.congested = False
        self.half_close = False
        self.drained = Gate()
        self.received_at = loop.time()
        self._engine = engine
        self._owner = owner
        self._buffer = ReceiveBuffer.of(loop)
        self._left = 0  # bytes at the buffer's front: an incomplete packet, or what waits
        self._collectors: list[Callable[[], None]] = []
        self._exchange = QuickExchange(loop)
        self._allowance = EARLY  # bytes to acknowledge at once; at the end, to read and drop
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
        if self._engine.phase is not _CLOSED:
            self._engine.start(self.loop.time())
            if self._engine.phase is _VERSION:
                self._send_line()
        self._finish_turn()

    def _send_line(self) -> None:
        """Send the identification line in a segment of its own.

        A server's KEXINIT comes with it, and some scanners drop what one segment has behind the
        line. The second write costs no round trip.
        """
        assert self.transport is not None
        output = self._engine.take_output()
        end = bytes(output[:_LINE]).find(b"\n") + 1
        for part in (output[:end], output[end:]):
            if part:
                self.transport.write(part)

    def get_buffer(self, sizehint: int) -> memoryview:
        memory = self._buffer.claim(self)
        if self._engine.phase is not _CONNECTION:
            return memory[:RECEIVE_UNAUTHENTICATED]
        return memory[self._left :]

    def buffer_updated(self, nbytes: int) -> None:
        if self._linger is not None:
            self._drop(nbytes)
            return
        self.received_at = now = self.loop.time()
        exchange = self._exchange
        exchange.received = received = exchange.received + nbytes
        # A short answer, soon after our short message: the next one will probably come as soon.
        quick = received <= BRIEF and now - exchange.sent_at < exchange.poll.seconds
        self._receive(nbytes, now)
        self._settle()
        if quick:
            exchange.poll.stay_awake(now)
        if self._allowance > 0:
            self._allowance -= nbytes
            if not self._engine.output_size and self.transport is not None:
                _acknowledge(self.transport.get_extra_info("socket"))

    def _receive(self, nbytes: int, now: float) -> None:
        """Give the engine what was received; an incomplete packet waits for its rest.

        Up to the login a turn is one portion: a login has fewer messages. A listener accepts one
        connection while each of those that it has gets a turn.
        """
        buffer, engine = self._buffer, self._engine
        at, end, due = 0, self._left + nbytes, 0.0
        while True:
            whole = buffer.shared and engine.phase is _CONNECTION
            left = engine.receive(buffer.view[at:end], now, whole=whole, most=PORTION)
            if not engine.behind:
                break
            at = end - left
            self._dispatch()
            if engine.phase is not _CONNECTION:
                break
            used = thread_time()
            due = due or used + TURN
            if used >= due:
                break
            now = self.loop.time()
        self._left = left
        if 0 < left < end:
            buffer.view[:left] = buffer.view[end - left : end]
        buffer.tenant = ref(self) if left else None

    def _catch_up(self) -> None:
        """Handle what was received in an earlier turn."""
        self._buffer.claim(self)
        self._receive(0, self.loop.time())
        self._dispatch()

    def _drop(self, nbytes: int) -> None:
        """Drop what came after the connection's end; the peer may not have read of it yet."""
        self._allowance -= nbytes
        if self._allowance < 0 and self.transport is not None:
            self.transport.abort()

    def vacate(self) -> None:
        """Let the engine keep the incomplete packet: another connection reads now."""
        left, self._left = self._left, 0
        self.touch().receive(self._buffer.view[:left], self.loop.time(), most=PORTION)

    def eof_received(self) -> bool:
        if self._engine.phase is not _CLOSED:
            self._engine.receive_eof()
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
        self._buffer.leave(self)
        if self._engine.phase is not _CLOSED:
            self._engine.receive_eof()
        self._dispatch()
        self.transport = None
        self.congested = False
        self.drained.wake()
        self._owner.transport_lost()

    # --- called by the connection and its channels ---

    def touch(self) -> Engine:
        """Return the engine for one call; what the call puts out leaves at the end of this turn.

        The engine must not be kept: each call of it needs a call of this method.

        :raises NotUsableHere: another event loop calls.
        """
        if not self._scheduled:
            if _running_loop() is not self.loop:
                check_loop(self.loop)
            self._scheduled = True
            self.loop.call_soon(self._turn)
        return self._engine

    def send_data(self, channel: int, data: Buffer, stream: int, *, at_once: bool = False) -> int:
        """Send data of a channel as the engine does, and write now when much is waiting.

        After such a write nothing is left for a turn, unless the engine has events.

        :param at_once: write now also in a quick exchange of short messages, where the next turn
            of the loop costs a tenth of what a message and its answer take. It must not be called
            by a handler of this connection.
        """
        engine = self._engine
        taken = engine.connection.send_data(channel, data, stream)
        if engine.output_size >= FLUSH:
            self.flush()
            if not engine.events:
                return taken
        if not self._scheduled:
            if at_once and self._exchange.poll.awake:
                self._finish_turn()
            else:
                self.touch()
        return taken

    def answer(self, ask_id: int, answer: Answer) -> None:
        """Answer a question of the engine, and act on what follows from it."""
        self._engine.answer(ask_id, answer)
        self._settle()

    def disconnect(self, code: DisconnectCode, description: str) -> None:
        """End the connection with a reason; its channels and tasks end before this returns."""
        check_loop(self.loop)
        self._engine.disconnect(code, description)
        self._settle()

    def before_write(self, collect: Callable[[], None], *, at_once: bool = False) -> None:
        """Call ``collect``, which may act, right before this turn's write.

        :param at_once: no other task has to run first. When all that was received is handled,
            ``collect`` is called and its output written, unless a write was scheduled already.
        """
        if not self._scheduled:
            self.touch()
        self._at_once = self._at_once or at_once
        self._collectors.append(collect)

    def flush(self) -> None:
        """Hand what was put out to the transport."""
        if self.transport is not None and (output := self._engine.take_output()):
            size, memory = len(output), output.obj
            self.transport.write(output)
            # The transport keeps a view of what it could not send, or has copied it.
            del output
            if size > BRIEF:
                SHARED_BLOCKS.give(memory)
            exchange = self._exchange
            brief = exchange.received <= BRIEF and size <= BRIEF
            exchange.sent_at = self.loop.time() if brief else 0.0
            exchange.received = 0

    def abort(self) -> None:
        """Close the transport at once; what was not sent is dropped."""
        if self.transport is not None:
            check_loop(self.loop)
            self.transport.abort()

    async def hand_over(self, freeze: Callable[[], T]) -> tuple[T, socket.socket]:
        """Give the socket up, for another process that goes on with the engine's state.

        What was put out leaves first. The transport ends without a word to the peer.

        :param freeze: freezes the engine.
        :returns: what ``freeze`` returns, and the connected socket, which is the caller's to close.
        :raises LocalProtocolError: the connection has ended meanwhile, or ``freeze`` does not want
            to.
        :raises OSError: there is no descriptor left; the engine goes on.
        """
        self.flush()
        while self.congested:
            await self.drained.wait()
        transport = self.transport
        if transport is None:
            raise LocalProtocolError("the connection has ended")
        if self._left:
            raise LocalProtocolError("a part of a packet was received")
        # The transport closes its own descriptor; not every loop gives its socket away.
        sock = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        try:
            state = freeze()
        except LocalProtocolError:
            sock.close()
            raise
        transport.abort()
        return state, sock

    def disown(self) -> None:
        """Let go of the socket in a forked child; see :mod:`nacre.aio.home`."""
        if self.transport is not None:
            if (sock := self.transport.get_extra_info("socket")) is not None:
                detach([sock.fileno()])
            self.transport = None

    # --- one turn ---

    def _settle(self) -> None:
        """Act on events that change which calls are legal, and schedule the rest of the turn."""
        scheduled, self._scheduled = self._scheduled, True
        if self._engine.events:
            self._dispatch()
        if scheduled:
            return
        if self._at_once and not self._dispatching and not self._engine.behind:
            self._turn()
        else:
            # Tasks that were woken run before the write, and what they send goes with it.
            self.loop.call_soon(self._turn)

    def _turn(self) -> None:
        try:
            if self._engine.behind:
                self._catch_up()
            while self._collectors:
                self._collectors.pop()()
        finally:
            self._scheduled = self._at_once = False
            self._finish_turn()

    def _finish_turn(self) -> None:
        engine = self._engine
        if engine.events:
            self._dispatch()
        self.flush()
        if engine.phase is _CLOSED:
            self._finish()
            return
        if engine.behind:
            self.touch()  # for another turn
        if self.congested or engine.wants_input is not self._reading:
            self._pace()
        if self._tick is None:
            self._schedule_tick()

    def _dispatch(self) -> None:
        # Events that a handler causes come after those before it, except for the end.
        if self._dispatching and self._engine.phase is not _CLOSED:
            return
        self._dispatching = True
        engine = self._engine
        try:
            while engine.events:
                self._owner.handle(engine.take_events())
        finally:
            self._dispatching = False

    def _pace(self) -> None:
        transport = self.transport
        if transport is None or self._engine.phase is _CLOSED:
            return
        reading = self._engine.wants_input and not (
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
        self._allowance = UNHEARD
        if not self.half_close:
            transport.close()
            return
        # Closing a socket with unread bytes resets it, and the peer would not read the reason.
        try:
            transport.write_eof()
        except OSError:
            # The peer has reset the connection, so it reads nothing more.
            transport.abort()
            return
        if not self._reading:
            transport.resume_reading()

    def _schedule_tick(self) -> None:
        # The time is only ever put off: a tick that is too early schedules the next one.
        if (due := self._engine.next_tick) is not None:
            self._tick = self.loop.call_at(due, self._on_tick)

    def _on_tick(self) -> None:
        self._tick = None
        self._engine.tick(self.loop.time())
        self._finish_turn()


def no_delay(sock: socket.socket | None) -> None:
    """Disable Nagle's algorithm; asyncio does so for sockets it creates itself."""
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _acknowledge(sock: socket.socket | None) -> None:
    """Acknowledge received bytes now, where the system can do that.

    A peer with Nagle's algorithm holds its second message back until the first is acknowledged,
    which the system delays by 40 ms. OpenSSH's client does so with what follows its NEWKEYS, its
    server with the answer to the first channel, which follows a list of its host keys.
    """
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError, AttributeError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


_SERVICE_OPTIONS = {
    socket.AF_INET: (socket.IPPROTO_IP, socket.IP_TOS),
    socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_TCLASS),
}


def set_service(driver: Driver, code: int | None) -> None:
    """Have the packets of a connection carry a class of service (RFC 2474): IPQoS.

    Nothing changes for a connection through a jump host or a command, which has no socket of its
    own.

    :param code: the byte for the IP header; None leaves it to the system.
    """
    sock = None if driver.transport is None else driver.transport.get_extra_info("socket")
    if sock is None or code is None:
        return
    option = _SERVICE_OPTIONS.get(sock.family)
    if option is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(*option, code)
