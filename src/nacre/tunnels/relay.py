"""A relay carries bytes between a socket and a channel, in both directions."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from struct import pack
from typing import TYPE_CHECKING, TypeAlias, cast

from nacre.aio.busy_poll import BRIEF
from nacre.aio.channel import Channel, kind_of
from nacre.aio.driver import LINGER, no_delay
from nacre.aio.receiving import ReceiveBuffer
from nacre.aio.stream import Writer, write_chunks
from nacre.errors import NacreError
from nacre.limits import KIB
from nacre.protocol.asks import AskOpen, Granted
from nacre.wire.codec import Buffer
from nacre.wire.numbers import MAIN

if TYPE_CHECKING:
    from nacre.aio.connection import BaseConnection

READ = 896 * KIB
"""Bytes per read of a socket: seven packets of 128 KiB, as many as a block of the outbox holds.

Each turn of the loop and each system call has a fixed cost. A relay may have to hold these bytes
while the peer takes none.
"""

_RESET = pack("ii", 1, 0)


class Relay(asyncio.BufferedProtocol):
    """Carries bytes between a socket's transport and a channel; a task runs only while it waits.

    Data from the socket goes from the loop's buffer to the sealer. While the peer's window or the
    connection's socket takes no more, the socket is not read. What a turn brings from the channel
    is written to the socket in one go: a write for each packet costs the system a third more. The
    window is adjusted for it when the socket has taken it.

    The end of data is passed on for each direction alone. When both have ended, or one side is
    gone, the other side is closed. A socket that is slow then may take its time while the
    connection lasts, and :data:`~nacre.aio.driver.LINGER` seconds more. If the connection was lost,
    or that time is over, the socket is reset, so that truncated data does not look whole.
    """

    def __init__(self, connection: BaseConnection, channel: Channel) -> None:
        self._connection = connection
        self._channel = channel
        self._writer = Writer(channel)
        self._buffer = ReceiveBuffer.of(connection.loop)
        self._transport: asyncio.Transport | None = None
        self._gone = connection.loop.create_future()
        self._fed: list[Buffer] = []
        self._consumed = 0
        self._full = False
        self._socket_ended = False
        self._channel_ended = False
        self._cut_off = False
        channel.sinks = {MAIN: self}

    async def attach(self, sock: socket.socket) -> None:
        """Start with ``sock``, which the relay owns from now on. The channel must be open.

        :raises OSError: the socket can't be used.
        """
        no_delay(sock)
        await self._connection.loop.connect_accepted_socket(lambda: self, sock)

    # --- called by the socket's transport ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=0)
        self._flush()
        if self._channel_ended:
            self._end_socket()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer.claim(None)[:READ]

    def buffer_updated(self, nbytes: int) -> None:
        channel, transport = self._channel, self._transport
        assert transport is not None
        if channel.takes_no_data:
            return
        view = self._buffer.view[:nbytes]
        taken = channel.send(view, MAIN, at_once=nbytes <= BRIEF)
        if taken < nbytes or channel.congested:
            transport.pause_reading()
            self._connection.spawn(self._catch_up(bytes(view[taken:])))

    async def _catch_up(self, rest: bytes) -> None:
        """Send what was not taken, then read the socket again."""
        with suppress(NacreError):
            await self._writer.write(rest)
        if self._transport is not None:
            self._transport.resume_reading()

    def eof_received(self) -> bool:
        self._socket_ended = True
        if not self._channel.takes_no_data:
            self._writer.write_eof()
        if self._channel_ended:
            self._close()
        return True

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._adjust_window()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self._gone.done():
            self._gone.set_result(None)
        self._channel.close()

    # --- called by the channel ---

    def feed(self, data: Buffer) -> None:
        """Take data from the peer for the socket, which gets what one turn brings in one write."""
        if not self._fed:
            self._channel.before_write(self._flush, at_once=True)
        self._fed.append(data)

    def _flush(self) -> None:
        fed = self._fed
        if not fed or (self._transport is None and not self._gone.done()):
            return
        self._fed = []
        if self._transport is not None:
            rest = fed if len(fed) == 1 else _write_now(self._transport, fed)
            for chunk in rest:
                self._transport.write(chunk)
        self._consumed += sum(map(len, fed))
        if not self._full:
            self._adjust_window()

    def _adjust_window(self) -> None:
        self._channel.adjust_window(self._consumed)
        self._consumed = 0

    def end(self, error: NacreError | None = None) -> None:
        """Note the end of the peer's data, or of the channel."""
        self._cut_off = error is not None and not self._channel_ended
        self._channel_ended = True
        self._flush()
        if self._transport is not None:
            self._end_socket()

    def _end_socket(self) -> None:
        assert self._transport is not None
        channel = self._channel
        if self._cut_off:
            _abort(self._transport)
        elif self._socket_ended or channel.closed or channel.closing:
            self._close()
        elif not self._transport.is_closing():
            self._transport.write_eof()

    def _close(self) -> None:
        """Close the socket once it has taken everything."""
        transport, connection = self._transport, self._connection
        if transport is None or transport.is_closing():
            return
        transport.close()
        if not transport.get_write_buffer_size():
            return
        # A task is cancelled when the connection ends, even before its first step.
        waiting = connection.spawn(self._until_gone(), holds=True)
        waiting.add_done_callback(lambda _: self._linger(transport))

    async def _until_gone(self) -> None:
        await asyncio.shield(self._gone)

    def _linger(self, transport: asyncio.Transport) -> None:
        """Bound the time of a slow reader whose connection has ended."""
        if not self._gone.done():
            self._connection.loop.call_later(LINGER, _abort, transport)


