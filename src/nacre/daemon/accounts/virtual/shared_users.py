"""The users of a store that several servers share, which a network may hold up.

A login looks its user up in a thread, unless the answer is remembered; what follows uses that
answer. While the database gives none, a login waits for it, for a bounded time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from nacre.daemon.accounts.virtual.users import UNKNOWN_USER, StoredUsers
from nacre.errors import StateError
from nacre.keys import PublicKey
from nacre.keys.shown import ShownKey
from nacre.server.admission.sources import network_of
from nacre.server.admission.threads import FairThreads
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.daemon.store.postgres.lookups import FoundLogin, Lookups
    from nacre.daemon.store.store import UserStore
    from nacre.daemon.store.values import User
    from nacre.server.peer import Client

PATIENCE = 20.0
"""Seconds that a login waits for a database that gives no answer: it may be started again."""

_PAUSE = 0.5
"""Seconds from one question that fails to the next one."""

_ASKING = 4
_SHARE = 2
"""Questions that are asked at the same time, and how many of them for one network; others wait."""

_NETWORK = (32, 64)
"""The bits of an IPv4 and of an IPv6 network whose clients have a share."""

NO_ANSWER = "the user store gives no answer"
"""The reason in the log for a user who could not be looked up."""


class SharedUsers(StoredUsers):
    """These users; see :class:`~nacre.daemon.accounts.virtual.users.VirtualUsers`.

    :param workers: how many processes like this one share the bound on hashing.
    """

    def __init__(self, store: UserStore, lookups: Lookups, workers: int = 1) -> None:
        super().__init__(store, workers)
        self._lookups = lookups
        self._asking = FairThreads(_ASKING, _SHARE)
        self._seen: WeakKeyDictionary[Client, tuple[str, FoundLogin | None]] = WeakKeyDictionary()
        self._policies: list[str] = []

    def look_up(
        self,
        name: str,
        connection: Client,
        *,
        again: bool = False,
        key: PublicKey | None = None,
    ) -> Awaitable[None] | None:
        """Look up a user; what is remembered is as good as an answer of now."""
        found = self._lookups.remembered(name)
        if found is None:
            return self._look_up(name, connection)
        first = self._seen_by(name, connection) is None
        self._seen[connection] = name, found
        # At once, it would show a stranger that somebody has asked for this name recently.
        return asyncio.sleep(self._lookups.pace) if first else None

    async def _look_up(self, name: str, connection: Client) -> None:
        network, ask = (
            network_of(connection.peer[0], _NETWORK),
            partial(self._lookups.look_up, name),
        )
        found, told = None, False
        try:
            async with asyncio.timeout(PATIENCE):
                while found is None:
                    try:
                        found = await self._asking.run(network, ask)
                    except (StateError, RuntimeError) as error:  # or there is no thread for it
                        if not told:
                            what = f"{NO_ANSWER}: the login waits for one"
                            connection.record("error", what=what, error=safe(str(error)))
                            told = True
                        await asyncio.sleep(_PAUSE)
        except TimeoutError:
            what = f"{NO_ANSWER} within {PATIENCE:.0f} seconds: nobody of this name is let in"
            connection.record("error", what=what, name=safe(name, 64))
        self._seen[connection] = name, found
        if found is not None:
            self._policies = list(found.policies)

    def _seen_by(self, name: str, connection: Client) -> FoundLogin | None:
        asked, found = self._seen.get(connection, ("", None))
        return found if asked == name else None

    def find(self, name: str, connection: Client) -> User | None:
        """Return a user who was looked up, or None."""
        found = self._seen_by(name, connection)
        return None if found is None else found.user

    def absence(self, name: str, connection: Client) -> str:
        """Return for the log why there is no user."""
        return NO_ANSWER if self._seen_by(name, connection) is None else UNKNOWN_USER

    def policies(self) -> list[str]:
        """Return what the users have to show, sorted."""
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
        """Tell whether a user has a second factor."""
        found = self._seen_by(name, connection)
        return found is not None and found.enrolled

    def close(self) -> None:
        """End the threads."""
        super().close()
        self._asking.close()


def users_of(store: UserStore, workers: int) -> StoredUsers:
    """Return the users of a store.

    :param workers: see :class:`~nacre.daemon.accounts.virtual.users.StoredUsers`.
    """
    if store.lookups is None:
        return StoredUsers(store, workers)
    return SharedUsers(store, store.lookups, workers)
