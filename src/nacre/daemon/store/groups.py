"""The groups of the store, whose settings their users inherit."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from nacre.config.syntax.tokens import expand
from nacre.daemon.store.database import Database
from nacre.daemon.store.ledgers import StoredLedgers
from nacre.daemon.store.tables import GROUPS, MEMBERS
from nacre.daemon.store.values import (
    COUNTED,
    PLACES,
    SHARED_SETTINGS,
    Group,
    LedgerKey,
    User,
    check_name,
)
from nacre.errors import ConfigurationError, UserStoreError
from nacre.wire.text import safe

_OPTIONS = {"folders": "folder"}
"""The options of settings that are named otherwise."""


class Groups:
    """The groups in one file, which other processes may change too.

    :ivar ledgers: what users and groups have used of their limits.
    """

    def __init__(self, database: Database, find: Callable[[str], User | None]) -> None:
        """Use a database.

        :param find: returns a user with the settings that hold.
        """
        self._database = database
        self._find = find
        self.ledgers = StoredLedgers(database, self.members)

    def all(self) -> list[Group]:
        """Return all groups, sorted by name."""
        with self._database.reading() as connection:
            rows = connection.execute(select(GROUPS).order_by(GROUPS.c.name))
            return [_group(row) for row in rows]

    def find(self, name: str) -> Group:
        """Return a group.

        :raises UserStoreError: there is none of this name.
        """
        with self._database.reading() as connection:
            row = connection.execute(select(GROUPS).where(GROUPS.c.name == name)).one_or_none()
        if row is None:
            raise no_such_group(name)
        return _group(row)

    def sizes(self) -> dict[str, int]:
        """Return the number of users of each group that has some."""
        with self._database.reading() as connection:
            counts = select(MEMBERS.c.group, func.count()).group_by(MEMBERS.c.group)
            return {row[0]: row[1] for row in connection.execute(counts)}

    def users(self, name: str) -> list[str]:
        """Return the names of a group's users, sorted."""
        chosen = select(MEMBERS.c.user).where(MEMBERS.c.group == name).order_by(MEMBERS.c.user)
        with self._database.reading() as connection:
            return list(connection.execute(chosen).scalars())

    def members(self, name: str) -> Iterator[User]:
        """Return a group's users, sorted by name, with the settings that hold."""
        return (user for one in self.users(name) if (user := self._find(one)) is not None)

    def count_anew(
        self,
        groups: Collection[str] | None = None,
        users: Collection[str] | None = None,
        gone: Collection[str] | None = None,
    ) -> None:
        """Have files counted before they are changed: what counts is another now.

        :param groups: those whose ledgers are concerned; None for all.
        :param users: the users whose files are counted; None for all.
        :param gone: see :func:`~nacre.daemon.store.shared.settle_shared`.
        :raises UserStoreError: a ledger can't be changed.
        """
        self.ledgers.count_anew(groups, users, gone)

    def add(self, *groups: Group) -> None:
        """Add groups: all of them, or none.

        :raises UserStoreError: a name is taken or not possible, or a place has an unknown token.
        """
        now = int(time.time())
        with self._database.transaction() as connection:
            for group in groups:
                put_group(connection, group, now)

    def change(self, name: str, **values: Any) -> None:
        """Set fields of a group, named as in :class:`Group`.

        :raises UserStoreError: there is none of this name, or a place has an unknown token.
        """
        check_places(values)
        with self._database.transaction() as connection:
            changed = update(GROUPS).where(GROUPS.c.name == name).values(**values)
            if connection.execute(changed).rowcount == 0:
                raise no_such_group(name)
        if COUNTED & values.keys():
            self.count_anew()
        elif values.keys() & set(SHARED_SETTINGS):
            self.count_anew([name], (), ())

    def remove(self, name: str) -> None:
        """Remove a group that has no users, with its ledger.

        :raises UserStoreError: it has some, or there is none of this name.
        """
        try:
            with self._database.transaction() as connection:
                done = connection.execute(delete(GROUPS).where(GROUPS.c.name == name))
                if done.rowcount == 0:
                    raise no_such_group(name)
                self.ledgers.remove(connection, LedgerKey("group", name))
        except IntegrityError:
            raise UserStoreError(
                f"the group {name} has {self.sizes()[name]} users: put them into other groups "
                "with `nacre user set NAME --group GROUP`, or into none with --no-groups"
            ) from None


def _group(row: Row[Any]) -> Group:
    return Group(**row._mapping)


def put_group(connection: Connection, group: Group, now: int, *, replace: bool = False) -> bool:
    """Add a group, and tell whether it is new.

    :param replace: a group of this name gets these settings, and keeps its users.
    :raises UserStoreError: the name is taken or not possible, or a place has an unknown token.
    """
    check_name(group.name, "group")
    values = asdict(group)
    check_places(values)
    values["created"] = group.created or now
    if replace:
        same = update(GROUPS).where(GROUPS.c.name == group.name).values(**values)
        if connection.execute(same).rowcount:
            return False
    try:
        connection.execute(insert(GROUPS), values)
    except IntegrityError:
        raise UserStoreError(
            f"there is a group {group.name} already; `nacre group set` changes it"
        ) from None
    return True


def check_places(values: dict[str, Any]) -> None:
    """Check the tokens of a group's directories.

    :raises UserStoreError: one is unknown.
    """
    for name in PLACES:
        if values.get(name) is not None:
            try:
                expand(values[name], {"u": "x"})
            except ConfigurationError as error:
                raise UserStoreError(f"--{_OPTIONS.get(name, name)}: {error}") from None


def no_such_group(name: str) -> UserStoreError:
    """Return the error that there is no group of this name."""
    return UserStoreError(f"there is no group {safe(name, 64)!r}: `nacre group add` makes one")
