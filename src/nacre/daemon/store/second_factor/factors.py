"""The second factors of users, and their recovery codes: what proves them is used up here.

Each check is one transaction that has the write lock from its beginning, so a code counts once,
whatever several connections, threads and server processes do at the same time.
"""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from nacre.crypto.sealed import seal, unseal
from nacre.daemon.store.database import Database
from nacre.daemon.store.second_factor.totp import DIGITS, matching
from nacre.daemon.store.second_factor.webauthn_keys import WebAuthnKeys
from nacre.daemon.store.tables import ENROLLED, FACTORS, RECOVERY, USERS
from nacre.errors import UnusableKey, UserStoreError
from nacre.wire.text import safe

_FREE = 5
"""Wrong codes in a row after which the next one has to wait."""

LONGEST_WAIT = 300
"""Seconds. At this pace a guesser, who needs the first factor, has about one chance in a thousand a
day. Whoever keeps the user out by wrong codes does it for no longer than this after the last."""


class Factors:
    """The second factors in one file, which other processes may change too.

    :param secret: returns the secret of the store.
    :ivar security_keys: those of the web console; logins by SSH do not ask for them.
    """

    def __init__(self, database: Database, secret: Callable[[], bytes]) -> None:
        self._database = database
        self._secret = secret
        self.security_keys = WebAuthnKeys(database, secret)

    @cached_property
    def _keys(self) -> tuple[bytes, bytes]:
        """The keys that seal secrets, and that hash recovery codes.

        They are read before a transaction, which would wait for itself: it has the connection.
        """
        secret = self._secret()
        purposes = b"nacre totp secret", b"nacre recovery code"
        sealing, hashing = (hmac.digest(secret, purpose, "sha256") for purpose in purposes)
        return sealing, hashing

    def enrolled(self, name: str) -> bool:
        """Tell whether a user has a second factor: a lookup of a login, of some microseconds."""
        return bool(self._database.look(ENROLLED, name=name)[0][0])

    # --- changes ---

    def enrol(
        self, name: str, secret: bytes, *, counter: int = 0, recovery: Iterable[str] = ()
    ) -> None:
        """Give a user a second factor.

        :param counter: the interval of the code that has shown that the user's device has the
            secret; it and those before count no more.
        :param recovery: recovery codes in place of those that there are.
        :raises UserStoreError: the user has one already, or there is no such user.
        """
        sealed = seal(self._keys[0], secret, _owner(name), os.urandom)
        hashes = self._hashes(name, recovery)
        row = {"user": name, "secret": sealed, "counter": counter, "enrolled": int(time.time())}
        with self._database.transaction() as connection:
            _check_user(connection, name)
            try:
                connection.execute(insert(FACTORS), row | {"failures": 0, "until": 0})
            except IntegrityError:
                raise UserStoreError(
                    f"{name} has a second factor already: remove it with "
                    f"`nacre user totp remove {name}`"
                ) from None
            _put_recovery(connection, name, hashes)
        self._database.changed(name)

    def enrol_by_code(
        self,
        name: str,
        secret: bytes,
        code: str,
        recovery: Iterable[str],
        now: float | None = None,
    ) -> str | None:
        """Give a user a second factor if a code shows that the user's device has the secret.

        :param now: seconds since the epoch; None for now.
        :returns: None if it does, or why there is no new second factor, for the log.
        """
        counter = matching(secret, _plain(code), time.time() if now is None else now)
        if counter is None:
            return "wrong verification code for a second factor that is new"
        try:
            self.enrol(name, secret, counter=counter, recovery=recovery)
        except UserStoreError as error:  # by another login meanwhile, or the user is gone
            return str(error)
        return None

    def remove(self, name: str) -> None:
        """Remove a user's second factor and recovery codes.

        :raises UserStoreError: there is none, or no such user.
        """
        with self._database.transaction() as connection:
            _check_user(connection, name)
            connection.execute(delete(RECOVERY).where(RECOVERY.c.user == name))
            if connection.execute(delete(FACTORS).where(FACTORS.c.user == name)).rowcount == 0:
                raise _no_factor(name)
        self._database.changed(name)

    def set_recovery(self, name: str, codes: Iterable[str]) -> None:
        """Put recovery codes in place of those that there are.

        :raises UserStoreError: the user has no second factor, or there is no such user.
        """
        hashes = self._hashes(name, codes)
        with self._database.transaction() as connection:
            _check_user(connection, name)
            if _row(connection, name) is None:
                raise _no_factor(name)
            _put_recovery(connection, name, hashes)

    def all(self) -> list[tuple[str, int, int]]:
        """Return the users who have a second factor, sorted by name.

        Each with the seconds since the epoch when it was enrolled, and the recovery codes left.
        """
        left = select(func.count()).where(RECOVERY.c.user == FACTORS.c.user)
        chosen = select(FACTORS.c.user, FACTORS.c.enrolled, left.scalar_subquery())
        with self._database.reading() as connection:
            rows = connection.execute(chosen.order_by(FACTORS.c.user))
            return [(row[0], row[1], row[2]) for row in rows]

    def recovery_left(self, name: str) -> int:
        """Return how many recovery codes a user has left.

        :raises UserStoreError: the user has no second factor, or there is no such user.
        """
        with self._database.reading() as connection:
            _check_user(connection, name)
            if _row(connection, name) is None:
                raise _no_factor(name)
            chosen = select(func.count()).where(RECOVERY.c.user == name)
            return int(connection.execute(chosen).scalar_one())

    # --- a login ---

    def check(self, name: str, code: str, now: float | None = None) -> str | None:
        """Use up a code of the user's device, or a recovery code.

        A wrong one counts: after some in a row, the next one has to wait.

        :param now: seconds since the epoch; None for now.
        :returns: None if it is right, or why it is refused, for the log.
        """
        now = time.time() if now is None else now
        (hashed,) = self._hashes(name, [code])
        with self._database.transaction() as connection:
            row = _row(connection, name)
            if row is None:
                return "the user has no second factor"
            # A clock that was set back keeps nobody out for longer than a wait.
            if 0 < row.until - now <= LONGEST_WAIT:
                return f"too many wrong codes: the next one counts in {row.until - now:.0f} seconds"
            plain = _plain(code)
            if len(plain) == DIGITS and plain.isdecimal():
                reason = self._use(connection, row, plain, now)
            else:
                reason = _use_recovery(connection, name, hashed)
            failures = 0 if reason is None else row.failures + 1
            until = int(now) + wait_after(failures) if failures else 0
            changed = update(FACTORS).where(FACTORS.c.user == name)
            connection.execute(changed.values(failures=failures, until=until))
        return reason

    def _use(self, connection: Connection, row: Row[Any], code: str, now: float) -> str | None:
        """Use up a code of the user's device; return why it is refused, or None."""
        try:
            secret = unseal(self._keys[0], row.secret, _owner(row.user))
        except UnusableKey as error:
            return str(error)
        counter = matching(secret, code, now)
        if counter is None:
            return "wrong verification code"
        if counter <= row.counter:
            return "the verification code was used already"
        changed = update(FACTORS).where(FACTORS.c.user == row.user)
        connection.execute(changed.values(counter=counter))
        return None

    def _hashes(self, name: str, codes: Iterable[str]) -> list[bytes]:
        key = self._keys[1]
        texts = (f"{name}\0{_plain(code)}".encode("utf-8", "surrogateescape") for code in codes)
        return [hmac.digest(key, text, "sha256") for text in texts]


