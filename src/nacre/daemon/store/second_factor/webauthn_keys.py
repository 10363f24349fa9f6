"""The security keys that users show to the web console, by WebAuthn.

What is kept of one is public: the credential ID and the public key. That a signature is right is
checked by who asks for it; that its counter has not gone back is checked here, in a transaction.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from nacre.daemon.store.database import Database
from nacre.daemon.store.tables import USERS, WEBAUTHN_KEYS
from nacre.errors import UserStoreError
from nacre.wire.text import safe

MOST_KEYS = 10
"""Security keys of one user. A browser is sent all of them when it asks for one."""

LONGEST_NAME = 64
"""Characters of the name that a user gives a security key."""

LONGEST_CREDENTIAL = 1023
"""Bytes of a credential ID (WebAuthn, section 4)."""

LONGEST_PUBLIC_KEY = 2048
"""Bytes of a public key (COSE): one of RSA with 8192 bits has half of them."""

_ID = 8
"""Bytes of the hash that a key is named by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebAuthnKey:
    """A security key of a user.

    :ivar credential: the credential ID, by which an authenticator knows it.
    :ivar name: what the user calls it.
    :ivar rp_id: the host name of the console that it signs for.
    :ivar public_key: as COSE has it (RFC 9052).
    :ivar counter: the signature counter of the last use; 0 also for a key that has none.
    :ivar added: seconds since the epoch; ``used`` likewise, and 0 for never.
    """

    credential: bytes
    user: str
    name: str
    rp_id: str
    public_key: bytes
    counter: int = 0
    added: int = 0
    used: int = 0

    @property
    def id(self) -> str:
        """What the key is called in commands and calls."""
        return hashlib.sha256(self.credential).digest()[:_ID].hex()


class WebAuthnKeys:
    """The security keys in one database, which other processes may change too.

    :param secret: returns the secret of the store.
    """

    def __init__(self, database: Database, secret: Callable[[], bytes]) -> None:
        self._database = database
        self._secret = secret

    def handle(self, name: str) -> bytes:
        """Return what authenticators know a user by. It does not have the name in it."""
        text = b"nacre webauthn user\0" + name.encode("utf-8", "surrogateescape")
        return hmac.digest(self._secret(), text, "sha256")

    def of(self, name: str) -> list[WebAuthnKey]:
        """Return the security keys of a user, the oldest first."""
        mine = WEBAUTHN_KEYS.c.user == name
        chosen = select(WEBAUTHN_KEYS).where(mine).order_by(*_ORDER)
        with self._database.reading() as connection:
            return [_key(row) for row in connection.execute(chosen)]

    def all(self) -> list[WebAuthnKey]:
        """Return the security keys of all users, sorted by user."""
        chosen = select(WEBAUTHN_KEYS).order_by(WEBAUTHN_KEYS.c.user, *_ORDER)
        with self._database.reading() as connection:
            return [_key(row) for row in connection.execute(chosen)]

    def add(self, key: WebAuthnKey) -> None:
        """Give a user a security key; it is added now.

        :raises UserStoreError: it is too large or has no fitting name, somebody has it already, or
            the user is not there or has too many.
        """
        name = key.name.strip()
        if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
            raise UserStoreError(
                f"a security key has a name of 1 to {LONGEST_NAME} characters that can be printed"
            )
        if len(key.credential) > LONGEST_CREDENTIAL or len(key.public_key) > LONGEST_PUBLIC_KEY:
            raise UserStoreError("the security key is too large")
        row: dict[str, object] = {"credential": key.credential, "user": key.user, "name": name}
        row |= {"rp_id": key.rp_id, "public_key": key.public_key, "counter": key.counter}
        row |= {"added": int(time.time()), "used": 0}
        mine = WEBAUTHN_KEYS.c.user == key.user
        there = select(USERS.c.name).where(USERS.c.name == key.user)
        try:
            with self._database.transaction() as connection:
                if connection.execute(there).first() is None:
                    raise UserStoreError(f"there is no user {safe(key.user, 64)!r}")
                count = select(func.count()).select_from(WEBAUTHN_KEYS).where(mine)
                if connection.execute(count).scalar_one() >= MOST_KEYS:
                    raise UserStoreError(
                        f"{key.user} has {MOST_KEYS} security keys, which is the most: remove one"
                    )
                connection.execute(insert(WEBAUTHN_KEYS), row)
        except IntegrityError:
            raise UserStoreError("this security key is enrolled already") from None

    def remove(self, name: str, key: str) -> WebAuthnKey:
        """Remove a security key of a user, and return it.

        :param key: its :attr:`WebAuthnKey.id`.
        :raises UserStoreError: the user has no such key.
        """
        for found in self.of(name):
            if found.id == key:
                where = (WEBAUTHN_KEYS.c.user == name) & (
                    WEBAUTHN_KEYS.c.credential == found.credential
                )
                with self._database.transaction() as connection:
                    if connection.execute(delete(WEBAUTHN_KEYS).where(where)).rowcount:
                        return found
        raise UserStoreError(f"{safe(name, 64)} has no security key {safe(key, 64)!r}")

    def use(self, key: WebAuthnKey, counter: int, now: float | None = None) -> str | None:
        """Note that a key has signed.

        A counter that does not go up is a sign that the key was copied (WebAuthn, section 6.1.1).
        A key without a counter always says 0.

        :param counter: the signature counter that it says.
        :param now: seconds since the epoch; None for now.
        :returns: None, or why the signature does not count, for the log.
        """
        known = WEBAUTHN_KEYS.c.counter
        this = (WEBAUTHN_KEYS.c.user == key.user) & (WEBAUTHN_KEYS.c.credential == key.credential)
        fits = known < counter if counter else known == 0
        used = int(time.time() if now is None else now)
        with self._database.transaction() as connection:
            changed = update(WEBAUTHN_KEYS).where(this, fits).values(counter=counter, used=used)
            if connection.execute(changed).rowcount:
                return None
            last = connection.execute(select(known).where(this)).scalar_one_or_none()
        if last is None:
            return "the security key was removed"
        return (
            f"the counter of the security key {key.id} went from {last} to {counter}: the key may "
            "have been copied"
        )


_ORDER = WEBAUTHN_KEYS.c.added, WEBAUTHN_KEYS.c.credential


def _key(row: Row[Any]) -> WebAuthnKey:
    found = dict(row._mapping)
    binary = {name: bytes(found[name]) for name in ("credential", "public_key")}
    return WebAuthnKey(**{**found, **binary})
