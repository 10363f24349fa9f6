"""One process that serves: its listeners, its signals, how it starts and how it ends."""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from threading import Barrier
from weakref import WeakSet

from nacre.config.server.rules import ServerRules
from nacre.daemon.accounts.policy import AccountPolicy
from nacre.daemon.inherited import Taken
from nacre.daemon.log import ServerLog
from nacre.daemon.sessions import Sessions
from nacre.daemon.settings import DaemonSettings
from nacre.daemon.sockets import ListeningSockets, Passed, announce, place
from nacre.daemon.workers import AT_ONCE, Worker
from nacre.errors import NacreError, StateError
from nacre.server.listen import Server
from nacre.server.peer import Log
from nacre.server.settings import ServerSettings
from nacre.server.startups import Startups

GRACE = 5.0
"""Seconds that open sessions have to end by themselves after the first signal to stop."""

_DESCRIPTORS = 65536
_LOOKUPS = 4
"""Threads that look up users and accounts; few, so that a few logins have started them all."""


class ServerProcess:
    """The servers of one process, one for each listening socket, from start to stop.

    SIGHUP reads the configuration again, makes a policy and settings of it, and gives them to the
    servers for new connections. An open connection keeps those that it began with.

    :param settings: what the host keys, the banner and the other settings are made from.
    :param make_policy: makes the policy for a configuration.
    :param startups: the count that all processes share.
    :param worker: how this process reports to its supervisor, or None without one.
    :param reloaded: gets the settings of a reload that has succeeded.
    """

    def __init__(
        self,
        settings: DaemonSettings,
        make_policy: Callable[[ServerRules], AccountPolicy],
        startups: Startups,
        worker: Worker | None,
        reloaded: Callable[[DaemonSettings], None] | None = None,
    ) -> None:
        self._settings = settings
        self._reloaded = reloaded
        self._make_policy = make_policy
        self._startups = startups
        self._worker = worker
        self._log = ServerLog(
            settings.config.log_level,
            settings.destination,
            **({} if worker is None else {"worker": worker.number}),
        )
        # Those of each configuration that an open connection has.
        self._sessions: WeakSet[Sessions] = WeakSet()
        self._sockets = ListeningSockets()
        self._servers: dict[socket.socket, tuple[Server, Log]] = {}
        self._retired: list[Server] = []
        self._listeners = 0
        self._stop = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, sockets: ListeningSockets) -> None:
        """Serve on all sockets; return when everything is closed after a signal to stop.

        :raises NacreError: a host key, the banner or a setting can't be used.
        """
        self._begin()
        self._sockets = sockets
        made = self._current = self._made(self._settings, self._make_policy(self._settings.rules))
        try:
            await self._listen(made)
            self._handle_signals()
            # What exists now lives until the end, so garbage collection need not visit it.
            gc.freeze()
            if self._worker is not None:
                self._worker.serves()
            elif not self._settings.to_syslog:
                announce(sockets.all)
            await self._stop.wait()
        finally:
            await self._close()

    async def run_one(self, take: Callable[[asyncio.Event], Awaitable[Taken | None]]) -> bool:
        """Serve one connection; return whether its user has logged in.

        :param take: returns the connection, or None when the event is set before there is one.
        :raises NacreError: a host key, the banner or a setting can't be used.
        """
        self._begin()
        made = self._current = self._made(self._settings, self._make_policy(self._settings.rules))
        server = Server(replace(made, log=self._log))
        self._retired.append(server)
        try:
            self._handle_signals()
            taken = await take(self._stop)
            if taken is None:
                return False
            connection = await server.attach(taken.sock)
            stopped = asyncio.create_task(self._stop.wait())
            closed = asyncio.create_task(connection.wait_closed())
            await asyncio.wait({stopped, closed}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            await closed
            await taken.ended()
            return bool(connection.user)
        finally:
            await self._close()

    def _begin(self) -> None:
        _allow_descriptors()
        loop = asyncio.get_running_loop()
        self._log.attend(loop)
        loop.set_default_executor(_lookup_threads())

    def _made(self, settings: DaemonSettings, policy: AccountPolicy) -> ServerSettings:
        """Return the settings of servers, with sessions of their own."""
        sessions = Sessions(policy, end_processes=settings.end_processes)
        made = settings.server(policy, sessions.handle, self._startups, self._report)
        self._sessions.add(sessions)
        return made

    def _report(self, problem: str) -> None:
        self._log({"event": "error", "what": "a file is not used", "error": problem})

    def _report_address(self, problem: str) -> None:
        self._log({"event": "error", "what": "an address is not used", "error": problem})

    # --- listening ---

    async def _listen(self, made: ServerSettings) -> None:
        """Serve on each socket; these settings are for the new connections of all of them."""
        self._current = made
        for server, record in self._servers.values():
            server.apply(replace(made, log=record))
        alone = not self._listeners and len(self._sockets.all) == 1
        for sock in self._sockets.all:
            if sock in self._servers:
                continue
            self._listeners += 1
            record = self._log if alone else partial(self._record, self._listeners)
            server = Server(replace(made, log=record))
            await server.start(sock=sock)
            self._servers[sock] = server, record
            if self._settings.to_syslog:
                self._log({"event": "listening", "address": place(sock)})

    def _stop_listening(self, sock: socket.socket) -> None:
        server, _ = self._servers.pop(sock)
        server.stop_listening()
        self._retired.append(server)

    def _record(self, listener: int, fields: Mapping[str, object]) -> None:
        # Each listener counts its connections from 1.
        if "connection" in fields:
            fields = {**fields, "connection": f"{listener}.{fields['connection']}"}
        self._log(fields)

    # --- signals ---

    def _handle_signals(self) -> None:
        # Signals that our parent ignores would stay ignored in sessions; without SIGCHLD the exit
        # status of children would be lost.
        for number in (signal.SIGQUIT, signal.SIGTSTP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._on_reload)
        if self._worker is None:
            loop.add_signal_handler(signal.SIGINT, self._end)
            return
        # A terminal sends SIGINT to all processes; the supervisor passes it on as SIGTERM.
        loop.add_signal_handler(signal.SIGINT, lambda: None)
        loop.add_signal_handler(AT_ONCE, self._end, True)
        loop.add_reader(self._worker.link, self._on_link, self._worker)

    def _on_link(self, worker: Worker) -> None:
        passed = worker.passed()
        if passed is None:
            asyncio.get_running_loop().remove_reader(worker.link)
            self._end()
        else:
            self._on_reload(passed)

    def _end(self, at_once: bool = False) -> None:
        """Let open sessions end by themselves; at the second call end them."""
        at_once = at_once or self._stop.is_set()
        self._log({"event": "stopping", "at_once": at_once})
        for server in self._all_servers():
            server.close(graceful=0.0 if at_once else GRACE)
        self._stop.set()

    def _all_servers(self) -> list[Server]:
        return [*(server for server, _ in self._servers.values()), *self._retired]

    async def _close(self) -> None:
        """Wait for the end of all connections, unless an error ended this process."""
        try:
            if self._stop.is_set():
                for server in self._all_servers():
                    await server.wait_closed()
        finally:
            for task in self._tasks:
                task.cancel()
            for server in self._all_servers():
                await server.close()
            for sessions in list(self._sessions):
                await sessions.processes.end()
            self._log.close()

    def _on_reload(self, passed: Passed | None = None) -> None:
        task = asyncio.create_task(self._reload(passed))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reload(self, passed: Passed | None) -> None:
        """Read configuration, host keys and banner again, for new connections.

        :param passed: the sockets of the supervisor, in a worker.
        """
        async with self._reloading:
            try:
                loop = asyncio.get_running_loop()
                settings = await loop.run_in_executor(None, self._settings.again)
                policy = self._make_policy(settings.rules)
                made = await loop.run_in_executor(None, self._made, settings, policy)
                self._change_sockets(settings, passed)
                await self._change(settings, made)
            except NacreError as error:
                self._log({"event": "error", "what": "nothing was reloaded", "error": str(error)})
                if passed is not None:
                    passed.close()
                # A socket that was closed for a new one, in vain, was bound again.
                await self._listen(self._current)
            else:
                if self._reloaded is not None:
                    self._reloaded(settings)
                self._log({"event": "reloaded", "host_keys": len(made.host_keys)})

    def _change_sockets(self, settings: DaemonSettings, passed: Passed | None) -> None:
        self._retired = [server for server in self._retired if server.connections]
        if passed is not None:
            self._sockets.adopt(passed, close=self._stop_listening)
        elif self._worker is None and self._servers:
            settings.listen(self._sockets, self._report_address, self._stop_listening)

    async def _change(self, settings: DaemonSettings, made: ServerSettings) -> None:
        self._log.change(settings.config.log_level)
        if settings.config.syslog_facility != self._settings.config.syslog_facility:
            self._log.send_to(settings.destination)
        self._settings = settings
        await self._listen(made)


def _lookup_threads() -> ThreadPoolExecutor:
    """Start the threads that look up users and open files, so that later none can be missing.

    :raises StateError: the system has no threads for them.
    """
    threads = ThreadPoolExecutor(_LOOKUPS, "lookup")
    together = Barrier(_LOOKUPS)
    try:
        for _ in range(_LOOKUPS):
            threads.submit(together.wait)
    except RuntimeError as error:
        together.abort()
        raise StateError(
            f"{error}: raise the account's limit of processes (ulimit -u), or end some of them"
        ) from None
    return threads


def _allow_descriptors() -> None:
    """Raise the limit of descriptors for this process, not its sessions: each takes up to six."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
