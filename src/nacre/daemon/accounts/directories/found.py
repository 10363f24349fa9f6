"""Users of a directory: asked in threads, within bounds, and remembered for some seconds.

A question for a name and an address that is asked already is not asked again, and its answer holds
for :data:`RECENT` seconds, also that there is no such user. A failure refuses, holds for
:data:`RECENT_FAILURE` seconds, and is in the log. Passwords are asked each time.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from nacre.daemon.accounts.candidate import Candidate
from nacre.daemon.accounts.directories.asking import DirectoryThreads, asker_of, joined
from nacre.daemon.accounts.directories.values import Asker, Directory, FoundUser
from nacre.daemon.accounts.virtual.users import UNKNOWN_USER, PasswordVerdict
from nacre.daemon.store.values import StoredUser, User
from nacre.errors import AccountError
from nacre.keys import PublicKey
from nacre.keys.shown import ShownKey
from nacre.limits import DEFAULT_LIMITS
from nacre.protocol.asks import Challenge
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.daemon.store.store import UserStore
    from nacre.server.peer import Client

RECENT = 5.0
"""Seconds for which an answer holds."""

RECENT_FAILURE = 1.0
"""Seconds for which it holds that there was none."""

_KEPT = 1024
"""Answers that are remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedUp:
    """What is known of a name.

    :ivar absence: why there is no user, for the log.
    :ivar keys: the options of the user's keys, by the blobs of these.
    :ivar failed: whether the directory gave no answer.
    """

    user: User | None = None
    absence: str = UNKNOWN_USER
    keys: Mapping[bytes, str] = field(default_factory=dict)
    public: tuple[PublicKey, ...] = ()
    failed: bool = False


