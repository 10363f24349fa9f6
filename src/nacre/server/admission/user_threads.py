"""Threads for what a user, a disk or a network can hang: files, and the system's databases.

Nothing interrupts a call for a file of a server that does not answer. So a user has a share of the
threads, of which a call that never returns takes one from this user and from nobody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from nacre.server.admission.threads import FairThreads, drop

if TYPE_CHECKING:
    from nacre.server.peer import Client

T = TypeVar("T")

_THREADS = 128
"""They are started when all others are busy, and an idle one costs some 10 KiB."""

_SHARE = 4
"""How many of them one user has."""

PATIENCE = 60.0
"""Seconds that a call may take."""

InThread: TypeAlias = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Calls a function in a thread, and returns or raises what it does."""


class UserThreads:
    """Works for the users of one policy."""

    def __init__(self) -> None:
        self._threads = FairThreads(_THREADS, _SHARE)

    async def run(self, user: str, work: Callable[[], T], undo: Callable[[T], object] = drop) -> T:
        """Call ``work`` in a thread for a user who is logged in; return or raise what it does.

        :param undo: gets the result if this call was cancelled meanwhile.
        :raises TimeoutError: it has not returned within :data:`PATIENCE`.
        :raises RuntimeError: the system has no thread for it.
        """
        return await self._run(_key(user), work, undo)

    async def run_for_login(self, user: str, connection: Client, work: Callable[[], T]) -> T:
        """Do the same for somebody who wants to be a user: a share is that of a host, as well.

        So whoever keeps a user's threads busy does not keep the user from logging in.
        """
        return await self._run(_key(user, connection.peer[0]), work, drop)

    async def _run(self, key: bytes, work: Callable[[], T], undo: Callable[[T], object]) -> T:
        deadline = asyncio.timeout(PATIENCE)
        try:
            async with deadline:
                return await self._threads.run(key, work, undo=undo)
        except TimeoutError:
            if not deadline.expired():
                raise
            raise TimeoutError(
                f"no answer within {PATIENCE:g} seconds: look whether a disk, a file server or a "
                "directory service hangs"
            ) from None

    def close(self) -> None:
        """Let the threads end with what they work at."""
        self._threads.close()


def _key(*words: str) -> bytes:
    return "\0".join(words).encode("utf-8", "surrogateescape")
