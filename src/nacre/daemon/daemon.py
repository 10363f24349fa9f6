"""``nacre serve`` and ``nacre-sshd``: what they were started with, their rights, their processes.

:class:`Daemon` opens the state directory, binds the sockets and starts one
:class:`~nacre.daemon.server_process.ServerProcess`, here or in each worker.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nacre.aio.versions import RISK
from nacre.config.server.config import ServerConfig
from nacre.config.server.rules import ServerRules
from nacre.daemon.accounts.source import UserSource
from nacre.daemon.accounts.virtual.connection_counts import ConnectionCounts
from nacre.daemon.accounts.virtual.file_key import read_file_key
from nacre.daemon.api.plan import ServedSSH
from nacre.daemon.audit.events import NO_AUDIT, AuditMode, AuditPlan
from nacre.daemon.background import PidFile, leave_terminal
from nacre.daemon.control.controlled import Controlled, ControlledHere, Everywhere
from nacre.daemon.control.elder import ElderRoster
from nacre.daemon.control.place import ControlPlace
from nacre.daemon.control.workers import WorkerLinks
from nacre.daemon.edge_settings import NO_EDGE, EdgeSettings
from nacre.daemon.handover.activation import ACTIVATED, take_activated
from nacre.daemon.handover.beside import Beside, RecordsSessions
from nacre.daemon.handover.predecessor import Predecessor, predecessor
from nacre.daemon.handover.restart import Restart
from nacre.daemon.handover.successor import Invocation
from nacre.daemon.inherited import take_first, take_inherited
from nacre.daemon.log.place import ON_STANDARD_ERROR, LogPlace
from nacre.daemon.log.server_log import ServerLog
from nacre.daemon.memory import give_back_memory, keep_secrets
from nacre.daemon.notify import READY, notify
from nacre.daemon.sandbox.sandbox import lacking
from nacre.daemon.separate.rights import check_separable, gate_rights
from nacre.daemon.server_process import ServerProcess
from nacre.daemon.settings import DaemonSettings
from nacre.daemon.sockets import (
    Address,
    ListeningSockets,
    Passed,
    announce,
    place,
    report_listening,
)
from nacre.daemon.state import open_state
from nacre.daemon.watching.frames import WatchMode
from nacre.daemon.workers import Supervisor, Worker
from nacre.errors import ConfigurationError, NacreError
from nacre.protocol.options import Profile
from nacre.server.admission.startups import Startups
from nacre.server.listen import notice_vanished_clients

if TYPE_CHECKING:
    from nacre.daemon.accounts.directories.plan import UsersPlan
    from nacre.daemon.bans.keeper import BanKeeper
    from nacre.daemon.hooks.hooks import ServerHooks
    from nacre.daemon.hooks.plan import HooksWanted
    from nacre.daemon.metrics.metrics import ServerMetrics
    from nacre.daemon.nodes.copier import AuditCopier
    from nacre.daemon.nodes.lease import NodeLease
    from nacre.daemon.nodes.values import NodeIdentity
    from nacre.daemon.recorder.plan import RecordingPlan
    from nacre.daemon.store.postgres.store_url import StoreURL
    from nacre.daemon.store.store import UserStore

MakeRecorder = Callable[[], RecordsSessions]

Mode = Literal["foreground", "background", "one", "inherited"]
"""How a daemon runs: until a signal, here or in the background; or for one connection, which it
waits for, or which standard input and output are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """What a daemon was started with; :meth:`run` serves.

    :ivar rules: the configuration.
    :ivar read: reads the configuration again, at SIGHUP; None if there is no file.
    :ivar needs_restart: names what has changed since the start, and holds after the next one.
    :ivar state: the state directory; None for a server without virtual users and without what is
        kept there, such as the control socket, the audit and hooks.
    :ivar as_sshd: whether host keys are those of the system; see :class:`DaemonSettings`.
    :ivar store: a database for users and bans that servers share, in place of the state's file.
    :ivar node: the name of this server among those; None for that of the host.
    :ivar host_keys_seal: the file with the key that seals the host keys which these servers share;
        None if each has its own.
    :ivar share_quotas: quotas, transfers and rates hold over all these servers.
    :ivar addresses: where to listen; empty for where the configuration says.
    :ivar users: virtual users (``store``) or this system's accounts (``system``), or where else
        virtual users are found.
    :ivar run_as: the account of virtual users without one of their own, under root.
    :ivar ssh1_strict: refuse SSH-1 for users who need both a password and a key: in SSH-1 either
        is enough for them.
    :ivar edge: what it does where strangers meet it: proxies, bans, metrics.
    :ivar trust_own_ca: let virtual users in with certificates of the state directory's authority.
    :ivar end_processes: end the processes that outlive their sessions.
    :ivar drain: seconds that connections have to end by themselves when the server stops.
    :ivar workers: processes that serve; with several, one more supervises them.
    :ivar gates: processes without rights that clients meet up to the login, each user's connections
        then being served by a process with the user's rights; 0 for one process, or workers.
    :ivar gate_user: the account of these; None for ``nacre`` or, where there is none, ``nobody``.
    :ivar mode: how it runs; a mode other than ``foreground`` has no workers.
    :ivar log: where the log goes to, and in which form.
    :ivar recording: what is recorded of sessions, and where; None for nothing.
    :ivar audit: whether events are kept in a table of the state directory.
    :ivar watch: whether sessions may be watched; without a state directory none is.
    :ivar hooks: that hooks are told of these events, which are kept then in any case; or None.
    """

    rules: ServerRules
    read: Callable[[], ServerRules] | None = None
    needs_restart: Callable[[], tuple[str, ...]] = tuple
    state: Path | None
    as_sshd: bool = False
    store: StoreURL | None = None
    node: str | None = None
    host_keys_seal: str | None = None
    share_quotas: bool = False
    addresses: tuple[Address, ...] = ()
    users: Literal["store", "system"] | UsersPlan = "store"
    run_as: str | None = None
    profile: Profile = "default"
    ssh1_strict: bool = False
    edge: EdgeSettings = NO_EDGE
    trust_own_ca: bool = False
    end_processes: bool = False
    drain: int = 0
    workers: int = 1
    gates: int = 0
    gate_user: str | None = None
    mode: Mode = "foreground"
    log: LogPlace = ON_STANDARD_ERROR
    recording: RecordingPlan | None = None
    audit: AuditPlan = NO_AUDIT
    watch: WatchMode = "no"
    hooks: HooksWanted | None = None

    @property
    def _audit(self) -> AuditPlan:
        # Hooks are told what the table has.
        if self.hooks is None:
            return self.audit
        mode: AuditMode = "on" if self.audit.mode == "off" else self.audit.mode
        return replace(self.audit, mode=mode, hooks=True)

    @property
    def _source(self) -> UserSource:
        return UserSource(
            users=self.users,
            url=self.store,
            run_as=self.run_as,
            powerless=self._powerless,
            profile=self.profile,
            ssh1_strict=self.ssh1_strict,
            trust_own_ca=self.trust_own_ca,
            workers=self.workers,
        )

    def _open_store(self, settings: DaemonSettings, stack: ExitStack) -> UserStore | None:
        bans = self.edge.ban_points is not None
        return self._source.open_store(settings.state, stack, bans=bans)

    @property
    def config(self) -> ServerConfig:
        """What holds outside of Match blocks."""
        return self.rules.base

    def run(self) -> bool:
        """Serve until a signal to stop, or until the one connection has ended.

        :returns: whether the user of the one connection has logged in; otherwise True.
        :raises NacreError: it can't start; the message says why and what to do.
        """
        before = predecessor()
        try:
            return self._run(before)
        except NacreError as error:
            if before is not None:
                before.fail(str(error))
            raise

    def _run(self, before: Predecessor | None) -> bool:
        activated = take_activated()
        command = Invocation.own()
        self._check_rights()
        self.log.open()
        give_back_memory()
        keep_secrets()
        settings = self._settings()
        if self.users != "system" or self.store is not None:
            assert settings.state is not None
            self._source.check_users(settings.state, partial(self._warn, settings))
        self._share_host_keys(settings)
        if settings.speaks_ssh1:
            self._warn(settings, f"SSH-1 is switched on. {RISK}")
        if self.mode == "inherited":
            return self._serve(settings, RunningServer(ListeningSockets(), None), Startups(), None)
        record = None if self.recording is None else self.recording.open(self.config.log_level)
        with ExitStack() as stack:
            sockets = stack.enter_context(ListeningSockets())
            settings = _with_sockets(settings, sockets, activated, before)
            settings.listen(sockets, partial(self._report_address, settings))
            place: ControlPlace | None = None
            if settings.state is not None and self.mode != "one":
                inherited = None if before is None else before.estate.control
                place = stack.enter_context(ControlPlace(settings.state, inherited))
            if self.mode == "background" and before is None:
                settings.host_keys()  # reports what is wrong with them, while somebody reads it
                leave_terminal(quiet=self.log.apart)
                if place is not None:
                    place.own()
            report = self._log(settings)
            if lack := lacking():
                report({"event": "sandbox", "lacks": lack})
            file = PidFile(lambda problem: report({"event": "error", "what": problem}))
            counts = _counts(self.workers, before) if self.users != "system" else None
            restart = Restart(command, sockets, place, file, counts, before)
            settings = self._with_api(settings, stack, sockets, restart, report)
            node = self._identity(restart)
            running = RunningServer(
                sockets,
                restart,
                file,
                place,
                record,
                counts,
                None if before is None else ElderRoster(before.estate.asking),
                node,
            )
            try:
                if before is None:
                    self._note_process(file, settings)
                if self.gates:
                    return self._watch_over(settings, running)
                if self.workers > 1:
                    self._supervise(settings, running)
                    return True
                return self._serve(settings, running, Startups(), None)
            finally:
                file.remove()

    def _share_host_keys(self, settings: DaemonSettings) -> None:
        """Have the host keys of the store in the state directory, where they are read."""
        if self.store is None or settings.state is None or self.host_keys_seal is None:
            return
        if self.config.host_keys:
            raise ConfigurationError(
                "--share-host-keys is for the host keys of the state directory, and HostKey names "
                "others: leave one of them out"
            )
        from nacre.daemon.nodes.host_keys import share_host_keys

        key = read_file_key(self.host_keys_seal, "the host keys in the store")
        share_host_keys(settings.state, self.store, bytes.fromhex(key))

    def _identity(self, restart: Restart) -> NodeIdentity | None:
        """Return which of the servers this is that share a store; None for another store."""
        if self.store is None or self.mode == "one":
            return None
        from nacre.daemon.nodes.values import node_identity

        before = restart.predecessor
        node = node_identity(self.node, "" if before is None else before.estate.node)
        restart.node = node.server
        return node

    def _everywhere(self, node: NodeIdentity | None) -> Everywhere | None:
        """Return what adds the connections of the other servers of the store."""
        if self.store is None or node is None:
            return None
        from nacre.daemon.nodes.roster import NodesRoster

        return partial(NodesRoster, url=self.store, node=node)

    def _lease(
        self, settings: DaemonSettings, node: NodeIdentity | None, store: UserStore | None
    ) -> NodeLease | None:
        if self.store is None or node is None:
            return None
        from nacre.daemon.nodes.lease import NodeLease

        ledgers = None
        if self.share_quotas and settings.state is not None and store is not None:
            from nacre.daemon.nodes.ledgers import LedgerKeeper

            ledgers = LedgerKeeper(self.store, settings.state, store.groups.ledgers.settle)
        return NodeLease(self.store, node, ledgers)

    def _copier(
        self, settings: DaemonSettings, node: NodeIdentity | None, worker: Worker | None
    ) -> AuditCopier | None:
        """Return what copies events in this process: of several workers the first one does."""
        if self.store is None or node is None or settings.state is None or not self.audit.copied:
            return None
        if worker is not None and worker.place != 0:
            return None
        from nacre.daemon.audit.table import FILE
        from nacre.daemon.nodes.copier import AuditCopier

        return AuditCopier(settings.state / FILE, self.store, node)

    def _settings(self) -> DaemonSettings:
        return DaemonSettings(
            rules=self.rules,
            read=self.read,
            needs_restart=self.needs_restart,
            profile=self.profile,
            state=None if self.state is None else open_state(self.state),
            as_sshd=self.as_sshd,
            addresses=self.addresses,
            edge=self.edge,
            end_processes=self.end_processes,
            drain=self.drain,
            log=self.log,
            audit=self._audit,
            watch=self.watch,
        )

    def _with_api(
        self,
        settings: DaemonSettings,
        stack: ExitStack,
        sockets: ListeningSockets,
        restart: Restart,
        report: ServerLog,
    ) -> DaemonSettings:
        """Serve the API until ``stack`` ends; it starts before there are threads and a loop."""
        if self.edge.api is None or settings.state is None:
            return settings
        before = restart.predecessor
        ssh = _served_ssh(settings, sockets)
        with nullcontext() if self.recording is None else self.recording.kept() as recordings:
            opened = self.edge.api.open(
                settings.state,
                self._powerless(),
                audited=settings.audit.mode != "off",
                inherited=None if before is None else before.estate.api,
                recordings=recordings,
                ssh=ssh,
            )
            api = restart.api = stack.enter_context(opened)
        for where in api.places:
            report({"event": "api", "address": where})
        return replace(settings, api=api.fileno())

    def _note_process(self, file: PidFile, settings: DaemonSettings) -> None:
        if self.mode != "one":
            file.write(settings.config.pid_file)

    def _log(self, settings: DaemonSettings) -> ServerLog:
        return ServerLog(settings.config.log_level, settings.destination)

    def _warn(self, settings: DaemonSettings, text: str) -> None:
        if self.log.plain:
            print(f"WARNING: {text}", file=sys.stderr, flush=True)
        else:
            self._log(settings)({"event": "warning", "what": text})

    def _report_address(self, settings: DaemonSettings, problem: str) -> None:
        what = "an address is not used"
        self._log(settings)({"event": "error", "what": what, "error": problem})

    def _supervise(self, settings: DaemonSettings, running: RunningServer) -> None:
        # The supervisor makes what is missing, and reports once what is wrong with it.
        settings.host_keys()
        sockets, counts = running.sockets, running.counts
        startups = Startups(self.workers)
        links = None
        if running.place is not None:
            links = WorkerLinks(
                running.place,
                self.workers,
                self.watch,
                running.elder,
                self._everywhere(running.node),
            )
        assert running.restart is not None
        running.restart.control = links
        current = settings  # what a worker begins with that replaces another

        def reload() -> None:
            nonlocal current
            changed = current.again()
            changed.host_keys()
            changed.listen(sockets, partial(self._report_address, changed))
            current = changed
            self._note(running, changed)

        def serve(worker: Worker) -> None:
            end = None if links is None else links.be_worker(worker.place)
            self._serve(current, running, startups, worker, end)

        def begun() -> None:
            self._note(running, current)
            if self.log.plain:
                announce(sockets.all)
            else:
                report_listening(self._log(settings), sockets.all)
            notify(READY)

        Supervisor(
            self.workers,
            sockets,
            (startups,) if counts is None else (startups, counts),
            self._log(settings),
            serve,
            reload,
            self.log.open,
            links,
            running.restart,
        ).run(begun)

    def _note(self, running: RunningServer, settings: DaemonSettings) -> None:
        if running.file is not None:
            self._note_process(running.file, settings)

    def _watch_over(self, settings: DaemonSettings, running: RunningServer) -> bool:
        from nacre.daemon.separate.process import MonitorProcess

        rights = self._powerless()
        reloaded = partial(self._note, running)
        with ExitStack() as stack:
            store = self._open_store(settings, stack)
            make = self._source.policies(store, stack, running.counts)
            hooks = self._hooks(settings, None)
            copier = self._copier(settings, running.node, None)
            beside = self._beside(settings, running, store, hooks, copier)

            async def watch() -> None:
                process = MonitorProcess(settings, make, self.gates, rights, reloaded, beside())
                await process.run(running.sockets)

            asyncio.run(watch())
        return True

    def _beside(
        self,
        settings: DaemonSettings,
        running: RunningServer,
        store: UserStore | None,
        hooks: ServerHooks | None,
        copier: AuditCopier | None,
        worker: Controlled | None = None,
    ) -> Callable[[], Beside]:
        """Return what makes the things beside a server's connections, on its loop.

        :param worker: what controls a worker, in place of the control socket.
        """
        metrics, bans = self._metrics(running), self._bans(settings, store)
        controlled, restart = worker, running.restart
        if worker is None and running.place is not None:
            controlled = here = ControlledHere(
                running.place, self.watch, running.elder, self._everywhere(running.node)
            )
            assert restart is not None
            restart.control = here
        if restart is not None:
            restart.metrics = metrics
        return lambda: Beside(
            controlled=controlled,
            recorder=None if running.record is None else running.record(),
            metrics=metrics,
            bans=bans,
            hooks=hooks,
            lease=self._lease(settings, running.node, store),
            copier=copier,
            restart=restart,
        )

    def _powerless(self) -> tuple[int, int] | None:
        """Return the account and group of processes without rights; None for this one's."""
        return gate_rights(self.gate_user) if os.geteuid() == 0 else None

    def _bans(self, settings: DaemonSettings, store: UserStore | None) -> BanKeeper | None:
        if self.edge.ban_points is None or store is None:
            return None
        from nacre.daemon.bans.keeper import BanKeeper

        bits = settings.config.per_source_net_block_size
        return BanKeeper(store.bans, self.edge.ban_points, bits)

    def _metrics(self, running: RunningServer) -> ServerMetrics | None:
        if self.edge.metrics is None:
            return None
        from nacre.daemon.metrics.metrics import ServerMetrics

        before = None if running.restart is None else running.restart.predecessor
        inherited = None if before is None else before.estate.metrics
        return ServerMetrics(self.edge.metrics, self._powerless(), inherited)

    def _hooks(self, settings: DaemonSettings, worker: Worker | None) -> ServerHooks | None:
        """Return what tells hooks in this process: of several workers the first one does."""
        if self.hooks is None or settings.state is None:
            return None
        if worker is not None and worker.place != 0:
            return None
        return self.hooks.open(settings.state, self.gate_user, settings.config.log_level)

    def _serve(
        self,
        settings: DaemonSettings,
        running: RunningServer,
        startups: Startups,
        worker: Worker | None,
        end: Controlled | None = None,
    ) -> bool:
        if worker is not None:
            running = replace(running, restart=None, file=None, place=None)
        reloaded = None if running.file is None else partial(self._note, running)
        sockets = running.sockets
        with ExitStack() as stack:
            store = self._open_store(settings, stack)
            make = self._source.policies(store, stack, running.counts)
            hooks = self._hooks(settings, worker)
            copier = self._copier(settings, running.node, worker)
            beside = self._beside(settings, running, store, hooks, copier, end)

            async def serve() -> bool:
                process = ServerProcess(settings, make, startups, worker, reloaded, beside())
                if self.mode == "inherited":
                    return await process.run_one(partial(take_inherited, quiet=self.log.apart))
                if self.mode == "one":
                    announce(sockets.all)
                    return await process.run_one(partial(take_first, sockets))
                await process.run(sockets)
                return True

            return asyncio.run(serve())

    def _check_rights(self) -> None:
        if self.workers > 1 and self.edge.metrics is not None:
            raise ConfigurationError(
                "--metrics can't be used with --workers, each of which has a count of its own: "
                "leave --workers out, and the server has gates"
            )
        if self.gates:
            check_separable(self.config)
        if self.hooks is not None:
            self.hooks.rights(self.gate_user)
        self._source.check_rights(self.rules)


