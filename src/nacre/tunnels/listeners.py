"""Listening sockets of a connection: bound, accepted from, and closed with it."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from nacre.aio.dial import Address, Lookups, loops_threads, resolve
from nacre.aio.home import detach, own
from nacre.aio.waiting import Gate
from nacre.errors import NotUsableHere
from nacre.tunnels.unix_files import BACKLOG

if TYPE_CHECKING:
    from nacre.aio.connection import BaseConnection

_PAUSE = 1.0
"""Seconds before accepting again after an error, such as too many open files."""

_LOOPBACK = ((socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_INET6, ("::1", 0)))
_EVERYWHERE = ((socket.AF_INET, ("0.0.0.0", 0)), (socket.AF_INET6, ("::", 0)))
_NOT_HERE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
_TRIES = 16

Take: TypeAlias = Callable[[socket.socket, Any], Coroutine[Any, Any, None]]
"""Serves an accepted connection: gets its socket, which it closes, and the peer's address."""


class Listening:
    """Accepts connections until it is closed, or the SSH connection ends.

    :param sockets: bound and listening; they are closed at the end.
    :param take: serves each accepted connection, in a task of the SSH connection.
    :param release: called when the sockets are closed, but not in a forked child.
    """

    def __init__(
        self,
        connection: BaseConnection,
        sockets: Sequence[socket.socket],
        take: Take,
        release: Callable[[], None] | None = None,
    ) -> None:
        self._connection = connection
        self._take = take
        self._release = release
        self._changed = Gate()
        self._left = len(sockets)
        self._tasks = []
        self._sockets = sockets
        own(self)
        for sock in sockets:
            sock.setblocking(False)
            task = connection.spawn(self._accept(sock))
            task.add_done_callback(partial(self._ended, sock))
            self._tasks.append(task)

    async def _accept(self, listening: socket.socket) -> None:
        loop = self._connection.loop
        while True:
            try:
                sock, address = await loop.sock_accept(listening)
            except ConnectionAbortedError:
                continue
            except OSError:
                await asyncio.sleep(_PAUSE)
                continue
            self._connection.spawn(self._take(sock, address), holds=True)

    def _ended(self, sock: socket.socket, task: asyncio.Task[None]) -> None:
        sock.close()
        self._left -= 1
        if not self._left and self._release is not None:
            self._release()
        self._changed.wake()

    def disown(self, error: NotUsableHere) -> None:
        """Let go of the sockets in a forked child; see :mod:`nacre.aio.home`."""
        detach(sock.fileno() for sock in self._sockets)
        self._tasks.clear()
        self._left = 0
        self._release = None

    @property
    def closed(self) -> bool:
        """Whether all sockets are closed."""
        return not self._left

    def close(self) -> None:
        """Stop listening; accepted connections are still served."""
        for task in self._tasks:
            task.cancel()

    async def wait_closed(self) -> None:
        """Return when the sockets are closed."""
        while self._left:
            await self._changed.wait()


async def bind(host: str, port: int, lookups: Lookups = loops_threads) -> list[socket.socket]:
    """Return sockets that listen on a port of this host.

    :param host: "localhost" means the loopback addresses of both families, "" every address.
    :param port: 0 lets the system choose one port for all addresses.
    :param lookups: where names are looked up.
    :raises ConnectFailed: the name has no address.
    :raises OSError: an address is in use, not permitted, or not of this host.
    """
    if host == "localhost":
        addresses: Sequence[Address] = _LOOPBACK
    elif not host:
        addresses = _EVERYWHERE
    else:
        addresses = await resolve(host, 0, lookups)
    for _ in range(_TRIES):
        try:
            return _bind_all(addresses, port)
        except OSError as error:
            # The port the system chose for the first address may be in use on the next.
            if port or error.errno != errno.EADDRINUSE:
                raise
    return _bind_all(addresses, port)


def _bind_all(addresses: Iterable[Address], port: int) -> list[socket.socket]:
    """Bind all addresses that this host has; after an error, none."""
    found: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, address in addresses:
            try:
                found.append(_bind(family, (address[0], port, *address[2:])))
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                missing = error
            port = port or (found[0].getsockname()[1] if found else 0)
        if not found:
            raise missing or OSError(errno.EADDRNOTAVAIL, "no address")
    except BaseException:
        for sock in found:
            sock.close()
        raise
    return found


def _bind(family: int, address: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock
