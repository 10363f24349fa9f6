"""``nacre.listen``: a server."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any

from nacre.aio.driver import Driver
from nacre.aio.versions import PROTOCOLS, server_engines
from nacre.aio.waiting import Closes, Gate, Later, Opening
from nacre.errors import ConfigurationError
from nacre.keys import PrivateKey
from nacre.limits import DEFAULT_LIMITS, Limits
from nacre.protocol.options import SSH1_CIPHERS, Algorithms, Profile, ServerOptions
from nacre.protocol.options import algorithms as default_algorithms
from nacre.server.peer import Log
from nacre.server.policy import Policy
from nacre.server.serving import (
    FilesystemFactory,
    Handler,
    ServerSettings,
    Serving,
    to_logging,
)
from nacre.server.session import Session
from nacre.server.startups import MaxStartups, Startups

BACKLOG = 1024
"""Connections the system keeps for us until we take them."""


class Server(Closes):
    """A server that listens. ``async with`` closes it at the end.

    :ivar closing: it takes no more connections and sessions.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.closing = False
        self._settings = settings
        self._listener: asyncio.Server | None = None
        self._addresses: tuple[tuple[str, int], ...] = ()
        self._connections: dict[int, Serving] = {}
        self._waiting: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._last = 0
        self._changed = Gate()
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """The addresses and ports it listens on."""
        return self._addresses

    @property
    def port(self) -> int:
        """The first port it listens on."""
        return self._addresses[0][1]

    @property
    def connections(self) -> tuple[Serving, ...]:
        """The connections that are open, in the order in which they came."""
        return tuple(self._connections.values())

    async def start(self, host: str | Sequence[str], port: int, sock: socket.socket | None) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        if sock is None:
            self._listener = await loop.create_server(
                self._accept, host, port, backlog=BACKLOG, start_serving=False
            )
        else:
            # Other processes may take connections from this socket as well. asyncio takes as many
            # at a time as it is told here: with one, who has nothing else to do gets the next.
            self._listener = await loop.create_server(
                self._accept, sock=sock, backlog=1, start_serving=False
            )
        names = (one.getsockname() for one in self._listener.sockets)
        self._addresses = tuple(n[:2] if isinstance(n, tuple) else (n, 0) for n in names)
        try:
            await self._listener.start_serving()
            if sock is not None:
                sock.listen(BACKLOG)
        except BaseException:
            self._listener.close()
            raise

    async def attach(self, sock: socket.socket) -> Serving:
        """Serve a client over a connected stream socket, which belongs to the server from now."""
        connection = self._make()
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: connection.driver, sock)
        return connection

    def _accept(self) -> Driver:
        return self._make().driver

    def _make(self) -> Serving:
        self._last += 1
        return Serving(self, self._settings, self._last)

    # --- what connections report ---

    def admit(self, connection: Serving) -> bool:
        """Tell whether one more connection may try to log in; when it may, it counts."""
        self._connections[connection.id] = connection
        if self.closing:
            return False
        settings, draw = connection.settings, random.random()
        if not settings.max_startups.admits(settings.startups.waiting, draw):
            return False
        self._waiting.add(connection.id)
        settings.startups.enter()
        return True

    def logged_in(self, connection: Serving) -> None:
        """The connection waits no longer."""
        if connection.id in self._waiting:
            self._waiting.remove(connection.id)
            connection.settings.startups.leave()

    def forget(self, connection: Serving) -> None:
        """The connection is over."""
        self.logged_in(connection)
        self._connections.pop(connection.id, None)
        self._changed.wake()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a session's handler; the server is not closed before it has ended."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._changed.wake()

    # --- public ---

    def reload(
        self,
        *,
        host_keys: Sequence[PrivateKey] | None = None,
        policy: Policy | None = None,
        handler: Handler | None = None,
        sftp: FilesystemFactory | None = None,
        algorithms: Algorithms | None = None,
        limits: Limits | None = None,
        login_grace: float | None = None,
        max_startups: str | None = None,
        keepalive: float | None = None,
        keepalive_count: int | None = None,
        banner: str | None = None,
        accept_env: Sequence[str] | None = None,
    ) -> None:
        """Change what new connections are told; what is None stays. Open ones go on as they are.

        :raises ConfigurationError: a value makes no sense; nothing changed.
        """
        options: dict[str, Any] = _given(
            host_keys=None if host_keys is None else tuple(host_keys),
            algorithms=algorithms,
            limits=limits,
        )
        changes: dict[str, Any] = _given(
            policy=policy,
            handler=handler,
            sftp=sftp,
            login_grace=login_grace,
            max_startups=None if max_startups is None else MaxStartups.parse(max_startups),
            keepalive=keepalive,
            keepalive_count=keepalive_count,
            banner=banner,
            accept_env=None if accept_env is None else tuple(accept_env),
        )
        if handler is not None or sftp is not None:
            old = self._settings
            changes["serve"] = serving(handler or old.handler, sftp or old.sftp)
        settings = replace(
            self._settings, options=replace(self._settings.options, **options), **changes
        )
        _check(settings)
        self._settings = settings

    def close(self, graceful: float = 0.0) -> Later[None]:
        """Take no more connections and end those there are. It acts at once; await it for the end.

        :param graceful: seconds that sessions which are open have to end by themselves.
        """
        self.closing = True
        if self._listener is not None:
            self._listener.close()
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        for connection in self.connections:
            if not graceful or not connection.sessions:
                connection.close()
        if graceful and self._connections:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(graceful, self.close)
        return Later(self.wait_closed)

    async def wait_closed(self) -> None:
        """Return when the server is closed, and every connection and session has ended."""
        while not self.closing or self._connections or self._tasks:
            await self._changed.wait()
        if self._deadline is not None:
            self._deadline.cancel()


def _given(**values: object) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


def _check(settings: ServerSettings) -> None:
    """Find out now, and not at the first connection, whether an engine takes the settings."""
    if not settings.options.host_keys:
        raise ConfigurationError(
            'a server needs a host key: nacre.generate("ssh-ed25519") makes one, to be kept'
        )
    settings.engines(settings.options)


def serving(handler: Handler | None, sftp: FilesystemFactory | None) -> Handler:
    """Return what serves a session: its files, or the handler."""

    async def serve(session: Session) -> int | None:
        if sftp is not None and (session.subsystem == "sftp" or handler is None):
            from nacre.server.dispatch import serve_files

            return await serve_files(session, sftp(session))
        assert handler is not None
        return await handler(session)

    return serve


def listen(
    host: str | Sequence[str] = "127.0.0.1",
    port: int = 0,
    *,
    host_keys: Sequence[PrivateKey],
    policy: Policy,
    handler: Handler | None = None,
    sftp: FilesystemFactory | None = None,
    algorithms: Algorithms | None = None,
    profile: Profile = "default",
    protocols: Sequence[int] = PROTOCOLS,
    ssh1_ciphers: Sequence[str] | None = None,
    limits: Limits = DEFAULT_LIMITS,
    login_grace: float = 120.0,
    max_startups: str = "10:30:100",
    keepalive: float | None = None,
    keepalive_count: int = 3,
    banner: str = "",
    accept_env: Sequence[str] = (),
    sock: socket.socket | None = None,
    startups: Startups | None = None,
    log: Log | None = None,
) -> Opening[Server]:
    """Start a server: await it, or use ``async with``.

    ::

        async def hello(session):
            await session.stdout.write(b"hello, " + session.user.encode() + b"\\n")

        async with nacre.listen(
            port=2222, host_keys=[key], policy=nacre.Users({"alice": "secret"}), handler=hello
        ) as server:
            await server.wait_closed()

    :param host: an address, several, or "" for every one.
    :param port: 0 lets the system choose; ``Server.port`` tells.
    :param host_keys: the server's keys, of different types.
    :param policy: decides on logins and requests.
    :param handler: runs a session that was granted; what it returns is the exit status, None is 0.
        When it raises, that is logged, and the exit status is 255. Without one there are no shells
        and no commands.
    :param sftp: called with each session that is to be SFTP, or scp when there is no ``handler``;
        returns its files: ``sftp=lambda session: nacre.LocalFilesystem("/srv/files")``.
    :param protocols: versions of the protocol: ``(2, 1)`` announces 1.99 and speaks SSH-1 with
        clients that have nothing else, ``(1,)`` nothing else. SSH-1 needs a host key of the type
        ``rsa1``; it is weak, and each use is logged as a warning.
    :param ssh1_ciphers: what SSH-1 offers besides ``3des``: of ``blowfish`` and ``des``.
    :param login_grace: seconds a client has to log in; 0 for no end.
    :param max_startups: how many may wait to log in; see :class:`MaxStartups`.
    :param keepalive: seconds of silence after which a client is asked for a sign of life.
    :param keepalive_count: how many such questions may stay unanswered.
    :param banner: text to show before login.
    :param accept_env: patterns of environment variables that clients may set.
    :param sock: a listening socket to use in place of ``host`` and ``port``; servers in other
        processes may use it too.
    :param startups: a count for all servers that share the limit ``max_startups``.
    :param log: called with a record of each phase of each connection; by default they go to the
        logger ``nacre.server``.
    :raises ConfigurationError: a value makes no sense.
    :raises OSError: the address can't be used.
    """
    options = ServerOptions(
        algorithms=algorithms or default_algorithms(profile=profile),
        limits=limits,
        host_keys=tuple(host_keys),
        ssh1_ciphers=tuple(ssh1_ciphers or SSH1_CIPHERS),
    )
    settings = ServerSettings(
        options=options,
        engines=server_engines(protocols),
        policy=policy,
        handler=handler,
        sftp=sftp,
        serve=serving(handler, sftp),
        login_grace=login_grace,
        max_startups=MaxStartups.parse(max_startups),
        startups=startups or Startups(),
        keepalive=keepalive,
        keepalive_count=keepalive_count,
        banner=banner,
        accept_env=tuple(accept_env),
        log=log or to_logging,
    )
    _check(settings)

    async def start() -> Server:
        server = Server(settings)
        await server.start(host, port, sock)
        return server

    return Opening(start)
