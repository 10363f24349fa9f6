"""``nacre serve``: what it was started with, its rights, its processes.

:class:`Daemon` opens the state directory, binds the sockets and starts one
:class:`~nacre.daemon.server_process.ServerProcess`, here or in each worker.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nacre.aio.versions import RISK
from nacre.config.server.config import ServerConfig
from nacre.config.server.rules import ServerRules
from nacre.daemon.accounts.accounts import find_account
from nacre.daemon.accounts.admission import check_for_store
from nacre.daemon.accounts.policy import StorePolicy
from nacre.daemon.accounts.roots import check_roots
from nacre.daemon.accounts.store import FILE, UserStore
from nacre.daemon.accounts.system import SystemPolicy
from nacre.daemon.log import StderrLog
from nacre.daemon.memory import give_back_memory, keep_secrets
from nacre.daemon.server_process import ServerProcess
from nacre.daemon.settings import DaemonSettings
from nacre.daemon.sockets import announce, bind
from nacre.daemon.state import open_state
from nacre.daemon.workers import Supervisor, Worker
from nacre.errors import AccountError
from nacre.protocol.options import Profile
from nacre.server.startups import Startups

_SHARED_ACCOUNT = (
    "Users who may use a shell share the account of this server: they can read its host keys and "
    "the hashes of all passwords, change its users, read the memory of each other's sessions, and "
    "stop it. Give users whom you do not trust so far --service sftp with --root, or let root run "
    "the server, with --run-as ACCOUNT for each user."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """What ``nacre serve`` was started with; :meth:`run` serves.

    :ivar state: the state directory, or None for the default one.
    :ivar addresses: where to listen; port 0 lets the system choose, "" is every address.
    :ivar users: virtual users (``store``) or this system's accounts (``system``).
    :ivar rules: the configuration, with its Match blocks.
    :ivar run_as: the account of virtual users without one of their own, under root.
    :ivar ssh1_strict: refuse SSH-1 for users who need both a password and a key: in SSH-1 either
        is enough for them.
    :ivar end_processes: end the processes that outlive their sessions.
    :ivar workers: processes that serve; with several, one more supervises them.
    """

    state: Path | None
    addresses: tuple[tuple[str, int], ...]
    users: Literal["store", "system"] = "store"
    run_as: str | None = None
    rules: ServerRules
    profile: Profile = "default"
    ssh1_strict: bool = False
    end_processes: bool = False
    workers: int = 1

    @property
    def config(self) -> ServerConfig:
        """What holds outside of Match blocks."""
        return self.rules.base

    def run(self) -> None:
        """Serve until a signal to stop.

        :raises NacreError: it can't start; the message says why and what to do.
        """
        self._check_rights()
        give_back_memory()
        keep_secrets()
        settings = DaemonSettings(
            rules=self.rules,
            profile=self.profile,
            state=open_state(self.state),
            end_processes=self.end_processes,
        )
        if self.users == "store":
            self._check_users(settings.state)
        if settings.speaks_ssh1:
            print(f"WARNING: SSH-1 is switched on. {RISK}", file=sys.stderr, flush=True)
        with ExitStack() as stack:
            keepalive = self.config.tcp_keep_alive
            sockets = [
                sock for address in self.addresses for sock in bind(*address, keepalive=keepalive)
            ]
            for sock in sockets:
                stack.enter_context(sock)
            if self.workers == 1:
                self._serve(settings, sockets, Startups(), None)
            else:
                self._supervise(settings, sockets)

    def _supervise(self, settings: DaemonSettings, sockets: list[socket.socket]) -> None:
        # The supervisor makes what is missing, and reports once what is wrong with it.
        settings.host_keys()
        startups = Startups(self.workers)
        Supervisor(
            self.workers,
            sockets,
            startups,
            StderrLog(self.config.log_level),
            lambda worker: self._serve(settings, sockets, startups, worker),
        ).run(lambda: announce(sockets))

    def _serve(
        self,
        settings: DaemonSettings,
        sockets: list[socket.socket],
        startups: Startups,
        worker: Worker | None,
    ) -> None:
        with ExitStack() as stack:
            policy: StorePolicy | SystemPolicy
            if self.users == "system":
                policy = SystemPolicy(self.rules)
            else:
                store = UserStore(settings.state / FILE)
                stack.callback(store.close)
                policy = StorePolicy(
                    store,
                    self.run_as,
                    ssh1_strict=self.ssh1_strict,
                    workers=self.workers,
                    rules=self.rules,
                )
            stack.callback(policy.close)
            asyncio.run(ServerProcess(settings, policy, startups, worker).run(sockets))

    def _check_users(self, state: Path) -> None:
        with closing(UserStore(state / FILE)) as store:
            check_roots(store, self.run_as)
            if os.geteuid() != 0 and store.has_shell_user():
                print(f"WARNING: {_SHARED_ACCOUNT}", file=sys.stderr, flush=True)

    def _check_rights(self) -> None:
        if self.users == "store":
            check_for_store(self.rules)
        if self.users == "system" and os.geteuid() != 0:
            raise AccountError(
                "--users system needs root's rights, because sessions run as other accounts: "
                "start the server as root, or without --users system"
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
