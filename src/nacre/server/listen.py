"""``nacre.listen``: the listening socket, the connections that are open, and how it all ends."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from itertools import count
from math import ceil
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from nacre.aio.driver import Driver
from nacre.aio.home import detach, own
from nacre.aio.versions import PROTOCOLS, server_engines
from nacre.aio.waiting import Closes, Gate, Later, Opening
from nacre.errors import NotUsableHere
from nacre.keys import PrivateKey
from nacre.limits import DEFAULT_LIMITS, Limits
from nacre.protocol.options import SSH1_CIPHERS, Algorithms, Profile
from nacre.protocol.options import algorithms as default_algorithms
from nacre.protocol.phases import Phase
from nacre.protocol.tcpip import check_port
from nacre.server.accepting import Acceptor
from nacre.server.admission.denials import ExactTimer
from nacre.server.admission.proxy_header import ClientOrigin
from nacre.server.admission.refusals import Refusals
from nacre.server.admission.sources import network_of, source_of
from nacre.server.admission.startups import Startups
from nacre.server.admission.threads import FairThreads
from nacre.server.peer import Log, to_logging
from nacre.server.policy import Policy
from nacre.server.serving import Serving
from nacre.server.settings import (
    KEEPALIVE,
    FilesystemFactory,
    Handler,
    ReloadOptions,
    ServerSettings,
    configured,
)
from nacre.wire import given

if TYPE_CHECKING:
    from nacre.protocol.frozen import FrozenServer

T = TypeVar("T")

LOOKUPS = 8
"""Threads in which the names of forwarded places are looked up."""

SHARE = 2
"""How many of them one network has: a name server that does not answer must not hold up others."""

YIELDING = 0.1
"""Seconds between looks for connections that are to give their places up to other sources."""

_LOOK = 0.5
"""Seconds between two looks whether a server that does not listen any more is empty."""

BACKLOG = 1024
"""How many connections the system queues until they are accepted."""


_PROBES = (
    (socket.TCP_KEEPIDLE, 300),
    (socket.TCP_KEEPINTVL, 60),
    (socket.TCP_KEEPCNT, 10),
)
"""A client that has vanished is noticed after a quarter of an hour (tcp(7)). So it is, by the
system's default, where data for it is under way; where none is, it would be after two hours."""


