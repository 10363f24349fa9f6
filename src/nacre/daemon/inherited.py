"""The connection of a process that serves one: it was started with it, or waits for it.

inetd(8) starts a process with a connection as standard input and output. They are one socket, or
two pipes if the process is the ProxyCommand of an SSH client.
"""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass

from nacre.daemon.background import silence
from nacre.daemon.sockets import ListeningSockets
from nacre.limits import KIB

_PIECE = 256 * KIB


@dataclass(frozen=True, slots=True)
class Taken:
    """A connection to serve.

    :ivar sock: the socket to serve.
    :ivar copying: what joins the socket to pipes, or None.
    """

    sock: socket.socket
    copying: asyncio.Task[None] | None = None

    async def ended(self) -> None:
        """Return when everything was written."""
        if self.copying is not None:
            await self.copying


async def take_inherited(stop: asyncio.Event, *, quiet: bool = False) -> Taken:
    """Return the connection that standard input and output are; they become ``/dev/null``.

    :param quiet: so does standard error, which is the client's under inetd.
    """
    pipes = os.dup(0), os.dup(1)
    silence(0, 1, *([2] if quiet else []))
    if stat.S_ISSOCK(os.fstat(pipes[0]).st_mode):
        os.close(pipes[1])
        sock = socket.socket(fileno=pipes[0])
        sock.setblocking(False)
        return Taken(sock)
    sock, other = socket.socketpair()
    sock.setblocking(False)
    return Taken(sock, asyncio.create_task(_join(pipes, other)))


async def take_first(sockets: ListeningSockets, stop: asyncio.Event) -> Taken | None:
    """Return the first connection that ``sockets`` get, and close them.

    :param stop: ends the wait, and the result is then None.
    """
    loop = asyncio.get_running_loop()
    for sock in sockets.all:
        sock.setblocking(False)
    waiting = [asyncio.create_task(loop.sock_accept(sock)) for sock in sockets.all]
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({*waiting, stopped}, return_when=asyncio.FIRST_COMPLETED)
    for task in (*waiting, stopped):
        task.cancel()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    sockets.close()
    accepted = [one[0] for one in found if isinstance(one, tuple)]
    for more in accepted[1:]:
        more.close()
    return Taken(accepted[0]) if accepted else None


async def _join(pipes: tuple[int, int], sock: socket.socket) -> None:
    """Copy from the first pipe to ``sock`` and from ``sock`` to the second, until both have ended.

    The pipes and ``sock`` are closed at the end.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    reading, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipes[0], "rb", buffering=0)
    )
    writing, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()),
        os.fdopen(pipes[1], "wb", buffering=0),
    )
    writer = asyncio.StreamWriter(writing, protocol, None, loop)
    sock.setblocking(False)
    incoming = asyncio.create_task(_receive(reader, sock))
    try:
        with suppress(OSError):
            while data := await loop.sock_recv(sock, _PIECE):
                writer.write(data)
                await writer.drain()
    finally:
        incoming.cancel()
        await asyncio.wait({incoming})
        with suppress(OSError):
            writer.close()
            await writer.wait_closed()
        reading.close()
        sock.close()


async def _receive(reader: asyncio.StreamReader, sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    with suppress(OSError):
        while data := await reader.read(_PIECE):
            await loop.sock_sendall(sock, data)
        sock.shutdown(socket.SHUT_WR)
