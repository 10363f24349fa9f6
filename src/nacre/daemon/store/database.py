"""What the store needs of a database, and the file of SQLite that it has by default.

Lookups of a login run on a connection of the driver's, because each takes ten times as long through
SQLAlchemy. They wait for no other process, because readers of a write-ahead log don't.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, Select, insert
from sqlalchemy.dialects import sqlite

from nacre.daemon.store.sqlite_file import FileFormat, SQLiteFile
from nacre.daemon.store.tables import METADATA, SECRETS

VERSION = 22
"""The last of the revisions in :mod:`nacre.daemon.store.migrations`. A file of SQLite keeps it in
``user_version``, a database of PostgreSQL in alembic's table alone."""

# Two connections, one of them for lookups: threads that write wait for the other one.
_FORMAT = FileFormat("user store", "nacre user add", VERSION, busy=10, connections=2)


class Database(Protocol):
    """What the parts of the store work with. Safe to use from several threads at once.

    :ivar directory: the state directory, for the files that belong to what is stored.
    """

    @property
    def directory(self) -> Path:
        """The state directory."""

    def transaction(self, *, keep: bool = True) -> AbstractContextManager[Connection]:
        """Begin a transaction that writes. It waits until no other one does.

        :param keep: False undoes at the end what was done.
        :raises StateError: the database can't be written.
        :raises ~sqlalchemy.exc.IntegrityError: a constraint of the tables forbids it.
        """

    def reading(self, *, seconds: float | None = None) -> AbstractContextManager[Connection]:
        """Begin to read.

        :param seconds: the time that it may take, or None for any.
        :raises StateError: the database can't be read.
        :raises TimeoutError: it takes longer.
        """

    def look(self, statement: Select[Any], **values: object) -> list[tuple[Any, ...]]:
        """Return all rows of a lookup of a login.

        :param values: of the parameters of the statement.
        :raises StateError: the database can't be read.
        """

    def rows(self, connection: Connection, statement: Select[Any]) -> Iterator[tuple[Any, ...]]:
        """Return the rows of a long list as they are read; flags are 0 or 1.

        :param connection: that of :meth:`reading`.
        """

    def version(self) -> int:
        """Return a number that changes when somebody has changed the database."""

    def follow(self) -> None:
        """Have changes be told from now on, if the database does that."""

    def changed(self, name: str) -> None:
        """Have what this process remembers of a user be dropped, as it has changed the user."""

    def close(self) -> None:
        """Close it."""


class SQLiteDatabase(SQLiteFile):
    """The file of users and groups; see :class:`Database`."""

    def __init__(self, path: Path, *, create: bool) -> None:
        """Open the file at ``path``; see :class:`nacre.daemon.store.store.UserStore`."""
        # To make a table anew, as a migration does, would remove the rows that refer to its rows.
        before = "PRAGMA foreign_keys = OFF"
        super().__init__(path, _FORMAT, bring_up_to_date, create=create, before=before)
        self._lookups = self.driver()
        self._looking = threading.Lock()

    @property
    def directory(self) -> Path:
        """The directory that holds the file."""
        return self.path.parent

    def close(self) -> None:
        """Close the file."""
        self._lookups.close()
        super().close()

    def look(self, statement: Select[Any], **values: object) -> list[tuple[Any, ...]]:
        """Return all rows of a lookup: an unfinished statement would pin the write-ahead log.

        :raises StateError: the file can't be read, or is not the one that has its name now: what
            stands in a removed file must let nobody in.
        """
        return self._look(sql(statement), values)

    def version(self) -> int:
        """Return a number that changes when somebody else has changed the file."""
        return int(self._look("PRAGMA data_version", {})[0][0])

    def follow(self) -> None:
        """Do nothing: a file is looked at."""

    def changed(self, name: str) -> None:
        """Do nothing: nothing is remembered."""

    def _look(self, text: str, values: dict[str, object]) -> list[tuple[Any, ...]]:
        if self.is_replaced():
            raise self.broken("the file was removed or replaced; start the server again")
        try:
            with self._looking:
                cursor = self._lookups.cursor()
                return list(cursor.execute(text, values).fetchall())
        except sqlite3.Error as error:
            raise self.broken(error) from error

    def rows(self, connection: Connection, statement: Select[Any]) -> Iterator[tuple[Any, ...]]:
        """Return the rows of a list as they are read, from the driver."""
        text = statement.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
        rows: Iterator[tuple[Any, ...]] = connection.connection.cursor().execute(str(text))
        return rows


@cache
def sql(chosen: Select[Any]) -> str:
    """Return the text of a statement for the driver, with each parameter as ``:name``."""
    return str(chosen.compile(dialect=sqlite.dialect(paramstyle="named")))


def bring_up_to_date(connection: Connection, version: int) -> None:
    """Make the tables, or bring them up to date, in the transaction that the connection has begun.

    Tables that are new have the last version: alembic is not asked, as it takes 0.15 s to load.

    :param version: the version of the tables; 0 where there are none.
    """
    if version == 0:
        METADATA.create_all(connection)
        connection.execute(insert(SECRETS), {"name": "secret", "value": os.urandom(32)})
        return
    from nacre.daemon.store.migrations import migrate

    migrate(connection, version)