Make: TypeAlias = "Callable[[BaseConnection, Channel], Relay]"
"""Returns the relay for a channel of a connection."""


async def carry(
    connection: BaseConnection,
    channel: Channel,
    sock: socket.socket,
    opened: Callable[[], Awaitable[None]] | None = None,
    make: Make = Relay,
) -> None:
    """Relay a socket and a channel once the channel is open; the relay then owns the socket.

    After an error the socket is still the caller's.

    :param opened: awaited when the channel is open, before any data is carried.
    :param make: returns the relay.
    :raises ChannelOpenFailed: the peer refused the channel.
    :raises OSError: the socket can't be used.
    :raises ConnectionLost: or another error: what ended the connection before.
    """
    relay = make(connection, channel)
    try:
        await channel.wait_opened()
        if opened is not None:
            await opened()
        await relay.attach(sock)
    except BaseException:
        channel.close()
        raise


def granting(connection: BaseConnection, ask: AskOpen) -> Channel:
    """Return the channel that the peer asks for; the caller grants it."""
    channel = Channel(connection.engine, connection.driver, ask.channel, {MAIN})
    channel.kind = kind_of(ask.channel_type)
    connection.add_channel(channel)
    return channel


async def grant(
    connection: BaseConnection, ask: AskOpen, sock: socket.socket, make: Make = Relay
) -> None:
    """Grant the peer a channel, and relay it to a connected socket, which is closed on failure.

    :param make: returns the relay.
    """
    channel = granting(connection, ask)
    carried = False
    try:
        connection.answer(ask.ask_id, Granted())
        await carry(connection, channel, sock, make=make)
        carried = True
    except (NacreError, OSError):
        pass  # the channel is closed, which both ends see
    finally:
        if not carried:
            discard(connection, sock)


def _write_now(transport: asyncio.Transport, chunks: list[Buffer]) -> list[Buffer]:
    """Write what the socket takes now of several pieces, and return the rest.

    A transport of Python 3.11 joins them first: one copy more of all data.
    """
    if not transport.get_write_buffer_size():
        # The transport meets the same error when it writes, and acts on it.
        with suppress(OSError):
            return write_chunks(transport.get_extra_info("socket").fileno(), chunks)
    return chunks


def _abort(transport: asyncio.Transport) -> None:
    """Close a socket so that its other end sees an error; one that is closed stays as it is."""
    if transport.is_closing() and not transport.get_write_buffer_size():
        return
    _reset(transport.get_extra_info("socket"))
    transport.abort()


def discard(connection: BaseConnection, sock: socket.socket) -> None:
    """Close a socket that no channel was joined to.

    If the connection was lost, the socket is reset: its program must not take that for an answer
    without data.
    """
    if connection.ended:
        _reset(sock)
    sock.close()


def _reset(sock: socket.socket) -> None:
    """Have the socket's close reset it."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
