"""A file of SQLite in the state directory: opened, brought up to date, read and written."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from sqlalchemy import Connection, PoolProxiedConnection, create_engine, event
from sqlalchemy.exc import DatabaseError, IntegrityError

from nacre.errors import StateError
from nacre.value import value

_BUSY_PAUSE = 0.01

_STEPS = 10_000
"""Steps of SQLite's machine between two looks at the clock: well below a millisecond."""

Upgrade: TypeAlias = Callable[[Connection, int], None]
"""Makes the tables, or brings those of an older version up to date; 0 is that of a new file."""


@value
class FileFormat:
    """What a file of this kind is.

    :ivar name: what messages call it.
    :ivar maker: the command that makes one, for the message that there is none.
    :ivar version: the version of its tables, kept in ``user_version``.
    :ivar busy: seconds to wait while another process writes.
    :ivar connections: how many there are at most; a thread that needs one more waits.
    """

    name: str
    maker: str
    version: int
    busy: float
    connections: int


class SQLiteFile:
    """One file. Safe to use from several threads and processes at once."""

    def __init__(
        self, path: Path, kind: FileFormat, upgrade: Upgrade, *, create: bool, before: str = ""
    ) -> None:
        """Open the file at ``path``.

        :param create: whether to make it if it is missing.
        :param before: a statement for the connection that upgrades, which no transaction can have.
        :raises StateError: it can't be opened, or a newer nacre has made it.
        """
        self.path, self._name = path, str(path)  # to make the text takes longer than to look
        self._format = kind
        self._engine = create_engine(
            f"sqlite:///{path}",
            connect_args={"timeout": kind.busy},
            pool_size=kind.connections,
            max_overflow=0,
            hide_parameters=True,  # an error's text would have hashes of passwords
        )
        event.listen(self._engine, "connect", partial(_configure, busy=kind.busy))
        try:
            self._identity = _ensure(path, create=create)
        except OSError as error:
            missing = not create and isinstance(error, FileNotFoundError)
            remedy = f": `{kind.maker}` makes it, or name another directory with --state"
            raise StateError(
                f"can't open the {kind.name} {path}: {error.strerror}{remedy if missing else ''}"
            ) from error
        try:
            with self.used():
                self._prepare(upgrade, before)
        except BaseException:
            self._engine.dispose()
            raise

    def _prepare(self, upgrade: Upgrade, before: str) -> None:
        latest = self._format.version
        with self.reading() as connection:
            if self._version(connection) == latest:
                return
        with self.transaction(before=before) as connection:
            if (version := self._version(connection)) < latest:
                upgrade(connection, version)
                connection.exec_driver_sql(f"PRAGMA user_version = {latest}")
        self._engine.dispose()  # the connection keeps what ``before`` has set: others replace it

    def _version(self, connection: Connection) -> int:
        version = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
        if version > self._format.version:
            raise StateError(
                f"the {self._format.name} {self.path} has version {version}, made by a newer "
                f"nacre; this one knows version {self._format.version}"
            )
        return version

    def driver(self) -> PoolProxiedConnection:
        """Return a connection of the driver's, which takes a tenth of SQLAlchemy's time.

        The caller wraps its use in :meth:`used`, and closes it.

        :raises StateError: the file can't be opened.
        """
        with self.used():
            return self._engine.raw_connection()

    def close(self) -> None:
        """Close the file. Connections of :meth:`driver` are closed before."""
        self._engine.dispose()

    def is_replaced(self) -> bool:
        """Return whether the path has no file any more, or another one than was opened."""
        try:
            return _identity(os.stat(self._name)) != self._identity
        except OSError:
            return True

    @contextmanager
    def transaction(self, *, before: str = "", keep: bool = True) -> Iterator[Connection]:
        """Begin a transaction that writes; it takes the write lock at once, or waits for it.

        :param before: a statement that a transaction can't have, for its connection.
        :param keep: False undoes at the end what was done.
        :raises StateError: the file can't be written.
        :raises ~sqlalchemy.exc.IntegrityError: a constraint of the tables forbids it.
        """
        try:
            with self._engine.connect() as connection:
                if before:
                    connection.exec_driver_sql(before)
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
                (connection.commit if keep else connection.rollback)()
        except IntegrityError:
            raise
        except DatabaseError as error:
            raise self.broken(error.orig) from error

    @contextmanager
    def reading(self, *, seconds: float | None = None) -> Iterator[Connection]:
        """Begin to read.

        :param seconds: the time that it may take, or None for any.
        :raises StateError: the file can't be read.
        :raises TimeoutError: it takes longer.
        """
        try:
            with self._engine.connect() as connection, _within(connection, seconds):
                yield connection
        except DatabaseError as error:
            code = getattr(error.orig, "sqlite_errorcode", None)
            if seconds is not None and code == sqlite3.SQLITE_INTERRUPT:
                raise TimeoutError(f"{self.path} has more than is read in {seconds} s") from None
            raise self.broken(error.orig) from error

    @contextmanager
    def used(self) -> Iterator[None]:
        """Turn every error of the database into :class:`~nacre.errors.StateError`."""
        try:
            yield
        except DatabaseError as error:
            raise self.broken(error.orig) from error
        except sqlite3.Error as error:
            raise self.broken(error) from error

    def broken(self, reason: object) -> StateError:
        """Return the error that says why the file can't be used."""
        return StateError(f"can't use the {self._format.name} {self.path}: {reason}")


def _ensure(path: Path, *, create: bool) -> tuple[int, int]:
    """Make the file if it is missing, and return which one it is.

    One that exists is not opened here: to close it gives up the locks that this process has on it
    (fcntl(2)), if it has it open already.

    :raises OSError: it is missing, or can't be made or written.
    """
    if create:
        with suppress(FileExistsError):
            # SQLite gives its -wal and -shm files the mode of this one.
            os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_CREAT | os.O_EXCL, 0o600))
    identity = _identity(path.stat())
    if not os.access(path, os.R_OK | os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    return identity


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


@contextmanager
def _within(connection: Connection, seconds: float | None) -> Iterator[None]:
    """Have statements be interrupted (SQLITE_INTERRUPT) after a time."""
    if seconds is None:
        yield
        return
    driver: Any = connection.connection.driver_connection
    deadline = time.monotonic() + seconds
    driver.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
    try:
        yield
    finally:
        driver.set_progress_handler(None, 0)


def _configure(connection: Any, _record: object, *, busy: float) -> None:
    # The driver's own BEGIN takes no write lock, so transactions here begin explicitly.
    connection.isolation_level = None
    _log_ahead(connection, busy)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _log_ahead(connection: Any, busy: float) -> None:
    """Have a write-ahead log: with one a reader never waits while another process writes.

    A new file is switched to it once. SQLite does not wait for its timeout when another process
    locks the file at that moment, so this function does.
    """
    deadline = time.monotonic() + busy
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            # The low byte is the error; the others are details of it.
            locked = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not locked or time.monotonic() >= deadline:
                raise
        time.sleep(_BUSY_PAUSE)
