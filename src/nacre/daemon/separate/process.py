"""The monitor from start to stop: its gates, its signals, and what a reload does to them."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from nacre.config.server.rules import ServerRules
from nacre.config.values import LogLevel
from nacre.daemon.accounts.policy import AccountPolicy
from nacre.daemon.control.roster import OwnRoster
from nacre.daemon.handover.beside import ALONE, Beside
from nacre.daemon.memory import lock_memory
from nacre.daemon.processes.kinds.launcher import UMASK
from nacre.daemon.processes.template import TEMPLATE
from nacre.daemon.sandbox import capabilities
from nacre.daemon.separate import gate as gate_module
from nacre.daemon.separate import session as session_module
from nacre.daemon.separate.messages import Banned, packed
from nacre.daemon.separate.monitor import Configured, GateProcess
from nacre.daemon.separate.overview import MonitorRoster
from nacre.daemon.separate.rights import check_separable
from nacre.daemon.separate.users import UserProcesses
from nacre.daemon.server_process import GRACE, ServerProcess
from nacre.daemon.settings import DaemonSettings
from nacre.daemon.workers import PAUSE
from nacre.errors import StateError
from nacre.server.admission.bans import Ban
from nacre.server.admission.startups import Startups, startups_memory
from nacre.server.session import Session
from nacre.server.settings import ServerSettings
from nacre.wire.text import safe

_NEEDED = (
    *("SETUID", "SETGID"),  # to read what belongs to a user as the user
    *("DAC_OVERRIDE", "DAC_READ_SEARCH", "CHOWN", "FOWNER"),  # the state directory, and tickets
    *("KILL", "NET_BIND_SERVICE", "SYS_RESOURCE", "IPC_LOCK"),
)

_GENERATIONS = 4
"""How many reloads may follow each other while clients log in at the gates before them."""

_PATIENCE = 1.0
"""Seconds that gates have to stop accepting."""

_LONG = 600
"""Seconds for a login where LoginGraceTime is 0."""


class MonitorProcess(ServerProcess):
    """A server whose connections are in other processes.

    :param gates: how many gates there are.
    :param rights: the numbers of the gates' account and of its group; None to keep the server's.
    """

    def __init__(
        self,
        settings: DaemonSettings,
        make_policy: Callable[[ServerRules], AccountPolicy],
        gates: int,
        rights: tuple[int, int] | None,
        reloaded: Callable[[DaemonSettings], None] | None = None,
        beside: Beside = ALONE,
    ) -> None:
        # Gates that were retired keep their places until they have ended.
        self._all_places = _GENERATIONS * gates
        self._memory = startups_memory(self._all_places)
        startups = Startups(self._all_places, self._memory)
        super().__init__(settings, make_policy, startups, None, reloaded, beside)
        self._count = gates
        if beside.bans is not None:
            beside.bans.subscribe(self._tell_bans)
        self._rights = rights
        self._places = set(range(self._all_places))
        self._gates: set[GateProcess] = set()
        self._configured: Configured | None = None
        self._reported: set[socket.socket] = set()
        self._last = 0 if beside.restart is None else beside.restart.first
        self._gate_fault = ""
        nobody = None if rights is None else (*rights, (), UMASK)
        self._users = UserProcesses(nobody, self._log)

    def _own_connections(self) -> OwnRoster:
        return MonitorRoster(self._users, lambda: tuple(self._gates))

    def _made(self, settings: DaemonSettings, policy: AccountPolicy) -> ServerSettings:
        check_separable(settings.config)
        policy.lease = self._beside.lease
        return settings.server(policy, _served_elsewhere, self._startups, self._report)

    async def _listen(self, made: ServerSettings) -> None:
        """Have new gates serve with these settings; those before take no more connections."""
        assert isinstance(made.policy, AccountPolicy)
        settings = self._settings
        configured = Configured(
            made,
            made.policy,
            self._told_level(settings),
            end_processes=settings.end_processes,
            recorder=None if self._beside.recorder is None else self._beside.recorder.open,
            keeper=self._audit,
            watched=settings.watch != "no",
        )
        before = set(self._gates)
        starting = [self._start(configured) for _ in range(self._count)]
        for error in await asyncio.gather(*starting, return_exceptions=True):
            if error is not None:
                for gate in self._gates - before:
                    gate.retire(0)
                raise StateError(f"no gate can be started: {safe(str(error))}") from error
        self._current, self._configured = made, configured
        self._gate_fault = ""
        for sock in set(self._sockets.all) - self._reported:
            self._report_listening(sock)
        self._reported = set(self._sockets.all)
        for gate in before:
            if not gate.retired:
                gate.retire(_login_seconds(made))

    def _tell_bans(self, bans: Sequence[Ban], whole: bool) -> None:
        message = Banned(whole, packed(list(bans)))
        for gate in self._gates:
            gate.send(message)

    def _told_level(self, settings: DaemonSettings) -> LogLevel:
        """Return the level of what other processes tell: what is counted must be told."""
        level = settings.config.log_level
        if self._beside.metrics is None and self._beside.bans is None:
            return level
        return max(level, LogLevel.INFO)

    def fault(self) -> str:
        """Return why no connections are taken, or ""."""
        if fault := super().fault():
            return fault
        serving = any(gate.ready.done() and not gate.retired for gate in self._gates)
        return self._gate_fault or ("" if serving else "no gate runs")

    def pids(self) -> dict[str, list[int]]:
        """Return the numbers of the processes, by what they are."""
        gates = [gate.pid for gate in self._gates if gate.pid]
        return {"monitor": [os.getpid()], "gate": gates, "session": self._users.pids}

    async def _make_room(self, settings: DaemonSettings) -> None:
        """Have the gates leave their sockets, whose addresses others may need."""
        if settings.where != self._settings.where:
            await self._stop_gates(_login_seconds(self._current))

    async def _stop_gates(self, seconds: int) -> None:
        gates = list(self._gates)
        for gate in gates:
            gate.retire(seconds)
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                for gate in gates:
                    await gate.wait_stopped()

    def _begin(self) -> None:
        TEMPLATE.add({"gate": gate_module.__name__, "session": session_module.__name__})
        # What it forks has the rights that this process gives up.
        TEMPLATE.warm()
        lock_memory()
        capabilities.keep(_NEEDED)
        super()._begin()
        if self._audit is not None:
            self._audit.watchers.add(self._users.tell_state)

    async def _start(self, configured: Configured) -> None:
        self._last += 1
        gate = GateProcess(self._last, configured, self._users.hand_over, self._log)
        place = await self._take_place()
        self._gates.add(gate)
        self._keep(self._watch(gate, place, configured))
        sockets = self._sockets.all
        settings = gate.settings(
            place=place,
            places=self._all_places,
            rights=self._rights,
            sockets=len(sockets),
            log_level=configured.log_level,
            bans=None if self._beside.bans is None else tuple(self._beside.bans.all()),
        )
        await gate.start(settings, [self._memory, *(sock.fileno() for sock in sockets)])
        if self._beside.bans is not None:
            # What has changed while it started was not for it.
            gate.send(Banned(True, packed(self._beside.bans.all())))

    async def _take_place(self) -> int:
        """Return a free place; the gates that were retired first end for it."""
        while not self._places:
            first = min((gate for gate in self._gates if gate.retired), key=lambda one: one.number)
            first.kill()
            await first.gone.wait()
            await asyncio.sleep(0)  # for what waits for it, too
        return self._places.pop()

    async def _watch(self, gate: GateProcess, place: int, configured: Configured) -> None:
        """Start another gate in place of one that has died."""
        began = time.monotonic()
        await gate.gone.wait()
        self._gates.discard(gate)
        self._startups.forget(place)
        self._places.add(place)
        served = gate.ready.done() and not gate.ready.cancelled()
        if gate.retired or not served:
            return
        self._log({"event": "error", "what": "a gate died", "gate": gate.number, "pid": gate.pid})
        await asyncio.sleep(max(0.0, began + PAUSE - time.monotonic()))
        # After a reload there are others already.
        while configured is self._configured and not self._ending:
            try:
                await self._start(configured)
                self._gate_fault = ""
                break
            except OSError as error:
                self._gate_fault = what = "no gate can be started"
                self._log({"event": "error", "what": what, "error": safe(str(error))})
                await asyncio.sleep(PAUSE)

    def _stop_listening(self, sock: socket.socket) -> None:
        sock.close()

    def _end_sessions(self, at_once: bool) -> None:
        """Let sessions end within some seconds, or at once, and end with them."""
        self._sockets.close()
        self._keep(self._end_users(at_once))

    def _last_number(self) -> int:
        return self._last

    def _take_no_more(self) -> None:
        """Take no more clients."""
        self._sockets.close()

    async def _wait_left(self) -> None:
        """Return when all clients have left, of whom no more are taken."""
        # Clients that log in may go on to do so.
        await self._stop_gates(_login_seconds(self._current))
        for gate in list(self._gates):
            await gate.gone.wait()
        await self._users.wait_left()

    async def _end_users(self, at_once: bool) -> None:
        await self._stop_gates(0)
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                for gate in list(self._gates):
                    await gate.gone.wait()  # so that its last records are here
        self._log({"event": "stopping", "at_once": at_once})
        self._users.retire(0 if at_once else int(GRACE))
        self._stop.set()

    async def _close(self) -> None:
        """Wait for the end of all connections, unless an error ended this process."""
        try:
            if self._stop.is_set():
                await self._users.wait_closed()
                await self._wait_for_predecessor()
        finally:
            self._ending = "stopping"
            self._beside.end_control()
            for task in self._tasks:
                task.cancel()
            for gate in self._gates:
                gate.kill()
            self._users.kill()
            if self._beside.recorder is not None:
                await self._beside.recorder.close()
            await self._beside.close_hooks()
            self._beside.close_edge()
            self._end_audit()
            self._log.close()


def _login_seconds(made: ServerSettings) -> int:
    """Return how long clients have that log in at a gate which was retired."""
    return int(made.login_grace) or _LONG


async def _served_elsewhere(session: Session) -> int | None:
    raise AssertionError("the monitor has no connections")
