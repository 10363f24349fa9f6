"""One process that serves: its listeners, its signals, how it starts and how it ends."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from threading import Barrier
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakSet

from nacre.config.server.rules import ServerRules
from nacre.daemon.accounts.policy import AccountPolicy
from nacre.daemon.api.plan import notice_end
from nacre.daemon.audit.events import NO_AUDIT
from nacre.daemon.audit.trail import AuditLog
from nacre.daemon.control.roster import OwnRoster, ServerRoster
from nacre.daemon.handover.beside import ALONE, Beside
from nacre.daemon.handover.restart import Restart
from nacre.daemon.inherited import Taken
from nacre.daemon.log.server_log import ServerLog
from nacre.daemon.notify import (
    READY,
    STOPPING,
    keep_notifying,
    notify,
    notify_reloading,
    watchdog_seconds,
)
from nacre.daemon.processes.limits import allow_descriptors
from nacre.daemon.processes.template import TEMPLATE
from nacre.daemon.recording.recordings import Recordings
from nacre.daemon.sessions import Sessions
from nacre.daemon.settings import DaemonSettings
from nacre.daemon.sockets import ListeningSockets, Passed, announce, report_listening
from nacre.daemon.watching.shown import Watching
from nacre.daemon.workers import AT_ONCE, LEAVE, Worker
from nacre.errors import NacreError, StateError
from nacre.server.admission.startups import Startups
from nacre.server.listen import Server
from nacre.server.peer import Log
from nacre.server.settings import ServerSettings

if TYPE_CHECKING:
    from nacre.daemon.audit.writer import AuditWriter

GRACE = 5.0
"""Seconds that open sessions have to end by themselves after the first signal to stop."""

_NOTICE = 5.0
"""Seconds for which a server that drains still takes clients: what reads its health page, such as a
proxy, has that time to send them elsewhere."""

_MARGIN = 3.0
"""Seconds that a predecessor has beyond :data:`GRACE` to end."""

_THREADS = 4
"""Threads of the loop. What a user or a client's network can hang has others."""


