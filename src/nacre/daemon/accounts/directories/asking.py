"""Questions to directories, off the event loop and within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from nacre.daemon.accounts.directories.values import SECONDS, Asker
from nacre.daemon.store.shared import shared_by
from nacre.daemon.store.store import settled
from nacre.daemon.store.values import StoredUser, User, check_name
from nacre.errors import AccountError, NacreError, UserStoreError
from nacre.server.admission.threads import FairThreads
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.daemon.store.store import UserStore
    from nacre.server.peer import Client

T = TypeVar("T")

_WAITING = 256
"""Questions that are asked, or wait for a thread."""

_THREADS, _SHARE = 32, 4
"""Threads, and how many of them ask for one client's address."""

_OWN_PASSWORDS = {
    "password_length": None,
    "password_history": None,
    "password_expires": None,
    "enrol_within": None,
}
"""Settings of the store's passwords, which mean nothing for others."""


class DirectoryThreads:
    """Threads that ask one directory."""

    def __init__(self) -> None:
        self._threads = FairThreads(_THREADS, _SHARE)
        self._waiting = 0

    async def ask(self, address: str, work: Callable[[], T]) -> T:
        """Call what asks the directory.

        :param address: the client's, for which no more than a share of the threads works.
        :raises AccountError: it failed, or takes too long.
        """
        if self._waiting >= _WAITING:
            raise AccountError(f"{_WAITING} questions wait for it already")
        self._waiting += 1
        try:
            async with asyncio.timeout(SECONDS):
                return await self._threads.run(address.encode(), work)
        except TimeoutError:
            raise AccountError(f"it took more than {SECONDS:g} seconds") from None
        except NacreError as error:
            raise AccountError(safe(str(error), 500)) from None
        except Exception as error:  # what others wrote may raise anything, with a password in it
            raise AccountError(f"it failed ({type(error).__name__})") from None
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """End the threads."""
        self._threads.close()


def asker_of(name: str, connection: Client) -> Asker | None:
    """Return who asks; None for a name that nobody can have, of which no directory hears."""
    try:
        check_name(name)
    except UserStoreError:
        return None
    return Asker(name=name, address=str(connection.peer[0]), host=connection.looked_up)


def group_settings(store: UserStore, names: Iterable[str]) -> list[dict[str, Any]]:
    """Return the settings of groups of the store. Blocks.

    :raises AccountError: there is no such group.
    """
    try:
        return [asdict(store.groups.find(name)) for name in names]
    except UserStoreError as error:
        raise AccountError(f"{error}: make it with `nacre group add`") from None


def joined(own: StoredUser, store: UserStore, groups: Iterable[str]) -> User:
    """Return a user with the settings that hold. Blocks.

    :param own: what the directory says.
    :param groups: the groups of the store that all users are in.
    :raises AccountError: there is no such group.
    """
    names = tuple(dict.fromkeys((*own.groups, *groups)))
    inherited = group_settings(store, names)
    settings = settled(asdict(own), inherited) | _OWN_PASSWORDS
    shared = shared_by(inherited)
    return User(name=own.name, groups=names, disabled=own.disabled, shared=shared, **settings)