@dataclass(frozen=True, slots=True)
class RunningServer:
    """What a server has from its start to its end.

    :ivar restart: None in a worker, and for a server of one inherited connection.
    :ivar elder: the connections of the server that this one follows.
    :ivar node: which of the servers this is that share a store, or None.
    """

    sockets: ListeningSockets
    restart: Restart | None
    file: PidFile | None = None
    place: ControlPlace | None = None
    record: MakeRecorder | None = None
    counts: ConnectionCounts | None = None
    elder: ElderRoster | None = None
    node: NodeIdentity | None = None


def _served_ssh(settings: DaemonSettings, sockets: ListeningSockets) -> ServedSSH:
    publics = (key.public.plain for key in settings.host_keys())
    keys = dict.fromkeys(str(one) for one in publics if one.type != "rsa1")
    return ServedSSH(tuple(place(one) for one in sockets.all), tuple(keys))


def _with_sockets(
    settings: DaemonSettings,
    sockets: ListeningSockets,
    activated: Passed | None,
    before: Predecessor | None,
) -> DaemonSettings:
    """Have ``sockets`` take those that other processes have opened; return where to listen."""
    passed = activated if before is None else before.estate.sockets
    if passed is None:
        return settings
    sockets.adopt(passed)
    if any(address.told_by == ACTIVATED for address in sockets.addresses):
        for sock in sockets.all:
            notice_vanished_clients(sock)
        return replace(settings, addresses=sockets.addresses)
    return settings


def _counts(workers: int, before: Predecessor | None) -> ConnectionCounts:
    if before is None or before.estate.counts is None:
        return ConnectionCounts(workers)
    return ConnectionCounts(workers, before.estate.counts, before.estate.parts)