class ServerProcess:
    """The servers of one process, one for each listening socket, from start to stop.

    SIGHUP reads the configuration again, makes a policy and settings of it, and gives them to the
    servers for new connections. An open connection keeps those that it began with.

    :param settings: what the host keys, the banner and the other settings are made from.
    :param make_policy: makes the policy for a configuration.
    :param startups: the count that all processes share.
    :param worker: how this process reports to its supervisor, or None without one.
    :param reloaded: gets the settings of a reload that has succeeded.
    :param beside: what the process has beside its connections.
    """

    def __init__(
        self,
        settings: DaemonSettings,
        make_policy: Callable[[ServerRules], AccountPolicy],
        startups: Startups,
        worker: Worker | None,
        reloaded: Callable[[DaemonSettings], None] | None = None,
        beside: Beside = ALONE,
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
        self._listeners = 0 if beside.restart is None else beside.restart.first
        self._beside = beside
        self._watching = None if settings.watch == "no" else Watching()
        prefix = "" if worker is None else f"{worker.number}."
        self._roster = ServerRoster(prefix, self._watching)
        self._stop = asyncio.Event()
        # To a successor the clients are left.
        self._ending: Literal["", "left", "draining", "stopping"] = ""
        self._reloading = asyncio.Lock()
        observers = (beside.metrics, beside.bans)
        self._log.observers = [one.note for one in observers if one is not None]
        self._tasks: set[asyncio.Task[None]] = set()
        self._audit: AuditWriter | None = None

    async def run(self, sockets: ListeningSockets) -> None:
        """Serve on all sockets; return when everything is closed after a signal to stop.

        :raises NacreError: a host key, the banner or a setting can't be used.
        """
        self._begin()
        self._sockets = sockets
        made = self._current = self._made(self._settings, self._make_policy(self._settings.rules))
        try:
            if self._beside.lease is not None:
                self._beside.lease.begin(self._own_connections(), self._log)
            if self._beside.copier is not None:
                self._beside.copier.begin(self._log)
            if self._beside.recorder is not None:
                await self._beside.recorder.start(self._log)
            await self._listen(made)
            self._handle_signals(self._on_reload)
            if self._beside.metrics is not None:
                self._beside.metrics.begin(self, self._log)
            if self._beside.bans is not None:
                self._beside.bans.begin(self._log)
            if self._beside.hooks is not None:
                self._beside.hooks.begin(self._log)
            if os.geteuid() == 0:  # sessions are other accounts'
                with suppress(OSError):  # the first session that needs it says why
                    TEMPLATE.warm()
            # What exists now lives until the end, so garbage collection need not visit it.
            gc.freeze()
            await self._take_over()
            if self._beside.controlled is not None:
                self._beside.controlled.begin(self._own_connections(), self._log)
            if self._settings.api is not None and (self._worker is None or not self._worker.place):
                notice_end(self._settings.api, lambda: bool(self._ending), self._log)
            if self._worker is not None:
                self._worker.serves()
            else:
                if self._settings.log.plain:
                    announce(sockets.all)
                self._report_to_manager()
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
            # No new connection comes that could have another configuration.
            self._handle_signals(self._on_hang_up)
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

    async def _take_over(self) -> None:
        """Take over from the server that this one follows, if there is one."""
        if self._beside.restart is None:
            return
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._beside.restart.take_over)
        self._keep(self._beside.restart.attend())
        if self._reloaded is not None:
            self._reloaded(self._settings)

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a task that is cancelled at the end."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _begin(self) -> None:
        # For this process, and not for its sessions.
        allow_descriptors()
        loop = asyncio.get_running_loop()
        self._log.attend(loop)
        loop.set_default_executor(_loop_threads())
        if (plan := self._settings.audit) != NO_AUDIT:
            # SQLAlchemy takes long to load, and a server without an audit may not need it.
            from nacre.daemon.audit.table import FILE
            from nacre.daemon.audit.writer import AuditWriter

            assert self._settings.state is not None
            self._audit = AuditWriter(self._settings.state / FILE, self._log, plan)

    def _audited(self, log: Log, place: str = "") -> Log:
        """Return the log of connections, whose events are kept if they are to be.

        :param place: what tells these connections from others of the same number.
        """
        if self._audit is None:
            return log
        return AuditLog(log, self._audit, f"{self._audit.run}.{place}")

    def _made(self, settings: DaemonSettings, policy: AccountPolicy) -> ServerSettings:
        """Return the settings of servers, with sessions of their own."""
        if self._beside.recorder is not None:
            policy.recordings = Recordings(self._beside.recorder.open)
        policy.lease = self._beside.lease
        sessions = Sessions(policy, end_processes=settings.end_processes, watching=self._watching)
        made = settings.server(policy, sessions.handle, self._startups, self._report)
        if self._beside.bans is not None:
            made = replace(made, bans=self._beside.bans.table)
        self._sessions.add(sessions)
        return made

    def _report(self, problem: str) -> None:
        self._log({"event": "error", "what": "a file is not used", "error": problem})

    def _report_address(self, problem: str) -> None:
        self._log({"event": "error", "what": "an address is not used", "error": problem})

    # --- what monitoring is told ---

    def fault(self) -> str:
        """Return why no connections are taken, or ""."""
        return "the server is stopping" if self._ending else ""

    def waiting(self) -> int:
        """Return how many connections log in now."""
        return self._startups.waiting

    def pids(self) -> dict[str, list[int]]:
        """Return the numbers of the processes, by what they are."""
        return {"server": [os.getpid()]}

    def banned(self) -> int:
        """Return how many networks are banned now."""
        return 0 if self._beside.bans is None else self._beside.bans.banned()

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
            record = self._audited(record, f"{self._listeners}.")
            server = Server(replace(made, log=record))
            await server.start(sock=sock)
            self._servers[sock] = server, record
            self._roster.add(server, "" if alone else f"{self._listeners}.")
            self._report_listening(sock)

    def _report_listening(self, sock: socket.socket) -> None:
        if self._worker is None and not self._settings.log.plain:
            report_listening(self._log, [sock])

    def _report_to_manager(self) -> None:
        """Tell the manager of services that this process serves, and go on to do so."""
        notify(READY)
        if (seconds := watchdog_seconds()) is not None:
            self._keep(keep_notifying(seconds))

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

    def _handle_signals(self, hang_up: Callable[[], object]) -> None:
        # Signals that our parent ignores would stay ignored in sessions; without SIGCHLD the exit
        # status of children would be lost.
        for number in (signal.SIGQUIT, signal.SIGTSTP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._end)
        loop.add_signal_handler(signal.SIGHUP, hang_up)
        loop.add_signal_handler(signal.SIGUSR1, self._on_reopen)
        if self._worker is None:
            loop.add_signal_handler(signal.SIGINT, self._end)
            loop.add_signal_handler(signal.SIGUSR2, self._on_restart)
            return
        # A terminal sends SIGINT to all processes; the supervisor passes it on as SIGTERM.
        loop.add_signal_handler(signal.SIGINT, lambda: None)
        loop.add_signal_handler(AT_ONCE, self._end, True)
        loop.add_reader(self._worker.link, self._on_link, self._worker)

    def _on_reopen(self) -> None:
        """Open the log file again: it was renamed, and the next lines belong to a new one."""
        try:
            self._settings.log.open()
        except StateError as error:
            self._log({"event": "error", "what": "the log goes on as before", "error": str(error)})
        if self._beside.predecessor is not None:
            self._beside.predecessor.signal(signal.SIGUSR1)

    def _on_link(self, worker: Worker) -> None:
        passed = worker.passed()
        if passed is None:
            asyncio.get_running_loop().remove_reader(worker.link)
            # Nobody is there who could end it before the deadline.
            self._settings = replace(self._settings, drain=0)
            self._end()
        elif passed.data == LEAVE:
            self._leave()
        else:
            self._on_reload(passed)

    def _end(self, at_once: bool = False) -> None:
        """Let open sessions end by themselves; at the second call end them."""
        at_once = self._note_end(at_once)
        self._beside.tell_metrics()
        if self._settings.drain and not at_once:
            self._ending = "draining"
            self._keep(self._drain(self._settings.drain))
            return
        self._beside.end_control()
        self._end_sessions(at_once)

    async def _drain(self, seconds: int) -> None:
        """Let all connections go on until they end, for a bounded time; then end them."""
        self._log({"event": "draining", "seconds": seconds})
        at_once = True
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                if self._beside.metrics is not None:
                    await asyncio.sleep(min(_NOTICE, seconds / 2))
                if self._ending == "draining":
                    self._take_no_more()
                    await self._wait_left()
                at_once = False
        if self._ending == "draining":  # and nobody was in a hurry
            self._ending = "stopping"
            self._beside.end_control()
            self._end_sessions(at_once)

    def _end_sessions(self, at_once: bool) -> None:
        """Let sessions end within some seconds, or at once, and end with them."""
        self._log({"event": "stopping", "at_once": at_once})
        for server in self._all_servers():
            server.close(graceful=0.0 if at_once else GRACE)
        self._stop.set()

    def _note_end(self, at_once: bool) -> bool:
        """Tell others that this server stops; return whether it does so at once."""
        # One that has left to another the new clients ends slowly at first, as any other.
        at_once = at_once or self._ending in ("draining", "stopping")
        if self._worker is None and not self._ending:
            notify(STOPPING)
        if self._beside.predecessor is not None:
            self._beside.predecessor.signal(signal.SIGTERM)
        if self._beside.lease is not None:
            self._beside.lease.stop()
        self._ending = "stopping"
        return at_once

    # --- restart ---

    def _on_restart(self) -> None:
        if self._beside.restart is None or self._ending or self._reloading.locked():
            what = "nothing was restarted"
            self._log({"event": "error", "what": what, "error": "this is not the time for it"})
            return
        self._keep(self._restart(self._beside.restart))

    async def _restart(self, restart: Restart) -> None:
        """Start a successor, and leave it all new clients when it listens."""
        async with self._reloading:
            try:
                successor = await restart.prepare(self._last_number())
                if self._ending:
                    restart.give_up(successor)
                    raise StateError("the server is stopping")
                restart.hand_over(successor)
            except (StateError, OSError) as error:
                self._log({"event": "error", "what": "nothing was restarted", "error": str(error)})
                return
        self._log({"event": "restarted", "process": successor.pid})
        if self._beside.metrics is not None:
            self._beside.metrics.close()
        self._leave()

    def _last_number(self) -> int:
        """Return the highest number of what the log tells apart by number."""
        return self._listeners

    def _leave(self) -> None:
        """Take no more clients; end when those are gone that are here."""
        self._ending = "left"
        if self._beside.lease is not None:
            self._beside.lease.stop()
        self._keep(self._beside.close_hooks())  # the successor tells them of what happens here, too
        self._take_no_more()
        self._keep(self._end_with_last())

    def _take_no_more(self) -> None:
        """Take no more clients."""
        for sock in list(self._servers):
            self._stop_listening(sock)

    async def _wait_left(self) -> None:
        """Return when all clients have left, of whom no more are taken."""
        for server in self._all_servers():
            await server.wait_empty()

    async def _end_with_last(self) -> None:
        await self._wait_left()
        await self._wait_for_elder()
        self._end_sessions(at_once=False)

    def _own_connections(self) -> OwnRoster:
        """Return what lists the connections of this process and of its children."""
        return self._roster

    def _on_hang_up(self) -> None:
        """End: the client that has started this process is gone, or the terminal is."""
        if not self._ending:
            self._end()

    def _all_servers(self) -> list[Server]:
        return [*(server for server, _ in self._servers.values()), *self._retired]

    async def _close(self) -> None:
        """Wait for the end of all connections, unless an error ended this process."""
        try:
            if self._stop.is_set():
                for server in self._all_servers():
                    await server.wait_closed()
                await self._wait_for_predecessor()
        finally:
            self._ending = "stopping"
            self._beside.end_control()
            for task in self._tasks:
                task.cancel()
            for server in self._all_servers():
                await server.close()
            for sessions in list(self._sessions):
                await sessions.end()
            if self._beside.recorder is not None:
                await self._beside.recorder.close()
            await self._beside.close_hooks()
            self._beside.close_edge()
            TEMPLATE.close()
            self._end_audit()
            self._log.close()

    async def _wait_for_elder(self) -> None:
        """Wait for the one before: the one after knows of its connections through this one."""
        if self._beside.restart is not None:
            await self._beside.restart.wait_gone()

    async def _wait_for_predecessor(self) -> None:
        """Wait for the one before, which was told to stop with this one."""
        if self._beside.predecessor is not None and self._ending == "stopping":
            seconds = GRACE + self._settings.drain + _MARGIN
            wait = partial(self._beside.predecessor.wait, seconds)
            await asyncio.get_running_loop().run_in_executor(None, wait)

    def _end_audit(self) -> None:
        if self._audit is not None:
            self._audit.close()
        if self._beside.copier is not None:
            self._beside.copier.close()

    def _on_reload(self, passed: Passed | None = None) -> None:
        if self._ending:
            if passed is not None:
                passed.close()
            return
        self._keep(self._reload(passed))

    async def _reload(self, passed: Passed | None) -> None:
        """Read configuration, host keys and banner again, for new connections.

        :param passed: the sockets of the supervisor, in a worker.
        """
        async with self._reloading:
            if self._worker is None:
                notify_reloading()
            try:
                loop = asyncio.get_running_loop()
                settings = await loop.run_in_executor(None, self._settings.again)
                policy = self._make_policy(settings.rules)
                made = await loop.run_in_executor(None, self._made, settings, policy)
                await self._make_room(settings)
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
                record: dict[str, object] = {"host_keys": len(made.host_keys)}
                if names := settings.needs_restart():
                    record["needs_restart"] = ",".join(names)
                self._log({"event": "reloaded", **record})
            if self._worker is None:
                notify(READY)

    async def _make_room(self, settings: DaemonSettings) -> None:
        """Do what must be done before addresses change; here nothing."""

    def _change_sockets(self, settings: DaemonSettings, passed: Passed | None) -> None:
        self._retired = [server for server in self._retired if server.connections]
        if passed is not None:
            self._sockets.adopt(passed, close=self._stop_listening)
        elif self._worker is None and self._sockets.all:
            settings.listen(self._sockets, self._report_address, self._stop_listening)

    async def _change(self, settings: DaemonSettings, made: ServerSettings) -> None:
        self._log.change(settings.config.log_level)
        if settings.config.syslog_facility != self._settings.config.syslog_facility:
            self._log.send_to(settings.destination)
        self._settings = settings
        await self._listen(made)


def _loop_threads() -> ThreadPoolExecutor:
    """Start the threads of the loop, for a reload say, so that later none can be missing.

    :raises StateError: the system has no threads for them.
    """
    threads = ThreadPoolExecutor(_THREADS, "loop")
    together = Barrier(_THREADS)
    try:
        for _ in range(_THREADS):
            threads.submit(together.wait)
    except RuntimeError as error:
        together.abort()
        raise StateError(
            f"{error}: raise the account's limit of processes (ulimit -u), or end some of them"
        ) from None
    return threads
