"""One process that serves: its listeners, its signals, how it starts and how it ends."""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from threading import Barrier

from nacre.daemon.accounts.policy import AccountPolicy
from nacre.daemon.log import ServerLog
from nacre.daemon.sessions import Sessions
from nacre.daemon.settings import DaemonSettings
from nacre.daemon.sockets import announce
from nacre.daemon.workers import AT_ONCE, Worker
from nacre.errors import NacreError, StateError
from nacre.server.listen import Server
from nacre.server.startups import Startups

GRACE = 5.0
"""Seconds that open sessions have to end by themselves after the first signal to stop."""

_DESCRIPTORS = 65536
_LOOKUPS = 4
"""Threads that look up users and accounts; few, so that a few logins have started them all."""


class ServerProcess:
    """The servers of one process, one for each listening socket, from start to stop.

    :param settings: what the host keys, the banner and the other settings are made from.
    :param startups: the count that all processes share.
    :param worker: how this process reports to its supervisor, or None without one.
    """

    def __init__(
        self,
        settings: DaemonSettings,
        policy: AccountPolicy,
        startups: Startups,
        worker: Worker | None,
    ) -> None:
        self._settings = settings
        self._policy = policy
        self._startups = startups
        self._worker = worker
        always = {} if worker is None else {"worker": worker.number}
        self._log = ServerLog(settings.config.log_level, **always)
        self._sessions = Sessions(policy, end_processes=settings.end_processes)
        self._servers: list[Server] = []
        self._stop = asyncio.Event()

    async def run(self, sockets: list[socket.socket]) -> None:
        """Serve on all sockets; return when everything is closed after a signal to stop.

        :raises NacreError: a host key, the banner or a setting can't be used.
        """
        _allow_descriptors()
        self._log.attend(asyncio.get_running_loop())
        asyncio.get_running_loop().set_default_executor(_lookup_threads())
        settings = self._settings.server(self._policy, self._sessions.handle, self._startups)
        try:
            for number, sock in enumerate(sockets, 1):
                record = self._log if len(sockets) == 1 else partial(self._record, number)
                server = Server(replace(settings, log=record))
                await server.start(sock=sock)
                self._servers.append(server)
            self._handle_signals()
            # What exists now lives until the end, so garbage collection need not visit it.
            gc.freeze()
            if self._worker is None:
                announce(sockets)
            else:
                self._worker.serves()
            await self._stop.wait()
            for server in self._servers:
                await server.wait_closed()
        finally:
            for server in self._servers:
                await server.close()
            await self._sessions.processes.end()
            self._log.close()

    def _record(self, listener: int, fields: Mapping[str, object]) -> None:
        # Each listener counts its connections from 1.
        if "connection" in fields:
            fields = {**fields, "connection": f"{listener}.{fields['connection']}"}
        self._log(fields)

    def _handle_signals(self) -> None:
        # Signals that our parent ignores would stay ignored in sessions; without SIGCHLD the exit
        # status of children would be lost.
        for number in (signal.SIGQUIT, signal.SIGTSTP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        if self._worker is None:
            loop.add_signal_handler(signal.SIGINT, self._end)
            return
        # A terminal sends SIGINT to all processes; the supervisor passes it on as SIGTERM.
        loop.add_signal_handler(signal.SIGINT, lambda: None)
        loop.add_signal_handler(AT_ONCE, self._end, True)
        loop.add_reader(self._worker.orphaned, self._on_orphaned, self._worker.orphaned)

    def _on_orphaned(self, descriptor: int) -> None:
        asyncio.get_running_loop().remove_reader(descriptor)
        self._end()

    def _end(self, at_once: bool = False) -> None:
        """Let open sessions end by themselves; at the second call end them."""
        at_once = at_once or self._stop.is_set()
        self._log({"event": "stopping", "at_once": at_once})
        for server in self._servers:
            server.close(graceful=0.0 if at_once else GRACE)
        self._stop.set()

    def _reload(self) -> None:
        """Read host keys and banner again, for new connections."""
        try:
            host_keys, banner = self._settings.host_keys(), self._settings.banner()
            for server in self._servers:
                server.reload(host_keys=host_keys, banner=banner)
        except NacreError as error:
            self._log({"event": "error", "what": "nothing was reloaded", "error": str(error)})
        else:
            self._log({"event": "reloaded", "host_keys": len(host_keys)})


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
