"""Where the users of a server come from: their store, their policies, and checks at the start."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from weakref import WeakSet

from nacre.config.server.rules import ServerRules
from nacre.daemon.accounts.accounts import find_account
from nacre.daemon.accounts.admission import check_for_store
from nacre.daemon.accounts.policy import AccountPolicy
from nacre.daemon.accounts.system import SystemPolicy
from nacre.daemon.accounts.virtual.connection_counts import ConnectionCounts
from nacre.daemon.accounts.virtual.policy import StorePolicy
from nacre.daemon.accounts.virtual.roots import check_roots
from nacre.errors import AccountError
from nacre.protocol.options import Profile

if TYPE_CHECKING:
    from nacre.daemon.accounts.directories.plan import UsersPlan
    from nacre.daemon.accounts.virtual.users import VirtualUsers
    from nacre.daemon.store.postgres.store_url import StoreURL
    from nacre.daemon.store.store import UserStore

SHARED_ACCOUNT = (
    "Users who may use a shell share the account of this server: they can read its host keys and "
    "the hashes of all passwords, change its users, read the memory of each other's sessions, and "
    "stop it. Give users whom you do not trust so far --service sftp with --root, or let root run "
    "the server, with --run-as ACCOUNT for each user."
)

UNCHECKED = (
    "There are too many users to look at all their roots before the start. Each session looks at "
    "that of its user, and is refused where the root would give away more than files."
)

_CHECK_SECONDS = 3.0
"""Seconds for each look at all users before the start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSource:
    """Where the users of a server come from.

    :ivar users: virtual users (``store``) or this system's accounts (``system``), or where else
        virtual users are found.
    :ivar url: a database that servers share, in place of the file in the state directory.
    :ivar run_as: the account of virtual users without one of their own, under root.
    :ivar powerless: returns the account and group of processes without rights; None for this one's.
    :ivar profile: the algorithms of keys.
    :ivar ssh1_strict: refuse SSH-1 for users who need both a password and a key.
    :ivar trust_own_ca: let virtual users in with certificates of the state directory's authority.
    :ivar workers: how many processes serve.
    """

    users: Literal["store", "system"] | UsersPlan
    url: StoreURL | None
    run_as: str | None
    powerless: Callable[[], tuple[int, int] | None]
    profile: Profile
    ssh1_strict: bool
    trust_own_ca: bool
    workers: int

    def check_rights(self, rules: ServerRules) -> None:
        """Refuse what this process has no right to serve.

        :raises AccountError: the message says why, and what to do.
        :raises ConfigurationError: the rules have something that these users can't have.
        """
        if self.users != "system":
            check_for_store(rules)
        elif os.geteuid() != 0:
            raise AccountError(
                "serving the accounts of the system needs root's rights, because sessions run as "
                "other accounts: start the server as root, or `nacre serve` without --users system"
            )
        elif self.trust_own_ca:
            raise AccountError(
                "--trust-own-ca is for virtual users: for accounts of the system name the file of "
                "the authority with TrustedUserCAKeys, and its KRL with RevokedKeys"
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

    def check_users(self, state: Path, warn: Callable[[str], None]) -> None:
        """Look at virtual users before the start, while somebody reads what is wrong with them.

        A shared store has its tables then, which servers of the system's accounts need as well.

        :param warn: is told what need not prevent the start.
        :raises NacreError: a user can't be served.
        """
        if not isinstance(self.users, str):
            self.users.open(self.powerless())
            if os.geteuid() != 0:
                warn(SHARED_ACCOUNT)
            return
        with closing(self._opened(state)) as store:
            if self.users == "system":
                return
            try:
                check_roots(store, self.run_as, seconds=_CHECK_SECONDS)
            except TimeoutError:
                warn(UNCHECKED)
            if os.geteuid() != 0 and _has_shell_user(store):
                warn(SHARED_ACCOUNT)

    def _opened(self, state: Path) -> UserStore:
        # SQLAlchemy takes half of the time to start, and accounts of the system do not need it.
        from nacre.daemon.store.store import FILE, UserStore

        return UserStore(state / FILE, url=self.url)

    def open_store(self, state: Path | None, stack: ExitStack, *, bans: bool) -> UserStore | None:
        """Return the store of users and bans, which ``stack`` closes; None if nobody needs one.

        A process opens it once: to close a file gives up all locks that the process has on it
        (fcntl(2)), and SQLite's other connections would be on files that are deleted.

        :param bans: whether it is needed for bans.
        """
        if state is None or (self.users == "system" and not bans):
            return None
        store = self._opened(state)
        stack.callback(store.close)
        return store

    def policies(
        self, store: UserStore | None, stack: ExitStack, counts: ConnectionCounts | None
    ) -> Callable[[ServerRules], AccountPolicy]:
        """Return what makes the policy for a configuration; ``stack`` closes the policies."""
        # One that no connection has any more is gone before.
        made: WeakSet[StorePolicy | SystemPolicy] = WeakSet()
        make: Callable[[ServerRules], StorePolicy | SystemPolicy]
        if self.users == "system":
            make = self._system_policy
        else:
            assert store is not None
            users = None
            if not isinstance(self.users, str):
                users = self.users.open(self.powerless())
            make = partial(self._store_policy, store, counts or ConnectionCounts(), users)
        stack.callback(lambda: [policy.close() for policy in made])

        def make_and_keep(rules: ServerRules) -> AccountPolicy:
            policy = make(rules)
            made.add(policy)
            return policy

        return make_and_keep

    def _system_policy(self, rules: ServerRules) -> SystemPolicy:
        return SystemPolicy(rules, self.profile)

    def _store_policy(
        self,
        store: UserStore,
        counts: ConnectionCounts,
        users: Callable[[UserStore], VirtualUsers] | None,
        rules: ServerRules,
    ) -> StorePolicy:
        return StorePolicy(
            store,
            self.run_as,
            ssh1_strict=self.ssh1_strict,
            workers=self.workers,
            rules=rules,
            profile=self.profile,
            counts=counts,
            trust_own_ca=self.trust_own_ca,
            users=None if users is None else users(store),
        )


def _has_shell_user(store: UserStore) -> bool:
    """Tell whether a user may have a shell; True where there are too many to know."""
    try:
        return store.has_shell_user(seconds=_CHECK_SECONDS)
    except TimeoutError:
        return True