def _use_recovery(connection: Connection, name: str, hashed: bytes) -> str | None:
    used = delete(RECOVERY).where(RECOVERY.c.user == name, RECOVERY.c.hash == hashed)
    return None if connection.execute(used).rowcount else "wrong recovery code"


def _put_recovery(connection: Connection, name: str, hashes: Iterable[bytes]) -> None:
    connection.execute(delete(RECOVERY).where(RECOVERY.c.user == name))
    for hashed in hashes:
        connection.execute(insert(RECOVERY), {"user": name, "hash": hashed})


def wait_after(failures: int) -> int:
    """Return how many seconds the next code has to wait after so many wrong ones in a row."""
    more = failures - _FREE
    return 0 if more < 0 else min(1 << min(more, 30), LONGEST_WAIT)


def _plain(code: str) -> str:
    """Return a code without what people put between its groups."""
    return "".join(code.split()).replace("-", "").upper()


def _owner(name: str) -> bytes:
    return b"totp\0" + name.encode("utf-8", "surrogateescape")


def _row(connection: Connection, name: str) -> Row[Any] | None:
    return connection.execute(select(FACTORS).where(FACTORS.c.user == name)).one_or_none()


def _check_user(connection: Connection, name: str) -> None:
    if connection.execute(select(USERS.c.name).where(USERS.c.name == name)).first() is None:
        raise UserStoreError(f"there is no user {safe(name, 64)!r}")


def _no_factor(name: str) -> UserStoreError:
    return UserStoreError(f"{name} has no second factor: `nacre user totp enrol {name}` makes one")
