"""A database of PostgreSQL as the store's: opened, brought up to date, read and written.

Transactions that write exclude each other, on all servers, as those of SQLite do: what is counted
or used up once counts once. They are few and short.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import Connection, Select, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnection

from nacre.daemon.store.database import VERSION, bring_up_to_date
from nacre.daemon.store.postgres.changes import USER, tell_changes
from nacre.daemon.store.postgres.listener import ChangeListener
from nacre.errors import StateError

if TYPE_CHECKING:
    from nacre.daemon.store.postgres.store_url import StoreURL

_LOCK = 0x6E616372
"""The number of the lock that transactions have which write (pg_advisory_xact_lock)."""

_PATIENCE = 10.0
"""Seconds to wait for a connection of this process while others use all."""

_CONNECTIONS = 8
"""The most connections of this process beside the one that listens; a thread that needs one more
waits."""


class SharedDatabase:
    """One database; see :class:`~nacre.daemon.store.database.Database`."""

    def __init__(self, url: StoreURL, directory: Path, *, create: bool) -> None:
        """Open the database.

        :param directory: the state directory of this server.
        :param create: whether to make the tables if there are none.
        :raises StateError: it can't be reached or used, or a newer nacre has made it.
        """
        self.directory = directory
        self._url = url
        self._engine = create_engine(
            "postgresql+psycopg://",
            creator=url.connect,
            pool_size=_CONNECTIONS,
            max_overflow=0,
            pool_timeout=_PATIENCE,
            pool_pre_ping=True,  # the server may have been started again meanwhile
            hide_parameters=True,
        )
        # Many rows are one statement, which is told of once.
        self._engine.dialect.use_insertmanyvalues_wo_returning = True
        self._versions = count(1)
        self._seen = next(self._versions)
        self._listener: ChangeListener | None = None
        self._following = threading.Lock()
        self._told: list[Callable[[str], None]] = []
        try:
            self._prepare(create)
        except BaseException:
            self._engine.dispose()
            raise

    def _prepare(self, create: bool) -> None:
        with self.reading() as connection:
            version = self._version(connection)
        if version == VERSION:
            return
        if version == 0 and not create:
            raise StateError(
                f"the user store {self._url.text} has no tables yet: `nacre user add` makes them, "
                "or `nacre serve`"
            )
        with self.transaction() as connection:
            if (version := self._version(connection)) < VERSION:
                _bound(connection, None)
                bring_up_to_date(connection, version)
                if version == 0:
                    from nacre.daemon.store.migrations import note

                    note(connection, VERSION)
                tell_changes(connection)

    def _version(self, connection: Connection) -> int:
        if not inspect(connection).has_table("alembic_version"):
            return 0
        kept = connection.execute(text("SELECT version_num FROM alembic_version"))
        version = int(kept.scalar_one())
        if version > VERSION:
            raise StateError(
                f"the user store {self._url.text} has version {version}, made by a newer nacre; "
                f"this one knows version {VERSION}"
            )
        return version

    def close(self) -> None:
        """Close all connections."""
        with self._following:
            if self._listener is not None:
                self._listener.close()
        self._engine.dispose()

    @contextmanager
    def transaction(self, *, keep: bool = True) -> Iterator[Connection]:
        """Begin a transaction that writes, when no other one does.

        :raises StateError: the database can't be written.
        :raises ~sqlalchemy.exc.IntegrityError: a constraint of the tables forbids it.
        """
        with self._used(), self._engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            yield connection
            (connection.commit if keep else connection.rollback)()

    @contextmanager
    def reading(self, *, seconds: float | None = None) -> Iterator[Connection]:
        """Begin to read.

        :raises StateError: the database can't be read.
        :raises TimeoutError: it takes longer.
        """
        with self._used(seconds), self._engine.connect() as connection:
            if seconds is not None:
                _bound(connection, seconds)
            yield connection

    def look(self, statement: Select[Any], **values: object) -> list[tuple[Any, ...]]:
        """Return all rows of a lookup. Blocks.

        :raises StateError: the database can't be read.
        """
        with self.reading() as connection:
            return [tuple(row) for row in connection.execute(statement, values)]

    def rows(self, connection: Connection, statement: Select[Any]) -> Iterator[tuple[Any, ...]]:
        """Return the rows of a list as they are read; flags are 0 or 1."""
        streamed = connection.execution_options(stream_results=True).execute(statement)
        for row in streamed:
            yield tuple(int(one) if isinstance(one, bool) else one for one in row)

    # --- changes ---

    def subscribe(self, told: Callable[[str], None]) -> None:
        """Call ``told`` from now on, in a thread.

        :param told: gets what :mod:`nacre.daemon.store.postgres.changes` says of a change.
        """
        self._told.append(told)
        self.follow()

    def follow(self) -> None:
        """Hear of changes from now on."""
        with self._following:
            if self._listener is None:
                self._listener = ChangeListener(self._url, self._on_change)

    def changed(self, name: str) -> None:
        """Tell of a change at once: what the database tells of it comes later."""
        self._on_change(f"{USER} {name}")

    def _on_change(self, what: str) -> None:
        self._seen = next(self._versions)
        for told in self._told:
            told(what)

    def is_followed(self) -> bool:
        """Tell whether every change is told within a second."""
        return self._listener is not None and self._listener.is_up()

    def version(self) -> int:
        """Return a number that changes with the database; each time if nobody tells of changes."""
        return self._seen if self.is_followed() else next(self._versions)

    # --- errors ---

    @contextmanager
    def _used(self, seconds: float | None = None) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except DBAPIError as error:
            if seconds is not None and isinstance(error.orig, psycopg.errors.QueryCanceled):
                raise TimeoutError(f"the store has more than is read in {seconds} s") from None
            raise self._broken(error.orig) from None
        except NoConnection:
            raise self._broken("all connections to it are in use") from None

    def _broken(self, reason: object) -> StateError:
        # The rest of PostgreSQL's message may have values of the row: the hash of a password.
        if isinstance(reason, psycopg.Error) and reason.diag.message_primary:
            reason = reason.diag.message_primary
        what = " ".join(str(reason).split())
        return StateError(f"can't use the user store {self._url.text}: {what}")


def _bound(connection: Connection, seconds: float | None) -> None:
    """Have each statement of the transaction end after a time; None for no bound."""
    milliseconds = 0 if seconds is None else max(1, round(seconds * 1000))
    chosen = text("SELECT set_config('statement_timeout', :value, true)")
    connection.execute(chosen, {"value": str(milliseconds)})
