"""The way to a host that is not a socket of its own: jump hosts, tunnels, pairs of streams.

The order of reading: :func:`carried` makes streams of what a caller gives as ``sock``;
:func:`through` logs in to one jump host after the other, each over the one before.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, TypeAlias, cast

from nacre.aio.carrier import ByteReader, ByteWriter, Streams, blame
from nacre.aio.waiting import Later
from nacre.client.connection import Connection
from nacre.client.forwarding.tunnel import Tunnel
from nacre.config.destination import Destination, check_count, parse_jumps
from nacre.errors import (
    ChannelOpenFailed,
    ConfigurationError,
    ConnectFailed,
    DeadlineExceeded,
    NacreError,
)
from nacre.limits import KIB
from nacre.value import value
from nacre.wire.text import safe

Pair: TypeAlias = tuple[ByteReader | IO[Any] | int, ByteWriter | IO[Any] | int]
"""A stream to read and one to write, each one of asyncio's or nacre's, a file, or a descriptor."""

Sock: TypeAlias = socket.socket | Tunnel | Pair
"""What a connection can use in place of a socket that it connects itself."""

Jump: TypeAlias = str | Connection
"""A jump host: ``[user@]host[:port]``, an ``ssh://`` URI, or a connection that is open."""

Carrier: TypeAlias = socket.socket | Streams
"""What carries a connection."""

_BUFFER = 256 * KIB


# --- what a caller gives as ``sock`` ---


async def carried(sock: Sock) -> Carrier:
    """Return what carries a connection over ``sock``, which it owns from now on.

    :raises ConfigurationError: it is neither a socket, a tunnel nor a pair of streams.
    :raises ConnectFailed: a file or descriptor can't be used without blocking.
    """
    if isinstance(sock, (socket.socket, Streams)):
        return sock
    if isinstance(sock, Tunnel):
        via = cast(Connection, sock.via)
        return Streams(
            sock.reader, sock.writer, close=_at_once(sock.close), abort=sock.close, via=via
        )
    if not (isinstance(sock, tuple) and len(sock) == 2):
        raise ConfigurationError(
            f"sock can't be {type(sock).__name__}: give a connected socket, a Tunnel, or a pair "
            "(reader, writer)"
        )
    with _unusable():
        reader, ending = await _read_end(sock[0])
        try:
            writer = await _write_end(sock[1])
        except BaseException:
            ending()
            raise
    if not isinstance(writer, asyncio.StreamWriter):
        return Streams(reader, writer, close=_at_once(writer.write_eof), abort=writer.write_eof)
    end = writer

    def close() -> Later[None]:
        ending()
        end.close()
        return Later(end.wait_closed)

    def cut() -> None:
        ending()
        if not end.is_closing() or end.transport.get_write_buffer_size():
            end.transport.abort()

    return Streams(reader, writer, close=close, abort=cut)


async def _read_end(given: ByteReader | IO[Any] | int) -> tuple[ByteReader, Callable[[], object]]:
    """Return a stream to read, and what closes it if it was made here."""
    if inspect.iscoroutinefunction(getattr(given, "read", None)):
        return cast(ByteReader, given), lambda: None
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(_BUFFER, loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport, _ = await loop.connect_read_pipe(lambda: protocol, _file(given, "rb"))
    return reader, transport.close


async def _write_end(given: ByteWriter | IO[Any] | int) -> ByteWriter:
    """Return a stream to write."""
    if hasattr(given, "drain"):
        return cast(ByteWriter, given)
    loop = asyncio.get_running_loop()
    # Of these only the flow control is used; nothing is read.
    protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader(loop=loop), loop=loop)
    transport, _ = await loop.connect_write_pipe(lambda: protocol, _file(given, "wb"))
    return asyncio.StreamWriter(transport, protocol, None, loop)


def _file(given: Any, mode: str) -> IO[Any]:
    # A transport of asyncio takes what a socket has to read for the end of what it writes to it.
    if stat.S_ISSOCK(os.fstat(given if isinstance(given, int) else given.fileno()).st_mode):
        raise ValueError("it is a socket: give socket.socket(fileno=...) in place of the pair")
    return os.fdopen(given, mode, 0) if isinstance(given, int) else cast("IO[Any]", given)


