"""Accepts connections where it matters whom they come from, before anything is made for them.

A client of a trusted proxy is the one that the proxy names; a banned one is closed at once.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator

from nacre.errors import ConnectionLost
from nacre.server.admission.bans import BANNED
from nacre.server.admission.proxied import HEADER_ERRORS, ProxyGone, read_header
from nacre.server.admission.proxy_header import ClientOrigin
from nacre.server.admission.refusals import Refusals
from nacre.server.peer import Client, Log, address_of
from nacre.server.settings import ServerSettings
from nacre.value import replace
from nacre.wire.text import safe

MOST_HEADERS = 1024
"""Connections whose header is awaited at once."""

_PAUSE = 1.0
"""Seconds without an attempt to accept where the system lacks descriptors or memory."""

_LACKING = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_GONE = (errno.ECONNABORTED, errno.EAGAIN, errno.EINTR, errno.EPROTO, errno.EPERM)
"""The errors of accept(2) that are about the one connection, which is gone."""

Attach = Callable[[socket.socket, int, ClientOrigin | None], Awaitable[object]]
"""Serves a connection under a number; raises OSError if it is gone."""


def is_banned(settings: ServerSettings, host: str) -> bool:
    """Tell whether connections from an address are closed at once."""
    return settings.bans is not None and settings.bans.refuses(host)


class Stranger(Client):
    """A client for whom no connection is made: the log tells who it was."""

    def __init__(self, number: int, peer: tuple[str, int], log: Log) -> None:
        self.id, self.peer, self.host, self.user = number, peer, peer[0], ""
        self._log = log


class Acceptor:
    """Accepts from listening sockets.

    :param descriptors: those of the sockets, which remain the caller's.
    :param settings: returns the settings for a new connection.
    :param numbers: those of the connections.
    :param refusals: logs connections that are closed at once.
    """

    def __init__(
        self,
        descriptors: Iterable[int],
        settings: Callable[[], ServerSettings],
        numbers: Iterator[int],
        attach: Attach,
        refusals: Refusals,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        # Each copy is of the same socket: what asyncio has is not to be used beside its servers.
        self._sockets = [socket.socket(fileno=os.dup(one)) for one in descriptors]
        self._settings = settings
        self._numbers = numbers
        self._attach = attach
        self._refusals = refusals
        self._tasks: set[asyncio.Task[None]] = set()
        self._headers = 0
        for sock in self._sockets:
            sock.setblocking(False)
            self._loop.add_reader(sock, self._on_readable, sock)

    @property
    def descriptors(self) -> list[int]:
        """The descriptors that are this object's own."""
        return [sock.fileno() for sock in self._sockets]

    @property
    def busy(self) -> bool:
        """Whether a connection was accepted that is not served yet."""
        return bool(self._tasks)

    def stop(self) -> None:
        """Accept no more; what has arrived goes on."""
        for sock in self._sockets:
            self._loop.remove_reader(sock)
            sock.close()
        self._sockets = []

    def close(self) -> None:
        """Accept no more, and close the connections that are not served yet."""
        self.stop()
        for task in self._tasks:
            task.cancel()

    def _on_readable(self, listener: socket.socket) -> None:
        # One in each turn: an idle process that has the socket, too, gets the next one.
        try:
            sock, name = listener.accept()
        except OSError as error:
            if error.errno in _LACKING:
                self._pause(listener, error)
            elif error.errno not in _GONE:
                raise
            return
        settings = self._settings()
        peer = address_of(name)
        if peer[0] not in settings.proxies and is_banned(settings, peer[0]):
            sock.close()
            self._refusals.note(Stranger(0, peer, settings.log), reason=BANNED)
            return
        sock.setblocking(False)
        task = self._loop.create_task(self._take(sock, peer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _pause(self, listener: socket.socket, error: OSError) -> None:
        """Wait until others have given back what the system lacks."""
        message = "socket.accept() out of system resource"
        self._loop.call_exception_handler({"message": message, "exception": error})
        self._loop.remove_reader(listener)
        self._loop.call_later(_PAUSE, self._resume, listener)

    def _resume(self, listener: socket.socket) -> None:
        if listener in self._sockets:
            self._loop.add_reader(listener, self._on_readable, listener)

    async def _take(self, sock: socket.socket, peer: tuple[str, int]) -> None:
        settings, number, origin = self._settings(), next(self._numbers), None
        stranger = Stranger(number, peer, settings.log)
        try:
            if peer[0] in settings.proxies:
                origin = await self._origin(sock, number, peer)
            await self._attach(sock, number, origin)
        except HEADER_ERRORS as error:
            self._refusals.note(stranger, reason=safe(str(error)))
            sock.close()
        except (OSError, ProxyGone):
            sock.close()
        except asyncio.CancelledError:
            sock.close()
            raise

    async def _origin(
        self, sock: socket.socket, number: int, peer: tuple[str, int]
    ) -> ClientOrigin:
        """Return whom a trusted proxy names: itself, where it looks whether the server is there.

        :raises RemoteProtocolError: there is no header, or a bad one.
        :raises ConnectionLost: the proxy is too slow, or there are too many.
        :raises ProxyGone: it has left.
        """
        if self._headers >= MOST_HEADERS:
            raise ConnectionLost("too many headers of proxies are awaited")
        settings = self._settings()
        self._headers += 1
        try:
            if settings.find_origin is not None:
                found = await settings.find_origin(number, sock)
            else:
                found = await read_header(sock, settings.login_grace)
        finally:
            self._headers -= 1
        if found is None:
            return ClientOrigin(peer, address_of(sock.getsockname()), peer)
        if is_banned(settings, found.peer[0]):
            raise ConnectionLost(BANNED)
        return replace(found, proxy=peer)
