"""The user store: virtual users, their passwords' hashes and their keys, in SQLite.

A ``nacre user`` process may change it while a server runs; the next login sees the change. The
lookups of a login, :meth:`UserStore.find`, ``policies`` and ``key_options``, take some microseconds
and wait for no other process, because readers of a write-ahead log don't; a server makes them on
its loop. Every other call may block while another process writes.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    String,
    Table,
    bindparam,
    create_engine,
    delete,
    event,
    exists,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DatabaseError, IntegrityError

from nacre.errors import StateError, UserStoreError
from nacre.keys import PublicKey, decode_public
from nacre.wire.text import safe

FILE = "users.db"
VERSION = 4
"""The version of the tables below, kept in SQLite's ``user_version``."""

AUTH_POLICIES = ("any", "password", "publickey", "password-publickey")
SERVICES = ("all", "shell", "sftp")

_NAME = re.compile(r"[\w.@+][\w.@+-]{0,63}", re.ASCII)
_BUSY_SECONDS = 10
_KEPT = 64
"""How many rows of users are cached as :class:`User`."""

_METADATA = MetaData()
_USERS = Table(
    "users",
    _METADATA,
    Column("name", String, primary_key=True),
    Column("password", String),
    Column("auth", String, nullable=False),
    Column("service", String, nullable=False),
    Column("home", String),
    Column("run_as", String),
    Column("root", String),
    Column("read_only", Boolean, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("created", Integer, nullable=False),
    Column("unsafe_root", Boolean, nullable=False),
)
_BY_AUTH = Index("users_by_auth", _USERS.c.auth)
_KEYS = Table(
    "keys",
    _METADATA,
    Column("user", ForeignKey("users.name", ondelete="CASCADE"), primary_key=True),
    Column("blob", LargeBinary, primary_key=True),
    Column("comment", String, nullable=False),
    Column("added", Integer, nullable=False),
    Column("options", String, nullable=False),
)
_SETTINGS = Table(
    "settings",
    _METADATA,
    Column("name", String, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)


_CHANGES = (
    (2, "ALTER TABLE users ADD COLUMN root VARCHAR"),
    (2, "ALTER TABLE users ADD COLUMN read_only BOOLEAN NOT NULL DEFAULT 0"),
    (3, "ALTER TABLE users ADD COLUMN unsafe_root BOOLEAN NOT NULL DEFAULT 0"),
    (3, "CREATE INDEX users_by_auth ON users (auth)"),
    (4, "ALTER TABLE keys ADD COLUMN options VARCHAR NOT NULL DEFAULT ''"),
)
"""For each version, the statements that make its tables from those of the version before."""


def _sql(chosen: Select[Any]) -> str:
    """Return the text of a statement for the driver, with each parameter as ``:name``."""
    return str(chosen.compile(dialect=sqlite.dialect(paramstyle="named")))


_FIND = _sql(select(_USERS).where(_USERS.c.name == bindparam("name")))
_HAS_POLICY = _sql(select(exists().where(_USERS.c.auth == bindparam("auth"))))
_HAS_SERVICE = _sql(select(exists().where(_USERS.c.service == bindparam("service"))))
_LISTED = {
    "name": _USERS.c.name,
    "auth": _USERS.c.auth,
    "service": _USERS.c.service,
    "password": _USERS.c.password.is_not(None),
    "keys": (
        select(func.count())
        .where(_KEYS.c.user == _USERS.c.name)
        .correlate(_USERS)
        .scalar_subquery()
    ),
    "disabled": _USERS.c.disabled,
    "run_as": _USERS.c.run_as,
    "home": _USERS.c.home,
    "root": _USERS.c.root,
    "unsafe_root": _USERS.c.unsafe_root,
    "read_only": _USERS.c.read_only,
    "created": _USERS.c.created,
}
"""What :meth:`UserStore.listing` returns of each user."""

LISTED = tuple(_LISTED)
_LIST = _sql(select(*_LISTED.values()).order_by(_USERS.c.name))
_NAMES = tuple(_USERS.columns.keys())
_FLAGS = tuple(column.name for column in _USERS.columns if isinstance(column.type, Boolean))
_KEY_OPTIONS = _sql(
    select(_KEYS.c.options)
    .join(_USERS, _USERS.c.name == _KEYS.c.user)
    .where(_KEYS.c.user == bindparam("name"), _KEYS.c.blob == bindparam("blob"), ~_USERS.c.disabled)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A virtual user.

    :ivar password: what :func:`nacre.crypto.password.hash_password` made, or None.
    :ivar auth: one of :data:`AUTH_POLICIES`.
    :ivar service: one of :data:`SERVICES`.
    :ivar home: an absolute path, or None for the home of the account that sessions run as.
    :ivar run_as: the account that sessions run as under a root server, or None.
    :ivar root: a directory or URL whose files sftp and scp serve, or None for ``home``.
    :ivar read_only: whether sftp and scp refuse every change.
    :ivar disabled: whether every login is refused.
    :ivar created: seconds since the epoch; set by :meth:`UserStore.add`.
    :ivar unsafe_root: whether a user with files only may have a root that gives away the account
        that sessions run as, or this store.
    """

    name: str
    password: str | None = None
    auth: str = "any"
    service: str = "all"
    home: str | None = None
    run_as: str | None = None
    root: str | None = None
    read_only: bool = False
    disabled: bool = False
    created: int = 0
    unsafe_root: bool = False

    def __repr__(self) -> str:
        return f"<user {self.name}>"


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key with which a user may log in.

    :ivar added: seconds since the epoch.
    :ivar options: options as in ``authorized_keys``, or an empty text.
    """

    key: PublicKey
    comment: str
    added: int = 0
    options: str = ""


class UserStore:
    """The store in one file. Safe to use from several threads and processes at once."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        """Open the store at ``path``.

        :param create: make it with mode 0600 when it is missing.
        :raises StateError: it is missing, can't be made or read, or a newer nacre has made it.
        """
        self._path = path
        # Two connections, one of them for lookups: threads that write wait for the other one.
        self._engine = create_engine(
            f"sqlite:///{path}",
            connect_args={"timeout": _BUSY_SECONDS},
            pool_size=2,
            max_overflow=0,
            hide_parameters=True,  # an error's text would have hashes of passwords
        )
        event.listen(self._engine, "connect", _configure)
        try:
            # SQLite gives its -wal and -shm files the mode of this one.
            flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
            os.close(os.open(path, flags, 0o600))
        except OSError as error:
            missing = not create and isinstance(error, FileNotFoundError)
            remedy = ": `nacre user add` makes it, or name another directory with --state"
            raise StateError(
                f"can't open the user store {path}: {error.strerror}{remedy if missing else ''}"
            ) from error
        try:
            with self._transaction() as connection:
                self._prepare(connection)
        except BaseException:
            self._engine.dispose()
            raise
        # Without SQLAlchemy, because a lookup takes ten times as long with it.
        self._lookups = self._engine.raw_connection()
        self._looking = threading.Lock()
        self._policies: tuple[int, list[str]] = (-1, [])

    def _prepare(self, connection: Connection) -> None:
        version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        if version > VERSION:
            raise StateError(
                f"the user store {self._path} has version {version}, made by a newer nacre; "
                f"this one knows version {VERSION}"
            )
        if version == 0:
            _METADATA.create_all(connection)
            connection.execute(insert(_SETTINGS), {"name": "secret", "value": os.urandom(32)})
        else:
            for statement in (one for made, one in _CHANGES if version < made):
                connection.exec_driver_sql(statement)
        if version < VERSION:
            connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")

    def close(self) -> None:
        """Close the file."""
        self._lookups.close()
        self._engine.dispose()

    def _look(self, statement: str, **values: object) -> list[tuple[Any, ...]]:
        """Return all rows of a lookup: an unfinished statement would pin the write-ahead log."""
        try:
            with self._looking:
                cursor = self._lookups.cursor()
                return list(cursor.execute(statement, values).fetchall())
        except sqlite3.Error as error:
            raise self._broken(error) from error

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """Begin a transaction that writes; it takes the write lock at once, or waits for it."""
        try:
            with self._engine.connect() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
                connection.commit()
        except IntegrityError:
            raise
        except DatabaseError as error:
            raise self._broken(error.orig) from error

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except DatabaseError as error:
            raise self._broken(error.orig) from error

    def _broken(self, reason: object) -> StateError:
        return StateError(f"can't use the user store {self._path}: {reason}")

    @property
    def secret(self) -> bytes:
        """32 random bytes that are in this store only and never change."""
        with self._reading() as connection:
            chosen = select(_SETTINGS.c.value).where(_SETTINGS.c.name == "secret")
            return bytes(connection.execute(chosen).scalar_one())

    @property
    def directory(self) -> Path:
        """The directory that holds the file: the state directory."""
        return self._path.parent

    def listing(self) -> Iterator[tuple[Any, ...]]:
        """Return what :data:`LISTED` names of each user, sorted by name, as it is read.

        Flags are 0 or 1, ``password`` tells whether there is one, and ``keys`` is their number.
        """
        with self._reading() as connection:
            yield from connection.connection.cursor().execute(_LIST)

    def accounts(self) -> list[str | None]:
        """Return which accounts the sessions of the users run as; see :attr:`User.run_as`."""
        with self._reading() as connection:
            return list(connection.execute(select(_USERS.c.run_as).distinct()).scalars())

    def suspicious_roots(self, directories: Iterable[str]) -> Iterator[User]:
        """Return the users with files only whose root is missing, or one of ``directories``.

        Also those whose root is a local URL, or lies in the directory of this store.
        """
        root = func.coalesce(_USERS.c.root, _USERS.c.home)
        below = f"{self.directory}/"
        chosen = select(_USERS).where(
            _USERS.c.service == "sftp",
            ~_USERS.c.unsafe_root,
            root.is_(None)
            | root.in_(sorted(directories))
            | (func.substr(root, 1, len(below)) == below)
            | root.like("%file://%")
            | root.like("%local://%"),
        )
        with self._reading() as connection:
            for row in connection.execute(chosen):
                yield User(**row._mapping)

    def has_shell_user(self) -> bool:
        """Tell whether a user may have a shell."""
        return any(self._look(_HAS_SERVICE, service=one)[0][0] for one in ("all", "shell"))

    def user(self, name: str) -> User:
        """Return a user.

        :raises UserStoreError: there is none of this name.
        """
        found = self.find(name)
        if found is None:
            raise _no_such(name)
        return found

    def find(self, name: str) -> User | None:
        """Return a user, or None."""
        rows = self._look(_FIND, name=name)
        return _user(rows[0]) if rows else None

    def policies(self) -> list[str]:
        """Return which of :data:`AUTH_POLICIES` the users have, sorted."""
        # Repeated only after a change. The index finds one user for each policy.
        version = self._look("PRAGMA data_version")[0][0]
        if self._policies[0] != version:
            found = [auth for auth in AUTH_POLICIES if self._look(_HAS_POLICY, auth=auth)[0][0]]
            self._policies = version, sorted(found)
        return self._policies[1]

    def add(self, user: User, keys: Iterable[StoredKey] = ()) -> None:
        """Add a user.

        :raises UserStoreError: the name is taken, or not possible for a user.
        """
        self.add_all([(user, keys)])

    def add_all(self, users: Iterable[tuple[User, Iterable[StoredKey]]]) -> None:
        """Add several users with their keys in one transaction: all of them, or none.

        :raises UserStoreError: a name is taken, or not possible for a user.
        """
        now = int(time.time())
        with self._transaction() as connection:
            for user, keys in users:
                check_name(user.name)
                values = {c.name: getattr(user, c.name) for c in _USERS.columns}
                try:
                    connection.execute(insert(_USERS), values | {"created": now})
                except IntegrityError:
                    raise UserStoreError(
                        f"there is a user {user.name} already; `nacre user set` changes it"
                    ) from None
                _put_keys(connection, user.name, keys, now)

    def remove(self, name: str) -> None:
        """Remove a user and the user's keys.

        :raises UserStoreError: there is none of this name.
        """
        with self._transaction() as connection:
            self._touch(connection.execute(delete(_USERS).where(_USERS.c.name == name)), name)

    def change(self, name: str, **values: Any) -> None:
        """Set fields of a user, named as in :class:`User`.

        :raises UserStoreError: there is none of this name.
        """
        with self._transaction() as connection:
            done = connection.execute(update(_USERS).where(_USERS.c.name == name).values(**values))
            self._touch(done, name)

    def replace_hash(self, name: str, old: str, new: str) -> None:
        """Replace a password's hash if it is still ``old``, as another process may have set it."""
        with self._transaction() as connection:
            unchanged = (_USERS.c.name == name) & (_USERS.c.password == old)
            connection.execute(update(_USERS).where(unchanged).values(password=new))

    @staticmethod
    def _touch(done: Any, name: str) -> None:
        if done.rowcount == 0:
            raise _no_such(name)

    def keys(self, name: str) -> list[StoredKey]:
        """Return a user's keys, the oldest first.

        :raises UserStoreError: there is no user of this name.
        """
        self.user(name)
        with self._reading() as connection:
            chosen = select(_KEYS).where(_KEYS.c.user == name).order_by(_KEYS.c.added)
            rows = connection.execute(chosen).mappings().all()
        return [
            StoredKey(decode_public(row["blob"]), row["comment"], row["added"], row["options"])
            for row in rows
        ]

    def key_options(self, name: str, key: PublicKey) -> str | None:
        """Return the options of a user's key; None if no user of this name, not disabled, has it.

        The key may be that of an authority, which the options then say.
        """
        rows = self._look(_KEY_OPTIONS, name=name, blob=key.blob)
        return rows[0][0] if rows else None

    def add_keys(self, name: str, keys: Iterable[StoredKey]) -> None:
        """Add keys; a key that exists gets the new comment and the new options.

        :raises UserStoreError: there is no user of this name.
        """
        self.user(name)
        with self._transaction() as connection:
            _put_keys(connection, name, keys, int(time.time()))

    def remove_key(self, name: str, key: PublicKey) -> None:
        """Remove a key.

        :raises UserStoreError: the user does not have it.
        """
        with self._transaction() as connection:
            done = connection.execute(
                delete(_KEYS).where(_KEYS.c.user == name, _KEYS.c.blob == key.blob)
            )
            if done.rowcount == 0:
                raise UserStoreError(f"{name} has no key {key.fingerprint()}")


@lru_cache(_KEPT)
def _user(row: tuple[Any, ...]) -> User:
    values = dict(zip(_NAMES, row, strict=True))
    # SQLite stores booleans as numbers.
    flags = {name: bool(values[name]) for name in _FLAGS}
    return User(**values | flags)


def check_name(name: str) -> None:
    """Check that a user may have this name.

    :raises UserStoreError: it is not possible.
    """
    if not _NAME.fullmatch(name):
        raise UserStoreError(
            f"{safe(name, 64)!r} can't be a user's name: use 1 to 64 letters, digits "
            "and . _ - @ +, not beginning with -"
        )


def _put_keys(connection: Connection, name: str, keys: Iterable[StoredKey], now: int) -> None:
    for key in keys:
        where = (_KEYS.c.user == name) & (_KEYS.c.blob == key.key.blob)
        connection.execute(delete(_KEYS).where(where))
        row = {"user": name, "blob": key.key.blob, "comment": key.comment, "added": now}
        row["options"] = key.options
        connection.execute(insert(_KEYS), row)


def _no_such(name: str) -> UserStoreError:
    return UserStoreError(f"there is no user {safe(name, 64)!r}")


def _configure(connection: Any, _record: object) -> None:
    # The driver's own BEGIN takes no write lock, so transactions here begin explicitly.
    connection.isolation_level = None
    # With a write-ahead log a login never waits while `nacre user` writes.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