@contextmanager
def _unusable() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, AttributeError) as error:  # ValueError: it is a regular file
        raise ConnectFailed(f"sock can't be used as a pair of streams: {error}") from error


def _at_once(close: Callable[[], object]) -> Callable[[], Later[None]]:
    """Return a close that does not wait for the other end."""

    async def done() -> None:
        pass

    def start() -> Later[None]:
        close()
        return Later(done)

    return start


# --- jump hosts ---


@value
class Hop:
    """A jump host to log in to.

    :ivar name: how errors name it.
    :ivar log_in: logs in; gets what carries the connection, or None for the first host on the way.
        A login that fails closes what it was given.
    """

    name: str
    host: str
    port: int
    log_in: Callable[[Carrier | None], Awaitable[Connection]]


def jump_hosts(jump: Jump | Sequence[Jump]) -> list[Destination | Connection]:
    """Return the jump hosts that a caller names, in the order in which to visit them.

    :raises ConfigurationError: a text names no host, there are too many, or an open connection is
        not the first.
    """
    several = [jump] if isinstance(jump, (str, Connection)) else list(jump)
    hops: list[Destination | Connection] = []
    for one in several:
        if isinstance(one, str):
            hops += parse_jumps("jump", one)
        elif isinstance(one, Connection) and not hops:
            hops.append(one)
        else:
            raise ConfigurationError(
                f"jump has {type(one).__name__} at place {len(hops) + 1}: give texts, "
                "[user@]host[:port]; an open connection can only be the first"
            )
    check_count(len(hops))
    return hops


async def through(
    hops: Sequence[Hop | Connection], host: str, port: int, bound: Callable[[], asyncio.Timeout]
) -> Streams:
    """Log in to each jump host over the one before, and let the last one connect to ``host``.

    :param hops: at least one. An open connection may be the first of them, and stays open.
    :param bound: makes the deadline for a jump host's connection to the next host.
    :returns: what carries a connection to the host. The connections that were made here close with
        the streams.
    :raises NacreError: a login failed, or a jump host could not connect; the error names it.
    """
    carrier: Streams | None = None
    places = [*((hop.host, hop.port) for hop in hops[1:]), (host, port)]
    for hop, place in zip(hops, places, strict=True):
        if isinstance(hop, Connection):
            connection, owned = hop, False
        else:
            connection, owned = await _logged_in(hop, carrier), True
        carrier = await _onward(connection, place, bound, owned=owned)
    assert carrier is not None
    return carrier


async def _logged_in(hop: Hop, carrier: Streams | None) -> Connection:
    try:
        connection = await hop.log_in(carrier)
    except BaseException as error:
        if carrier is not None:
            carrier.abort()
        if isinstance(error, NacreError):
            error.hop = error.hop or hop.name
        raise
    connection.name = hop.name
    return connection


async def _onward(
    connection: Connection,
    place: tuple[str, int],
    bound: Callable[[], asyncio.Timeout],
    *,
    owned: bool,
) -> Streams:
    """Let a jump host connect to the next host.

    :param owned: whether the connection is closed with the streams, and when this fails.
    """
    try:
        tunnel = await _opened(connection, place, bound())
    except BaseException as error:
        if owned:
            connection.abort()
            await connection.wait_closed()
        if isinstance(error, NacreError):
            raise blame(error, connection) from error
        raise

    def close() -> Later[None]:
        tunnel.close()
        return connection.close()

    return Streams(
        tunnel.reader,
        tunnel.writer,
        close=close if owned else _at_once(tunnel.close),
        abort=connection.abort if owned else tunnel.close,
        via=connection,
    )


async def _opened(
    connection: Connection, place: tuple[str, int], deadline: asyncio.Timeout
) -> Tunnel:
    where = f"{safe(place[0])} port {place[1]}"
    try:
        async with deadline:
            return await connection.open_connection(*place)
    except TimeoutError as error:
        if not deadline.expired():
            raise
        raise DeadlineExceeded(
            f"it has not connected to {where} in time; check that it can reach that host"
        ) from error
    except ChannelOpenFailed as error:
        raise ConnectFailed(
            f"it can't connect to {where}: {error.description or f'reason code {error.code}'}; "
            "check the address, and whether it allows forwarding"
        ) from error
