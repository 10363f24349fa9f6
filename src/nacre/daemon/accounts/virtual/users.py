"""Who the virtual users are: what their policy asks, and the answers of the store.

The other answers are those of directories (:mod:`nacre.daemon.accounts.directories`), and of a
store that several servers share (:mod:`nacre.daemon.accounts.virtual.shared_users`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from nacre.crypto.password import hash_password, needs_rehash, verify_password, verify_unknown
from nacre.daemon.accounts.candidate import Candidate
from nacre.keys import PublicKey
from nacre.keys.shown import ShownKey
from nacre.protocol.asks import Challenge

if TYPE_CHECKING:
    from nacre.daemon.store.store import UserStore
    from nacre.daemon.store.values import User
    from nacre.server.peer import Client

UNKNOWN_USER = "unknown user"
"""The reason in the log for a user who does not exist."""

_HASHING = 4
"""Passwords hashed at the same time: each takes 19 MiB, and 20 ms of a core."""


@dataclass(frozen=True, slots=True)
class PasswordVerdict:
    """What is said of a password.

    :ivar refusal: why it does not count, for the log; None if it does.
    :ivar hashed: the hash that is stored of it, if the store has it.
    """

    refusal: str | None
    hashed: str | None = None


class VirtualUsers(Protocol):
    """Who the users are. Nothing here decides who may log in: the policy does."""

    def look_up(
        self,
        name: str,
        connection: Client,
        *,
        again: bool = False,
        key: PublicKey | None = None,
    ) -> Awaitable[None] | None:
        """Look up a user, for the questions that follow; None where there is nothing to wait for.

        It does not fail: :meth:`absence` tells why there is no user.

        :param again: also if this was done for the connection.
        :param key: what the client shows, if the next question is :meth:`key_options`.
        """

    def find(self, name: str, connection: Client) -> User | None:
        """Return a user who was looked up, also one who is disabled, or None."""

    def absence(self, name: str, connection: Client) -> str:
        """Return for the log why there is no user."""

    def policies(self) -> list[str]:
        """Return what users may have to show (``auth``), sorted: unknown ones look like one."""

    def key_options(self, shown: ShownKey, connection: Client) -> str | None:
        """Return the options of a user's key; None if no user of this name, not disabled, has it.

        Where a certificate is shown, they are those of its authority, which they then say.
        """

    def keys(self, name: str, connection: Client) -> Iterable[PublicKey]:
        """Return a user's keys."""

    def enrolled(self, name: str, connection: Client) -> bool:
        """Tell whether a user has a second factor."""

    async def verify(
        self, user: User | None, name: str, password: str, connection: Client
    ) -> PasswordVerdict:
        """Verify a password, taking equally long if ``user`` is None, whose password is wrong."""

    def converse(
        self, candidate: Candidate, responses: tuple[str, ...] | None, connection: Client
    ) -> Awaitable[bool | Challenge] | None:
        """Return the next step of a dialogue of these users' own; None to ask for passwords.

        :param responses: the answers to the last challenge, or None to begin.
        """

    def close(self) -> None:
        """End the threads."""


class StoredUsers:
    """The users of the store; see :class:`VirtualUsers`.

    :param workers: how many processes like this one share the bound on hashing.
    """

    def __init__(self, store: UserStore, workers: int = 1) -> None:
        self._store = store
        self.hashing = ThreadPoolExecutor(max(1, _HASHING // workers), "password")

    def look_up(
        self,
        name: str,
        connection: Client,
        *,
        again: bool = False,
        key: PublicKey | None = None,
    ) -> Awaitable[None] | None:
        """Return None: the store is asked at once."""
        return None

    def find(self, name: str, connection: Client) -> User | None:
        """Return a user with the settings that hold, or None."""
        return self._store.find(name)

    def absence(self, name: str, connection: Client) -> str:
        """Return that there is none of this name."""
        return UNKNOWN_USER

    def policies(self) -> list[str]:
        """Return what the users have to show, sorted."""
        return self._store.policies()

    def key_options(self, shown: ShownKey, connection: Client) -> str | None:
        """Return the options of a user's key, or None."""
        return self._store.key_options(shown.user, shown.listed)

    def keys(self, name: str, connection: Client) -> Iterable[PublicKey]:
        """Return a user's keys. May block."""
        return (one.key for one in self._store.keys(name))

    def enrolled(self, name: str, connection: Client) -> bool:
        """Tell whether a user has a second factor."""
        return self._store.factors.enrolled(name)

    async def verify(
        self, user: User | None, name: str, password: str, connection: Client
    ) -> PasswordVerdict:
        """Verify a password in a worker thread."""
        loop = asyncio.get_running_loop()
        hashed = await loop.run_in_executor(self.hashing, self._verify, user, password)
        if hashed is not None:
            return PasswordVerdict(None, hashed)
        lacks = user is not None and user.password is None
        return PasswordVerdict("the user has no password" if lacks else "wrong password")

    def _verify(self, user: User | None, password: str) -> str | None:
        """Return the hash of the password that is stored from now on, or None if it is wrong."""
        given = password.encode("utf-8", "surrogateescape")
        if user is None or user.password is None:
            verify_unknown(given)
            return None
        if not verify_password(user.password, given):
            return None
        if not needs_rehash(user.password):
            return user.password
        new = hash_password(given, os.urandom)
        self._store.replace_hash(user.name, user.password, new)
        return new

    def converse(
        self, candidate: Candidate, responses: tuple[str, ...] | None, connection: Client
    ) -> Awaitable[bool | Challenge] | None:
        """Return None: users of the store have passwords."""
        return None

    def close(self) -> None:
        """End the threads."""
        self.hashing.shutdown(cancel_futures=True)