def notice_vanished_clients(listener: socket.socket) -> None:
    """Have the system probe silent clients: accepted sockets inherit these options (socket(7))."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if listener.family in (socket.AF_INET, socket.AF_INET6):
        for option, number in _PROBES:
            listener.setsockopt(socket.IPPROTO_TCP, option, number)


class Server(Closes):
    """A server that listens. ``async with`` closes it at the end.

    :ivar closing: whether it accepts no more connections and sessions.
    :ivar refusals: logs connections that it does not admit.
    :ivar timer: has answers wait that deny a login.
    """

    def __init__(
        self,
        settings: ServerSettings,
        numbers: Iterator[int] | None = None,
        *,
        checked: bool = False,
    ) -> None:
        """Prepare; :meth:`start` listens.

        :param numbers: those of the connections; servers that share a log may share them.
        :param checked: that engines take these settings is known, from another server.
        :raises ConfigurationError: no engine takes these settings.
        """
        self.closing = False
        self.refusals = Refusals("dropped", "connections")
        self.timer = ExactTimer()
        self._settings = settings
        self._engines = server_engines(settings.protocols)
        if not checked:
            # Mistakes are reported here and not when the first client connects.
            self._engines(settings.options)
        self._listener: asyncio.Server | None = None
        self._acceptor: Acceptor | None = None
        self._addresses: tuple[tuple[str, int], ...] = ()
        self._connections: dict[int, Serving] = {}
        self._computations = FairThreads()
        self._lookups = FairThreads(LOOKUPS, SHARE)
        # By number: the network of each connection that logs in, and its place in Startups.
        self._waiting: dict[int, tuple[bytes, int]] = {}
        self._yielding: asyncio.TimerHandle | None = None
        self._lingering: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = numbers or count(1)
        self._changed = Gate()
        self._deadline: asyncio.TimerHandle | None = None
        self._error: NotUsableHere | None = None

    def disown(self, error: NotUsableHere) -> None:
        """Give the server up in a forked child; see :mod:`nacre.aio.home`."""
        self._error = error
        self.closing = True
        if self._listener is not None:
            detach(sock.fileno() for sock in self._listener.sockets)
        if self._acceptor is not None:
            detach(self._acceptor.descriptors)
        self._acceptor = None
        self._listener = self._deadline = self._yielding = None
        self._connections, self._tasks = {}, set()
        self._computations = FairThreads()
        self._lookups = FairThreads(LOOKUPS, SHARE)
        self.timer = ExactTimer()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error.with_traceback(None)

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """The addresses and ports on which it listens."""
        return self._addresses

    @property
    def port(self) -> int:
        """The first port on which it listens."""
        return self._addresses[0][1]

    @property
    def connections(self) -> tuple[Serving, ...]:
        """The open connections, oldest first."""
        return tuple(self._connections.values())

    async def start(
        self,
        host: str | Sequence[str] = "127.0.0.1",
        port: int = 0,
        sock: socket.socket | None = None,
    ) -> None:
        """Listen; the parameters are those of :func:`listen`.

        :raises OSError: the address can't be used.
        """
        own(self)
        loop = asyncio.get_running_loop()
        if sock is None:
            self._listener = await loop.create_server(
                self._accept, host, port, backlog=BACKLOG, start_serving=False
            )
            for one in self._listener.sockets:
                notice_vanished_clients(one)
        else:
            self._listener = await loop.create_server(self._accept, sock=sock, start_serving=False)
        names = (one.getsockname() for one in self._listener.sockets)
        self._addresses = tuple(n[:2] if isinstance(n, tuple) else (n, 0) for n in names)
        try:
            # Of a socket that other processes have too, asyncio's server would lose what it has
            # accepted when it is closed, and could go on there.
            if sock is not None or self._settings.proxies or self._settings.bans is not None:
                self._accept_in_person([one.fileno() for one in self._listener.sockets])
            else:
                await self._listener.start_serving()
        except BaseException:
            self._listener.close()
            raise

    def _accept_in_person(self, descriptors: Sequence[int]) -> None:
        """Accept without asyncio's server, which makes a transport for each client at once."""
        self._acceptor = Acceptor(
            descriptors,
            lambda: self._settings,
            self._numbers,
            lambda sock, number, origin: self.attach(sock, number=number, origin=origin),
            self.refusals,
        )
        for descriptor in self._acceptor.descriptors:
            with socket.socket(fileno=os.dup(descriptor)) as one:
                one.listen(BACKLOG)

    async def attach(
        self,
        sock: socket.socket,
        frozen: FrozenServer | None = None,
        number: int | None = None,
        origin: ClientOrigin | None = None,
    ) -> Serving:
        """Serve a client over a connected stream socket, which the server owns from now on.

        :param frozen: the state of the connection, if another process let the user in.
        :param number: the number that the connection had there.
        :param origin: whom a proxy speaks for, which has the other end of the socket.
        """
        self._check()
        connection = self._make(frozen, number, origin)
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: connection.driver, sock)
        return connection

    def _accept(self) -> Driver:
        return self._make().driver

    def _make(
        self,
        frozen: FrozenServer | None = None,
        number: int | None = None,
        origin: ClientOrigin | None = None,
    ) -> Serving:
        settings = self._settings
        if frozen is None:
            engine = self._engines(settings.options)
        else:
            from nacre.ssh2.thawed import ThawedServer

            engine = ThawedServer(settings.options, frozen, random=os.urandom)
        number = next(self._numbers) if number is None else number
        return Serving(self, settings, engine, number, origin)

    # --- what connections call: see serving.Host ---

    @property
    def busy(self) -> bool:
        """Whether a session's handler runs."""
        return bool(self._tasks)

    def admit(self, connection: Serving) -> str | None:
        """Count the connection among those that log in, or return why it may not.

        The reason is logged and shown to the client.
        """
        self._connections[connection.id] = connection
        settings = connection.settings
        if self.closing:
            return "the server is stopping"
        if connection.engine.phase is Phase.CONNECTION:
            return None  # it has logged in at another process
        terms, startups = settings.terms, settings.startups
        network = network_of(connection.peer[0], terms.net_block_size)
        if terms.penalties is not None and network and not _exempt(connection):
            seconds = startups.penalties.refused(network, terms.penalties, time.monotonic())
            if seconds:
                return f"refused for {seconds:.0f} seconds because of earlier failures"
        source = source_of(connection)
        seconds = self._computations.overdrawn(source)
        if seconds and not _exempt(connection):
            return f"refused for {ceil(seconds)} seconds because of earlier key exchanges"
        most = terms.per_source_startups
        if most is not None and network and startups.waiting_from(network) >= most:
            return "too many connections from this network wait to log in"
        limit = settings.startup_limit
        if not limit.admits(startups.waiting, random.random()):
            if not startups.displace(source, 2 * limit.full):
                return "too many connections wait to log in"
            self._yield_places()
        self._waiting[connection.id] = network, startups.enter(network, source)
        if self._yielding is None:
            self._yielding = connection.loop.call_later(YIELDING, self._on_yielding)
        return None

    def _yield_places(self) -> None:
        """Drop the connections that are to give their places up to other sources."""
        for number, (_, place) in list(self._waiting.items()):
            connection = self._connections[number]
            if connection.settings.startups.displaced(place):
                self.logged_in(connection)
                connection.drop("too many connections from this network wait, and others want in")

    def _on_yielding(self) -> None:
        # Another process, or another server of this one, may have asked.
        self._yield_places()
        self._yielding = None
        if self._waiting:
            loop = asyncio.get_running_loop()
            self._yielding = loop.call_later(YIELDING, self._on_yielding)

    def compute(self, connection: Serving, work: Callable[[], T]) -> Awaitable[T]:
        """Do the arithmetic of a key exchange in a thread, in the turn of the client's network."""
        budget = 0.0 if _exempt(connection) else connection.settings.limits.kex_seconds
        return self._computations.run(source_of(connection), work, budget)

    def look_up(self, connection: Serving, work: Callable[[], T]) -> Awaitable[T]:
        """Look a name of a client's up in a thread, in the turn of the client's network."""
        return self._lookups.run(source_of(connection), work)

    def logged_in(self, connection: Serving) -> None:
        """Count the connection no longer among those that log in."""
        if (waiting := self._waiting.pop(connection.id, None)) is not None:
            connection.settings.startups.leave(waiting[1])

    def ended(self, connection: Serving) -> bool:
        """Count a connection no longer that exchanges nothing more.

        :returns: whether its client may linger to read the reason. Of clients that are not logged
            in, only as many may do so as may log in: each has one of this process's descriptors.
        """
        stranger = connection.dropped or connection.id in self._waiting
        self._leave(connection)
        if not stranger or connection.id not in self._connections:
            return True
        if len(self._lingering) >= connection.settings.startup_limit.full:
            return False
        self._lingering.add(connection.id)
        return True

    def forget(self, connection: Serving) -> None:
        """Remove a connection whose client is gone."""
        self._leave(connection)
        self._lingering.discard(connection.id)
        self._connections.pop(connection.id, None)
        self._changed.wake()

    def _leave(self, connection: Serving) -> None:
        if connection.id in self._waiting and not self.closing:
            self._punish(connection)
        self.logged_in(connection)

    def _punish(self, connection: Serving) -> None:
        """Have a connection that ended without a login cost its network a penalty."""
        terms = connection.settings.terms
        network = self._waiting[connection.id][0]
        if terms.penalties is None or not network or _exempt(connection):
            return
        refused = connection.settings.startups.penalties.add(
            network,
            getattr(terms.penalties, connection.offence),
            terms.penalties,
            time.monotonic(),
        )
        if refused:
            reason = connection.offence.replace("_", "-")
            connection.record("penalty", reason=reason, seconds=round(refused))

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a session's handler in a task; the server is closed only after the task has ended."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._changed.wake()

    # --- public ---

    def reload(self, **changes: Unpack[ReloadOptions]) -> None:
        """Change settings for new connections; open ones keep theirs.

        A parameter that is left out or None stays unchanged; all are those of :func:`nacre.listen`:

        :param host_keys: the server's keys, of different types.
        :param policy: decides on logins and requests.
        :param handler: runs a session that was granted.
        :param sftp: returns the files of a session.
        :param algorithms: what the server offers.
        :param limits: the bounds of a connection.
        :param login_grace: seconds a client has to log in.
        :param max_startups: how many connections may be logging in.
        :param keepalive: seconds of silence before a keepalive request.
        :param keepalive_count: how many of them may stay unanswered.
        :param banner: text to show before login.
        :param accept_env: patterns of environment variables that clients may set.
        :raises ConfigurationError: a value is not possible; then nothing has changed.
        """
        self._check()
        self.apply(self._settings.changed(**changes))

    def apply(self, settings: ServerSettings) -> None:
        """Use these settings for new connections; open ones keep theirs.

        :raises ConfigurationError: no engine takes them; then nothing has changed.
        """
        engines = self._engines
        if settings.protocols != self._settings.protocols:
            engines = server_engines(settings.protocols)
        engines(settings.options)  # finds out whether an engine takes them
        self._engines, self._settings = engines, settings

    def stop_listening(self) -> None:
        """Accept no more connections; open ones go on."""
        if self._acceptor is not None:
            self._acceptor.stop()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def close(self, graceful: float = 0.0) -> Later[None]:
        """Stop accepting and close all connections: at once; await the result to wait for the end.

        :param graceful: seconds that open sessions have to end by themselves.
        """
        self.closing = True
        if self._acceptor is not None:
            self._acceptor.close()
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

    @property
    def empty(self) -> bool:
        """Whether there is no connection, and no session that outlives its own."""
        arriving = self._acceptor is not None and self._acceptor.busy
        return not (self._connections or self._tasks or arriving)

    async def wait_empty(self) -> None:
        """Return when it is empty: call this when the server does not listen any more."""
        # What asyncio has accepted last is a connection only some turns later.
        await asyncio.sleep(_LOOK)
        while not self.empty:
            with suppress(TimeoutError):  # one that arrives may leave unnoticed
                async with asyncio.timeout(_LOOK):
                    await self._changed.wait()

    async def wait_closed(self) -> None:
        """Return when the server was closed and every connection and session has ended."""
        while not self.closing or self._connections or self._tasks:
            await self._changed.wait()
        self.refusals.close()
        self._computations.close()
        self._lookups.close()
        self.timer.close()
        for timer in (self._deadline, self._yielding):
            if timer is not None:
                timer.cancel()


def _exempt(connection: Serving) -> bool:
    """Tell whether a client gets no penalties: it is exempt, or a proxy that looks in."""
    return connection.is_check or connection.is_exempt


def listen(
    host: str | Sequence[str] = "127.0.0.1",
    port: int = 0,
    *,
    host_keys: Sequence[PrivateKey] = (),
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
    keepalive: float | None = KEEPALIVE,
    keepalive_count: int = 3,
    banner: str = "",
    accept_env: Sequence[str] = (),
    proxy_from: Sequence[str] = (),
    sock: socket.socket | None = None,
    startups: Startups | None = None,
    log: Log | None = None,
    config: str | os.PathLike[str] | None = None,
) -> Opening[Server]:
    """Start a server: await it, or use ``async with``.

    ::

        async def hello(session):
            await session.stdout.write(b"hello, " + session.user.encode() + b"\\n")

        async with nacre.listen(
            port=2222, host_keys=[key], policy=nacre.Users({"alice": "secret"}), handler=hello
        ) as server:
            await server.wait_closed()

    :param host: an address, several, or "" for all.
    :param port: 0 lets the system choose; see ``Server.port``.
    :param host_keys: the server's keys, of different types.
    :param policy: decides on logins and requests.
    :param handler: runs a session that was granted; it returns the exit status, where None is 0.
        An exception is logged, and the exit status is then 255. Without a handler there are no
        shells and no commands.
    :param sftp: called with each session that requests SFTP, or scp when there is no ``handler``;
        returns its files: ``sftp=lambda session: nacre.LocalFilesystem("/srv/files")``.
    :param algorithms: what the server offers; see :func:`nacre.algorithms`.
    :param profile: ``legacy`` offers old and weak algorithms too, when ``algorithms`` is None.
    :param protocols: versions of the protocol: ``(2, 1)`` announces 1.99 and speaks SSH-1 with
        clients that lack SSH-2, ``(1,)`` speaks SSH-1 alone. SSH-1 needs a host key of the type
        ``rsa1``; it is weak, and each use is logged as a warning.
    :param ssh1_ciphers: what SSH-1 offers besides ``3des``: of ``blowfish`` and ``des``.
    :param limits: the bounds of each connection.
    :param login_grace: seconds a client has to log in; 0 for no limit.
    :param max_startups: how many connections may be logging in; see :class:`MaxStartups`.
    :param keepalive: seconds of silence before the client is sent a keepalive request, or None for
        no such requests.
    :param keepalive_count: how many keepalive requests may stay unanswered.
    :param banner: text to show before login.
    :param accept_env: patterns of environment variables that clients may set.
    :param proxy_from: networks of proxies that send the header of the PROXY protocol, which names
        the client: ``["10.0.0.0/8", "192.0.2.1"]``. From there it is required, from elsewhere it is
        an error. Whoever connects from there is believed.
    :param sock: a listening socket to use in place of ``host`` and ``port``; servers in other
        processes may use it too.
    :param startups: a count for all servers that share the limit ``max_startups``.
    :param log: called with a record of each phase of each connection; by default records go to
        the logger ``nacre.server``.
    :param config: a file of sshd_config. It says what the other parameters don't: a parameter with
        its default value counts as not given. Users, their rights and sessions are the policy's and
        the handler's; a file that restricts them is refused, because that would have no effect.
    :raises ConfigurationError: a value is not possible.
    :raises OSError: the address can't be used.
    """
    check_port("port", port, chosen="the system")
    arguments: dict[str, Any] = {
        "host_keys": tuple(given.several(host_keys, "host_keys")),
        "policy": policy,
        "handler": handler,
        "sftp": sftp,
        "algorithms": algorithms or default_algorithms(profile=profile),
        "protocols": protocols,
        "ssh1_ciphers": ssh1_ciphers or SSH1_CIPHERS,
        "limits": limits,
        "login_grace": login_grace,
        "max_startups": max_startups,
        "keepalive": keepalive,
        "keepalive_count": keepalive_count,
        "banner": banner,
        "accept_env": accept_env,
        "proxy_from": tuple(given.several(proxy_from, "proxy_from")),
        "startups": startups or Startups(),
        "log": log or to_logging,
    }
    if config is not None:
        from nacre.config.server.program import for_program, place

        told = for_program(config)
        arguments = configured(arguments, told)
        host, port = place(told, host, port)
    settings = ServerSettings(**arguments)
    server = Server(settings)

    async def start() -> Server:
        await server.start(host, port, sock)
        return server

    return Opening(start)