class FoundUsers:
    """The users of a directory; see :class:`~nacre.daemon.accounts.virtual.users.VirtualUsers`.

    :param store: has the groups that users may be in.
    :param groups: the groups of all these users, behind those that the directory names.
    :param accounts: those that the directory may name for sessions to run as.
    """

    def __init__(
        self,
        directory: Directory,
        store: UserStore,
        *,
        groups: tuple[str, ...] = (),
        accounts: frozenset[str] = frozenset(),
    ) -> None:
        self._directory = directory
        self._store = store
        self._groups = groups
        self._accounts = accounts
        self._threads = DirectoryThreads()
        self._recent: OrderedDict[tuple[str, str, str | None], asyncio.Task[LookedUp]]
        self._recent = OrderedDict()
        self._seen: WeakKeyDictionary[Client, tuple[str, LookedUp]] = WeakKeyDictionary()
        self._policies = ["any"]

    def close(self) -> None:
        """End the threads."""
        self._threads.close()

    # --- finding ---

    def look_up(
        self,
        name: str,
        connection: Client,
        *,
        again: bool = False,
        key: PublicKey | None = None,
    ) -> Awaitable[None] | None:
        """Look up a user, unless this was done for the connection."""
        if not again and self._seen_by(name, connection) is not None:
            return None
        return self._look_up(name, connection)

    async def _look_up(self, name: str, connection: Client) -> None:
        asker = asker_of(name, connection)
        found = LookedUp() if asker is None else await self._ask_once(asker)
        if found.failed:
            what = "a user can't be looked up"
            connection.record("error", what=what, name=safe(name, 64), error=found.absence)
        self._seen[connection] = name, found

    def _seen_by(self, name: str, connection: Client) -> LookedUp | None:
        asked, found = self._seen.get(connection, ("", None))
        return found if asked == name else None

    async def _ask_once(self, asker: Asker) -> LookedUp:
        key = asker.name, asker.address, asker.host
        task = self._recent.get(key)
        if task is None:
            loop = asyncio.get_running_loop()
            task = self._recent[key] = loop.create_task(self._ask(asker))
            task.add_done_callback(partial(self._keep, key))
            if len(self._recent) > _KEPT:
                self._forget_one()
        # Another login may wait for it when this one is gone.
        return await asyncio.shield(task)

    def _forget_one(self) -> None:
        """Forget the oldest answer; a question that is open is kept, or it would be asked twice."""
        oldest = next((key for key, task in self._recent.items() if task.done()), None)
        if oldest is not None:
            del self._recent[oldest]

    def _keep(self, key: tuple[str, str, str | None], task: asyncio.Task[LookedUp]) -> None:
        failed = task.cancelled() or task.exception() is not None or task.result().failed
        seconds = RECENT_FAILURE if failed else RECENT
        task.get_loop().call_later(seconds, self._forget, key, task)

    def _forget(self, key: tuple[str, str, str | None], task: asyncio.Task[LookedUp]) -> None:
        if self._recent.get(key) is task:
            del self._recent[key]

    async def _ask(self, asker: Asker) -> LookedUp:
        try:
            return await self._threads.ask(asker.address, partial(self._find, asker))
        except AccountError as error:
            return LookedUp(absence=f"the directory gave no answer: {error}", failed=True)

    def _find(self, asker: Asker) -> LookedUp:
        """Return what is known of a name. Blocks."""
        self._policies = [joined(StoredUser(name=asker.name), self._store, self._groups).auth]
        found = self._directory.find(asker)
        return LookedUp() if found is None else self._known(found)

    def _known(self, found: FoundUser) -> LookedUp:
        """Return a user with the settings that hold. Blocks.

        :raises AccountError: there is no such group, or the account may not be named.
        """
        own = found.user
        if own.run_as is not None and own.run_as not in self._accounts:
            raise AccountError(
                f"it names the account {safe(own.run_as, 64)} for sessions: allow that with "
                "--users-account, or have it name none, so that --run-as counts"
            )
        return LookedUp(
            user=joined(own, self._store, self._groups),
            absence="",
            keys={one.key.blob: one.options for one in found.keys},
            public=tuple(one.key for one in found.keys),
        )

    # --- what a login asks ---

    def find(self, name: str, connection: Client) -> User | None:
        """Return a user who was looked up, or None."""
        found = self._seen_by(name, connection)
        return None if found is None else found.user

    def absence(self, name: str, connection: Client) -> str:
        """Return for the log why there is no user."""
        found = self._seen_by(name, connection)
        return UNKNOWN_USER if found is None else found.absence or UNKNOWN_USER

    def policies(self) -> list[str]:
        """Return what a user shows of whom the directory says nothing of it."""
        return self._policies

    def key_options(self, shown: ShownKey, connection: Client) -> str | None:
        """Return the options of a user's key, or None."""
        found = self._seen_by(shown.user, connection)
        if found is None or found.user is None or found.user.disabled:
            return None
        return found.keys.get(shown.listed.blob)

    def keys(self, name: str, connection: Client) -> Iterable[PublicKey]:
        """Return a user's keys."""
        found = self._seen_by(name, connection)
        return () if found is None else found.public

    def enrolled(self, name: str, connection: Client) -> bool:
        """Tell whether a user has a second factor, which the store has."""
        return self._store.factors.enrolled(name)

    async def verify(
        self, user: User | None, name: str, password: str, connection: Client
    ) -> PasswordVerdict:
        """Ask for a password, also for somebody who may not log in: that answer does not count."""
        asker = asker_of(name, connection)
        # An empty password is an anonymous login to LDAP, which succeeds for every name.
        if asker is None or not password or "\0" in password:
            return PasswordVerdict("wrong password")
        if len(password) > DEFAULT_LIMITS.password:
            return PasswordVerdict("the password is too long")
        found = self._seen_by(name, connection)
        if found is not None and found.failed:
            return PasswordVerdict(found.absence)  # which takes long enough for everybody
        try:
            work = partial(self._directory.check, asker, password)
            outcome = await self._threads.ask(asker.address, work)
        except AccountError as error:
            what = "a password can't be verified"
            connection.record("error", what=what, name=safe(name, 64), error=str(error))
            return PasswordVerdict(f"the directory gave no answer: {error}")
        if user is None:
            return PasswordVerdict("wrong password")
        return PasswordVerdict(_REFUSALS.get(outcome, "the directory's answer is unknown"))

    def converse(
        self, candidate: Candidate, responses: tuple[str, ...] | None, connection: Client
    ) -> Awaitable[bool | Challenge] | None:
        """Return None: these users have passwords."""
        return None


_REFUSALS: Mapping[str, str | None] = {
    "right": None,
    "wrong": "wrong password",
    "expired": "the password has expired, and can't be changed here",
}
