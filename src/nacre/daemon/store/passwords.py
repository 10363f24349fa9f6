"""Passwords: what a new one must be, which ones there were, and those for one login."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable

from sqlalchemy import Connection, delete, insert, select, update

from nacre.crypto.password import hash_password, verify_password
from nacre.daemon.store.database import Database
from nacre.daemon.store.tables import FORMER, ONE_TIME, USERS
from nacre.daemon.store.values import MOST_HISTORY, ONE_TIME_PREFIX, User
from nacre.errors import UserStoreError
from nacre.wire.text import safe

ONE_TIME_SECONDS = 30
"""Seconds within which a one-time password has to be used."""

_SECRET = 32
"""Random bytes of a one-time password. SHA-256 is right for it: it can't be guessed."""


class Passwords:
    """The passwords' hashes in one file, which other processes may change too."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def set(self, name: str, hashed: str | None, *, must_change: bool = False) -> None:
        """Set a user's password, or remove it.

        :param must_change: the user's next login by the password has to change it.
        :raises UserStoreError: there is no user of this name.
        """
        with self._database.transaction() as connection:
            if connection.execute(select(USERS.c.name).where(USERS.c.name == name)).first() is None:
                raise UserStoreError(f"there is no user {safe(name, 64)!r}")
            before = _current(connection, name)
            _replace(connection, name, before, hashed, must_change=must_change)
        self._database.changed(name)

    def change_own(self, user: User, shown: str | None, new: bytes) -> str | None:
        """Set a password that the user has chosen. Takes as long as some logins.

        :param shown: the hash of the password that the user has shown, which is not changed if
            somebody else has set another one since.
        :returns: None, or for the user why the password can't be this one.
        """
        # To keep the one that has to be changed is no change.
        known = self.last(user) or filter(None, (shown,))
        reason = unfit(user, new, known)
        if reason is not None:
            return reason
        hashed = hash_password(new, os.urandom)
        with self._database.transaction() as connection:
            if shown is None or _current(connection, user.name) != shown:
                return "the password was set by somebody else meanwhile: log in again"
            _replace(connection, user.name, shown, hashed, must_change=False)
        self._database.changed(user.name)
        return None

    def last(self, user: User) -> list[str]:
        """Return the hashes of the passwords that a new one of the user may not be."""
        count = user.password_history or 0
        chosen = select(FORMER.c.password).where(FORMER.c.user == user.name)
        chosen = chosen.order_by(FORMER.c.number.desc()).limit(max(count - 1, 0))
        with self._database.reading() as connection:
            former = connection.execute(chosen).scalars()
            return [*filter(None, (user.password,)), *former] if count else []

    # --- one-time passwords ---

    def issue(self, name: str, address: str, now: float | None = None) -> str:
        """Return a password for one login of a user who has proved elsewhere who it is.

        :param address: that of the user's client, which the login counts as.
        :param now: seconds since the epoch; None for now.
        :raises UserStoreError: there is no user of this name.
        """
        now = time.time() if now is None else now
        password = f"{ONE_TIME_PREFIX}{os.urandom(_SECRET).hex()}"
        row = {"hash": _digest(password), "user": name, "address": address}
        with self._database.transaction() as connection:
            if connection.execute(select(USERS.c.name).where(USERS.c.name == name)).first() is None:
                raise UserStoreError(f"there is no user {safe(name, 64)!r}")
            connection.execute(delete(ONE_TIME).where(ONE_TIME.c.until <= now))
            connection.execute(insert(ONE_TIME), {**row, "until": int(now) + ONE_TIME_SECONDS})
        return password

    def redeem(self, name: str, password: str, now: float | None = None) -> str | None:
        """Use a one-time password up, and return its address; None if it is not one of the user.

        :param now: seconds since the epoch; None for now.
        """
        now = time.time() if now is None else now
        row = (ONE_TIME.c.hash == _digest(password)) & (ONE_TIME.c.user == name)
        # Logins of strangers come here with whatever they have guessed: they do not wait to write.
        with self._database.reading() as connection:
            if connection.execute(select(ONE_TIME.c.until).where(row)).first() is None:
                return None
        with self._database.transaction() as connection:
            found = connection.execute(select(ONE_TIME.c.address, ONE_TIME.c.until).where(row))
            kept = found.one_or_none()
            connection.execute(delete(ONE_TIME).where(row))
        return None if kept is None or kept.until <= now else str(kept.address)


def _digest(password: str) -> bytes:
    return hashlib.sha256(password.encode("utf-8", "surrogateescape")).digest()


def _current(connection: Connection, name: str) -> str | None:
    chosen = select(USERS.c.password).where(USERS.c.name == name)
    return connection.execute(chosen).scalar_one_or_none()


def _replace(
    connection: Connection, name: str, old: str | None, new: str | None, *, must_change: bool
) -> None:
    if old is not None:
        connection.execute(insert(FORMER), {"user": name, "password": old})
        kept = select(FORMER.c.number).where(FORMER.c.user == name)
        kept = kept.order_by(FORMER.c.number.desc()).limit(MOST_HISTORY)
        gone = (FORMER.c.user == name) & FORMER.c.number.not_in(kept)
        connection.execute(delete(FORMER).where(gone))
    changed = {"password": new, "password_changed": int(time.time()), "must_change": must_change}
    connection.execute(update(USERS).where(USERS.c.name == name).values(**changed))


def unfit(user: User, password: bytes, known: Iterable[str] = ()) -> str | None:
    """Return why a user may not have a password, for the user, or None.

    :param known: hashes of passwords that it may not be; each takes as long as a login.
    """
    text = password.decode("utf-8", "surrogateescape")
    if not text:
        return "the password is empty"
    if user.password_length and len(text) < user.password_length:
        return (
            f"the password has {len(text)} characters: take one with {user.password_length} or more"
        )
    if text.casefold() == user.name.casefold():
        return "the password is the user's name: take another one"
    if any(verify_password(hashed, password) for hashed in known):
        return "the password was used before: take another one"
    return None
