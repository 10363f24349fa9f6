"""The file of the audit: its tables, how events are added to it, and how old ones are removed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    func,
    insert,
    select,
)
from sqlalchemy.engine import Connection

from nacre.daemon.audit.chain import BEGINNING, Kept, Position, link
from nacre.daemon.audit.events import AuditEvent, written
from nacre.daemon.store.sqlite_file import FileFormat, SQLiteFile
from nacre.errors import StateError

FILE = "audit.db"
"""The name in the state directory."""

VERSION = 2
"""The version of these tables, kept in ``user_version``."""

AUDIT_FORMAT = FileFormat("audit", "nacre serve --audit", VERSION, busy=5, connections=5)
METADATA = MetaData()

EVENTS = Table(
    "events",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("time", Integer, nullable=False),
    *(
        Column(name, String, nullable=False)
        for name in ("connection", "user", "peer", "event", "outcome", "fields", "previous", "hash")
    ),
)
Index("events_by_time", EVENTS.c.time)
Index("events_by_user", EVENTS.c.user)

CHAIN = Table(
    "chain",
    METADATA,
    Column("one", Integer, primary_key=True),
    Column("last", Integer, nullable=False),
    Column("hash", String, nullable=False),
    Column("runs", Integer, nullable=False),
)
"""One row: the last event and its hash, and how many times a server has begun to write."""

ANCHORS = Table(
    "anchors",
    METADATA,
    Column("last", Integer, primary_key=True),
    Column("hash", String, nullable=False),
    Column("removed", Integer, nullable=False),
    Column("time", Integer, nullable=False),
)
"""A row for each removal of old events: the last one that was removed, and its hash."""

HOOKS = Table(
    "hooks",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("events", String, nullable=False),
    Column("any_outcome", Boolean, nullable=False),
    *(
        Column(name, String, nullable=False)
        for name in ("kind", "target", "secret_file", "ca_file")
    ),
    *(Column(name, Integer, nullable=False) for name in ("timeout", "give_up", "created")),
    Column("position", Integer, nullable=False),
    *(
        Column(name, Integer, nullable=False, server_default="0")
        for name in ("delivered", "dead", "last", "attempts", "since")
    ),
    Column("problem", String, nullable=False, server_default=""),
    # A number is never used again: a process may still speak of a hook that was removed.
    sqlite_autoincrement=True,
)
"""What events are told to. ``position`` is the last event that a hook needs no more."""

DEAD_LETTERS = Table(
    "dead_letters",
    METADATA,
    Column("hook", ForeignKey("hooks.number"), primary_key=True),
    Column("event", Integer, primary_key=True),
    Column("time", Integer, nullable=False),
    Column("reason", String, nullable=False),
)
"""Events that a hook was given up for."""

_HEAD = "SELECT last, hash FROM chain"
_MOVE = "UPDATE chain SET last = ?, hash = ?"
_ADD = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

Timed = tuple[int, AuditEvent]
"""An event, and when it happened: microseconds since the epoch."""


def now() -> int:
    """Return the time, in microseconds since the epoch."""
    return time.time_ns() // 1000


class AuditTable:
    """The file. Several processes may add events: each transaction goes on where the last ended.

    :raises StateError: it can't be opened, or a newer nacre has made it.
    """

    def __init__(self, path: Path, *, create: bool) -> None:
        self.path = path
        self._file = SQLiteFile(path, AUDIT_FORMAT, upgrade, create=create)
        self._adding = self._file.driver()
        with self._file.used():
            self._ahead = _sync_by_hand(self._adding.driver_connection)
        self._directory_synced = False

    def close(self) -> None:
        """Close the file."""
        self._adding.close()
        self._file.close()

    def begin_run(self) -> int:
        """Return a number for the connections of a server, which no other one has had.

        :raises StateError: the file can't be written.
        """
        with self._changing() as connection:
            connection.exec_driver_sql("UPDATE chain SET runs = runs + 1")
            return int(connection.execute(select(CHAIN.c.runs)).scalar_one())

    def add(self, events: Sequence[Timed]) -> Position:
        """Add events in one transaction, and return the end of the chain.

        From then on they outlast the processes, and the host from :meth:`sync` on. It uses the
        driver, because each row takes ten times as long through SQLAlchemy.

        :raises StateError: they can't be added, and then none is; or the file was replaced.
        """
        if self._file.is_replaced():
            raise StateError(
                f"the audit {self.path} was removed or replaced: restore it, or restart the server "
                "to begin another one"
            )
        cursor = self._adding.cursor()
        with self._file.used(), closing(cursor):
            cursor.execute("BEGIN IMMEDIATE")
            try:
                last, previous = cursor.execute(_HEAD).fetchone()
                rows = []
                for number, (at, one) in enumerate(events, last + 1):
                    columns = (
                        *(number, at, one.connection, one.user, one.peer),
                        *(one.event, one.outcome, one.fields),
                    )
                    digest = link(previous, *columns)
                    rows.append((*columns, previous, digest))
                    previous = digest
                cursor.executemany(_ADD, rows)
                head = Position(last + len(rows), previous)
                cursor.execute(_MOVE, head)
                cursor.execute("COMMIT")
            except BaseException:
                if self._adding.driver_connection.in_transaction:  # type: ignore[union-attr]
                    cursor.execute("ROLLBACK")
                raise
            return head

    def is_wanted(self, event: str) -> bool:
        """Tell whether a hook is told of events of a name, or of everything.

        :raises StateError: the file can't be read.
        """
        with self._file.reading() as connection:
            names = connection.execute(select(HOOKS.c.events)).scalars().all()
        return any(not one or event in one.split(",") for one in names)

    def sync(self) -> None:
        """Return when the disk has confirmed all that was added.

        The write-ahead log has it. A checkpoint puts it on the disk before it begins that anew.

        :raises OSError: the disk fails.
        """
        if not self._ahead:
            return  # each transaction has waited
        descriptor = os.open(f"{self.path}-wal", os.O_RDWR | os.O_CLOEXEC)
        try:
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)  # SQLite has no locks on this file, which would go
        if not self._directory_synced:
            self._directory_synced = True
            descriptor = os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def remove(self, before: int, keep: str) -> int:
        """Remove the events before a time, and note where the chain begins then.

        Those that a hook has not had stay, and all that follow on them.

        :param before: microseconds since the epoch.
        :param keep: what was asked for, which the event of this removal tells.
        :returns: how many were removed.
        :raises StateError: the file can't be written.
        """
        with self._changing() as connection:
            first = select(EVENTS.c.id).where(EVENTS.c.time >= before).order_by(EVENTS.c.id)
            stays = connection.execute(first.limit(1)).scalar()
            old = select(EVENTS.c.id, EVENTS.c.hash).order_by(EVENTS.c.id.desc()).limit(1)
            if stays is not None:
                old = old.where(EVENTS.c.id < stays)
            had = connection.execute(select(func.min(HOOKS.c.position))).scalar()
            if had is not None:
                old = old.where(EVENTS.c.id <= had)
            if (last := connection.execute(old).first()) is None:
                return 0
            gone = connection.execute(EVENTS.delete().where(EVENTS.c.id <= last.id))
            noted = {"last": last.id, "hash": last.hash, "removed": gone.rowcount, "time": now()}
            connection.execute(insert(ANCHORS), noted)
            fields = {"op": "remove", "removed": gone.rowcount, "through": last.id, "keep": keep}
            self._append(connection, AuditEvent("", "", "", "audit", "success", written(fields)))
            return int(gone.rowcount)

    def waited_for(self, before: int) -> list[str]:
        """Return the names of the hooks that have not had all events before a time.

        :param before: microseconds since the epoch.
        :raises StateError: the file can't be read.
        """
        last = select(func.max(EVENTS.c.id)).where(EVENTS.c.time < before)
        with self._file.reading() as connection:
            newest = connection.execute(last).scalar() or 0
            behind = select(HOOKS.c.name).where(HOOKS.c.position < newest).order_by(HOOKS.c.name)
            return list(connection.execute(behind).scalars())

    def _append(self, connection: Connection, one: AuditEvent) -> None:
        last, previous = connection.exec_driver_sql(_HEAD).one()
        columns = (
            *(last + 1, now(), one.connection, one.user, one.peer),
            *(one.event, one.outcome, one.fields),
        )
        digest = link(previous, *columns)
        connection.exec_driver_sql(_ADD, (*columns, previous, digest))
        connection.exec_driver_sql(_MOVE, (last + 1, digest))

    def head(self) -> Position:
        """Return where the chain ends.

        :raises StateError: the file can't be read.
        """
        with self._file.reading() as connection:
            return Position(*connection.execute(select(CHAIN.c.last, CHAIN.c.hash)).one())

    def chain(self) -> tuple[Position, Position, Iterator[Kept]]:
        """Return where the chain begins and ends, and all events: one moment of the table.

        :raises StateError: the file can't be read, also while the events are.
        """
        reader = self._events_of_chain()
        return next(reader), next(reader), reader

    def _events_of_chain(self) -> Iterator[Any]:
        with self._file.reading() as connection:
            connection.exec_driver_sql("BEGIN")
            newest = select(ANCHORS.c.last, ANCHORS.c.hash).order_by(ANCHORS.c.last.desc())
            anchor = connection.execute(newest.limit(1)).first()
            yield Position(0, BEGINNING) if anchor is None else Position(*anchor)
            yield Position(*connection.execute(select(CHAIN.c.last, CHAIN.c.hash)).one())
            for row in connection.execution_options(yield_per=1000).execute(
                select(EVENTS).order_by(EVENTS.c.id)
            ):
                yield Kept(*row)

    def read(self, statement: Select[Any]) -> Iterator[Kept]:
        """Return the events that a statement selects.

        :raises StateError: the file can't be read.
        """
        with self._file.reading() as connection:
            for row in connection.execution_options(yield_per=1000).execute(statement):
                yield Kept(*row)

    def rows(self, statement: Select[Any]) -> list[Any]:
        """Return the rows that a statement of a few selects.

        :raises StateError: the file can't be read.
        """
        with self._file.reading() as connection:
            return list(connection.execute(statement))

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        # No event breaks a constraint of the tables: if one does, the file is damaged.
        with self._file.used(), self._file.transaction() as connection:
            yield connection


def upgrade(connection: Connection, version: int) -> None:
    """Make the tables that are missing; version 1 lacks those of hooks alone."""
    METADATA.create_all(connection)
    if version == 0:
        connection.execute(insert(CHAIN), {"last": 0, "hash": BEGINNING, "runs": 0})


def _sync_by_hand(connection: Any) -> bool:
    """Have transactions of a connection not wait for the disk; tell whether they don't.

    Where the file system can't have a write-ahead log, they go on waiting.
    """
    ahead = connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    if ahead:
        connection.execute("PRAGMA synchronous = NORMAL")
    return bool(ahead)
