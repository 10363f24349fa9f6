"""``nacre serve`` and ``nacre-sshd``: what they were started with, their rights, their processes.

:class:`Daemon` opens the state directory, binds the sockets and starts one
:class:`~nacre.daemon.server_process.ServerProcess`, here or in each worker.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from weakref import WeakSet

from nacre.aio.versions import RISK
from nacre.config.server.config import ServerConfig
from nacre.config.server.rules import ServerRules
from nacre.daemon.accounts.accounts import find_account
from nacre.daemon.accounts.admission import check_for_store
from nacre.daemon.accounts.policy import AccountPolicy, StorePolicy
from nacre.daemon.accounts.roots import check_roots
from nacre.daemon.accounts.system import SystemPolicy
from nacre.daemon.background import PidFile, leave_terminal
from nacre.daemon.inherited import take_first, take_inherited
from nacre.daemon.log import ServerLog
from nacre.daemon.memory import give_back_memory, keep_secrets
from nacre.daemon.server_process import ServerProcess
from nacre.daemon.settings import DaemonSettings
from nacre.daemon.sockets import Address, ListeningSockets, announce
from nacre.daemon.state import open_state
from nacre.daemon.workers import Supervisor, Worker
from nacre.errors import AccountError
from nacre.protocol.options import Profile
from nacre.server.startups import Startups

if TYPE_CHECKING:
    from nacre.daemon.accounts.store import UserStore

_SHARED_ACCOUNT = (
    "Users who may use a shell share the account of this server: they can read its host keys and "
    "the hashes of all passwords, change its users, read the memory of each other's sessions, and "
    "stop it. Give users whom you do not trust so far --service sftp with --root, or let root run "
    "the server, with --run-as ACCOUNT for each user."
)

Mode = Literal["foreground", "background", "one", "inherited"]
"""How a daemon runs: until a signal, here or in the background; or for one connection, which it
waits for, or which standard input and output are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """What a daemon was started with; :meth:`run` serves.

    :ivar rules: the configuration.
    :ivar read: reads the configuration again, at SIGHUP; None if there is no file.
    :ivar state: the state directory; None for host keys of the system, without virtual users.
    :ivar addresses: where to listen; empty for where the configuration says.
    :ivar users: virtual users (``store``) or this system's accounts (``system``).
    :ivar run_as: the account of virtual users without one of their own, under root.
    :ivar ssh1_strict: refuse SSH-1 for users who need both a password and a key: in SSH-1 either
        is enough for them.
    :ivar end_processes: end the processes that outlive their sessions.
    :ivar workers: processes that serve; with several, one more supervises them.
    :ivar mode: how it runs; a mode other than ``foreground`` has no workers.
    :ivar to_syslog: log to the log of the system, and not to standard error.
    """

    rules: ServerRules
    read: Callable[[], ServerRules] | None = None
    state: Path | None
    addresses: tuple[Address, ...] = ()
    users: Literal["store", "system"] = "store"
    run_as: str | None = None
    profile: Profile = "default"
    ssh1_strict: bool = False
    end_processes: bool = False
    workers: int = 1
    mode: Mode = "foreground"
    to_syslog: bool = False

    @property
    def config(self) -> ServerConfig:
        """What holds outside of Match blocks."""
        return self.rules.base

    def run(self) -> bool:
        """Serve until a signal to stop, or until the one connection has ended.

        :returns: whether the user of the one connection has logged in; otherwise True.
        :raises NacreError: it can't start; the message says why and what to do.
        """
        self._check_rights()
        give_back_memory()
        keep_secrets()
        settings = DaemonSettings(
            rules=self.rules,
            read=self.read,
            profile=self.profile,
            state=None if self.state is None else open_state(self.state),
            addresses=self.addresses,
            end_processes=self.end_processes,
            to_syslog=self.to_syslog,
        )
        if self.users == "store":
            self._check_users(settings)
        if settings.speaks_ssh1:
            print(f"WARNING: SSH-1 is switched on. {RISK}", file=sys.stderr, flush=True)
        if self.mode == "inherited":
            return self._serve(settings, ListeningSockets(), Startups(), None)
        with ListeningSockets() as sockets:
            settings.listen(sockets, partial(self._report_address, settings))
            if self.mode == "background":
                settings.host_keys()  # reports what is wrong with them, while somebody reads it
                leave_terminal(quiet=self.to_syslog)
            report = self._log(settings)
            file = PidFile(lambda problem: report({"event": "error", "what": problem}))
            try:
                self._note_process(file, settings)
                if self.workers > 1:
                    self._supervise(settings, sockets, file)
                    return True
                return self._serve(settings, sockets, Startups(), None, file)
            finally:
                file.remove()

    def _note_process(self, file: PidFile, settings: DaemonSettings) -> None:
        if self.mode != "one":
            file.write(settings.config.pid_file)

    def _log(self, settings: DaemonSettings) -> ServerLog:
        return ServerLog(settings.config.log_level, settings.destination)

    def _report_address(self, settings: DaemonSettings, problem: str) -> None:
        what = "an address is not used"
        self._log(settings)({"event": "error", "what": what, "error": problem})

    def _supervise(
        self, settings: DaemonSettings, sockets: ListeningSockets, file: PidFile
    ) -> None:
        # The supervisor makes what is missing, and reports once what is wrong with it.
        settings.host_keys()
        startups = Startups(self.workers)
        current = settings  # what a worker begins with that replaces another

        def reload() -> None:
            nonlocal current
            changed = current.again()
            changed.host_keys()
            changed.listen(sockets, partial(self._report_address, changed))
            current = changed
            self._note_process(file, changed)

        Supervisor(
            self.workers,
            sockets,
            startups,
            self._log(settings),
            lambda worker: self._serve(current, sockets, startups, worker),
            reload,
        ).run(lambda: announce(sockets.all))

    def _serve(
        self,
        settings: DaemonSettings,
        sockets: ListeningSockets,
        startups: Startups,
        worker: Worker | None,
        file: PidFile | None = None,
    ) -> bool:
        reloaded = None if file is None else partial(self._note_process, file)
        with ExitStack() as stack:
            make = self._policies(settings, stack)

            async def serve() -> bool:
                process = ServerProcess(settings, make, startups, worker, reloaded)
                if self.mode == "inherited":
                    return await process.run_one(partial(take_inherited, quiet=self.to_syslog))
                if self.mode == "one":
                    announce(sockets.all)
                    return await process.run_one(partial(take_first, sockets))
                await process.run(sockets)
                return True

            return asyncio.run(serve())

    def _policies(
        self, settings: DaemonSettings, stack: ExitStack
    ) -> Callable[[ServerRules], AccountPolicy]:
        """Return what makes the policy for a configuration; ``stack`` closes the policies."""
        # One that no connection has any more is gone before.
        made: WeakSet[StorePolicy | SystemPolicy] = WeakSet()
        make: Callable[[ServerRules], StorePolicy | SystemPolicy]
        if self.users == "system":
            make = self._system_policy
        else:
            assert settings.state is not None
            # SQLAlchemy takes half of the time to start, and accounts of the system do not need it.
            from nacre.daemon.accounts.store import FILE, UserStore

            store = UserStore(settings.state / FILE)
            stack.callback(store.close)
            make = partial(self._store_policy, store)
        stack.callback(lambda: [policy.close() for policy in made])

        def make_and_keep(rules: ServerRules) -> AccountPolicy:
            policy = make(rules)
            made.add(policy)
            return policy

        return make_and_keep

    def _system_policy(self, rules: ServerRules) -> SystemPolicy:
        return SystemPolicy(rules, self.profile)

    def _store_policy(self, store: UserStore, rules: ServerRules) -> StorePolicy:
        return StorePolicy(
            store,
            self.run_as,
            ssh1_strict=self.ssh1_strict,
            workers=self.workers,
            rules=rules,
            profile=self.profile,
        )

    def _check_users(self, settings: DaemonSettings) -> None:
        assert settings.state is not None
        from nacre.daemon.accounts.store import FILE, UserStore

        with closing(UserStore(settings.state / FILE)) as store:
            check_roots(store, self.run_as)
            if os.geteuid() != 0 and store.has_shell_user():
                print(f"WARNING: {_SHARED_ACCOUNT}", file=sys.stderr, flush=True)

    def _check_rights(self) -> None:
        if self.users == "store":
            check_for_store(self.rules)
        if self.users == "system" and os.geteuid() != 0:
            raise AccountError(
                "serving the accounts of the system needs root's rights, because sessions run as "
                "other accounts: start the server as root, or `nacre serve` without --users system"
            )
        if self.run_as is None:
            return
        if self.users == "system":
            raise AccountError("--run-as is for virtual users; system users run as themselves")
        account = find_account(self.run_as)
        if os.geteuid() not in (0, account.uid):
            raise AccountError(
                f"only root can run sessions as {self.run_as}: "
                "start the server as root or as that account, or without --run-as"
            )
