"""The ledgers of users and groups, when the store changes: those of the state directory, and those
that servers share.

What servers share is a row for each ledger. The server that has it at present has the figures, and
does what the row asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from sqlalchemy import ColumnElement, Connection, delete, select, update

from nacre.daemon.store.database import Database
from nacre.daemon.store.shared import settle_shared, shared_directory
from nacre.daemon.store.tables import LEDGERS
from nacre.daemon.store.values import LedgerKey, User, changed_ledgers, usage_directory
from nacre.sftp.filesystems.quota.ledger import count_later, remove_ledger

_COLUMNS = LEDGERS.c


class StoredLedgers:
    """The ledgers of one store."""

    def __init__(self, database: Database, members: Callable[[str], Iterable[User]]) -> None:
        """Use a database.

        :param members: returns the users of a group, with the settings that hold.
        """
        self._database = database
        self._members = members

    def count_anew(
        self,
        groups: Collection[str] | None,
        users: Collection[str] | None,
        gone: Collection[str] | None,
    ) -> None:
        """Have files counted before they are changed; see :meth:`Groups.count_anew`.

        :raises UserStoreError: a ledger can't be changed.
        """
        state = self._database.directory
        with changed_ledgers():
            count_later(usage_directory(state), users)
            settle_shared(state, self._members, groups, users, gone)
        for kind, names in (("user", users), ("group", groups)):
            if names is None or names:
                self._ask(kind, names)

    def _ask(self, kind: str, names: Collection[str] | None) -> None:
        """Have the servers that share ledgers count the files of these, or of all."""
        chosen = update(LEDGERS).where(_COLUMNS.kind == kind)
        if names is not None:
            chosen = chosen.where(_COLUMNS.name.in_(names))
        with self._database.transaction() as connection:
            connection.execute(chosen.values(asked=_COLUMNS.asked + 1))

    def settle(self, key: LedgerKey) -> None:
        """Have the files of a user or a group counted by the ledger in the state directory.

        :raises NacreError: the ledger can't be changed, or the store not be read.
        """
        state = self._database.directory
        with changed_ledgers():
            if key.kind == "user":
                count_later(usage_directory(state), [key.name])
            else:
                settle_shared(state, self._members, [key.name])

    def shared(self, key: LedgerKey) -> bytes | None:
        """Return a ledger that servers share, as it was some seconds ago; None for no such."""
        chosen = select(_COLUMNS.record).where(*self._is(key))
        with self._database.reading() as connection:
            row = connection.execute(chosen).one_or_none()
        return None if row is None else row[0] or b""

    def recount_shared(self, key: LedgerKey) -> bool:
        """Have servers that share a ledger count the files before their next change.

        :returns: whether they share it.
        """
        if self.shared(key) is None:
            return False
        self._ask(key.kind, [key.name])
        return True

    def remove(self, connection: Connection, key: LedgerKey) -> None:
        """Remove the ledger of a user or of a group that is removed.

        :raises UserStoreError: it can't be removed.
        """
        connection.execute(delete(LEDGERS).where(*self._is(key)))
        state = self._database.directory
        with changed_ledgers():
            place = usage_directory if key.kind == "user" else shared_directory
            remove_ledger(place(state), key.name)

    def _is(self, key: LedgerKey) -> tuple[ColumnElement[bool], ...]:
        return _COLUMNS.kind == key.kind, _COLUMNS.name == key.name
