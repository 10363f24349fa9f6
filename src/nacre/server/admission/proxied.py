"""Reads the header of the PROXY protocol from a socket, before anything else of it is read."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios

from nacre.errors import ConnectionLost, MalformedMessage, RemoteProtocolError
from nacre.server.admission.proxy_header import ClientOrigin, missing, parse

_LONGEST_WAIT = 120.0
"""Seconds for a header where a login has no limit: a proxy sends it at once."""


class ProxyGone(Exception):
    """The proxy has left before its header was whole: there was no client.

    A check of a proxy that sends none does so, or one that closes the connection with a reset.
    """


_TCP_INFO_SIZE = 256
_BYTES_RECEIVED = 128
"""Where struct tcp_info has ``tcpi_bytes_received``, 8 bytes (linux/tcp.h)."""


async def read_header(sock: socket.socket, seconds: float) -> ClientOrigin | None:
    """Read the header and nothing behind it; return whom it names.

    :param sock: its other end is a proxy that is trusted.
    :param seconds: how long it may take; 0 for the longest time.
    :returns: None where the connection is the proxy's own, to see whether this server is there.
    :raises RemoteProtocolError: there is no header, or a bad one.
    :raises ConnectionLost: the time is over.
    :raises ProxyGone: the proxy has left.
    """
    data = await _read(sock, seconds)
    return parse(data)


async def read_first(sock: socket.socket, seconds: float) -> ClientOrigin | None:
    """As :func:`read_header`, for a socket that another process has accepted and may read too.

    What was read must be the connection's first bytes. Otherwise that process has taken the
    header, and what follows it is the client's: it could name whom it likes.

    :raises RemoteProtocolError: bytes were read before, or the system does not tell.
    """
    data = await _read(sock, seconds)
    # An end of the stream counts as one byte. One byte too few is no way around the check: no
    # header is one without its first byte.
    if taken(sock) - len(data) not in (0, 1):
        raise MalformedMessage("the PROXY header was not the first that was read")
    return parse(data)


def taken(sock: socket.socket) -> int:
    """Return how many bytes have been read from a connection since its beginning (Linux).

    :raises RemoteProtocolError: the system does not tell.
    """
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
        (received,) = struct.unpack_from("=Q", info, _BYTES_RECEIVED)
        (unread,) = struct.unpack("=i", fcntl.ioctl(sock, termios.FIONREAD, bytes(4)))
    except (OSError, struct.error) as error:
        raise MalformedMessage("the system does not tell how much of it was read") from error
    return int(received) - int(unread)


async def _read(sock: socket.socket, seconds: float) -> bytes:
    data = bytearray()
    try:
        async with asyncio.timeout(min(seconds, _LONGEST_WAIT) or _LONGEST_WAIT):
            while count := missing(bytes(data)):
                got = await _receive(sock, count)
                if not got:
                    raise ProxyGone
                data += got
    except TimeoutError:
        raise ConnectionLost("the proxy has sent no header in time") from None
    except OSError as error:
        raise ProxyGone from error
    return bytes(data)


async def _receive(sock: socket.socket, count: int) -> bytes:
    """Return some bytes, at most ``count``; none at the end.

    A process that shares the socket can make it a blocking one, so each call says that it is none.
    """
    loop = asyncio.get_running_loop()
    while True:
        try:
            return sock.recv(count, socket.MSG_DONTWAIT)
        except (BlockingIOError, InterruptedError):
            readable: asyncio.Future[None] = loop.create_future()
            loop.add_reader(sock, _settle, readable)
            try:
                await readable
            finally:
                loop.remove_reader(sock)


def _settle(readable: asyncio.Future[None]) -> None:
    if not readable.done():
        readable.set_result(None)


HEADER_ERRORS = (RemoteProtocolError, ConnectionLost)
"""What readers of headers raise that is for the log."""
