"""The keys of the REST API. A key is 32 random bytes, of which the store has the hash alone.

SHA-256 is right for that: unlike a password, no such key can be guessed, however fast a guess is.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, insert, select
from sqlalchemy.exc import IntegrityError

from nacre.daemon.store.database import Database
from nacre.daemon.store.tables import API_KEYS
from nacre.daemon.store.values import check_name
from nacre.errors import UserStoreError
from nacre.wire.text import safe

SCOPES = {
    "users:read": "list and show users and their keys",
    "users:write": "add, change and remove users, their passwords and their keys",
    "groups:read": "list and show groups",
    "groups:write": "add, change and remove groups",
    "connections:read": "list the connections",
    "connections:write": "end connections",
    "bans:read": "list the banned networks",
    "bans:write": "ban networks, and remove bans",
    "audit:read": "search the audit",
    "log:read": "follow the log",
    "recordings:read": "list recordings, and play them",
    "watch:read": "watch sessions while they run",
    "watch:write": "join sessions while they run: type at their terminals",
    "sessions:write": "sign users in with their passwords, who act within their roles then",
}
"""What keys may be for."""

_SECRET = 32
"""Random bytes of a key."""

_NUMBER = 6
"""Random bytes of what a key is found by."""

_FORM = re.compile(r"nacre_([0-9a-f]{12})_([0-9a-f]{64})", re.ASCII)

_NOBODYS = bytes(_SECRET)
"""What is compared with where no key has the number, so that this takes as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class APIKey:
    """A key of the API, without the key itself.

    :ivar number: the part of the key that it is found by.
    :ivar scopes: names of :data:`SCOPES`.
    :ivar created: seconds since the epoch.
    :ivar expires: likewise; 0 for never.
    """

    name: str
    number: str
    scopes: tuple[str, ...]
    created: int
    expires: int

    def expired(self, now: float | None = None) -> bool:
        """Tell whether the key counts no more.

        :param now: seconds since the epoch; None for now.
        """
        return bool(self.expires) and (time.time() if now is None else now) >= self.expires


class APIKeys:
    """The keys in one file, which other processes may change too."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, name: str, scopes: Iterable[str], expires: int = 0) -> str:
        """Make a key and return it: nothing can show it again.

        :param expires: seconds since the epoch; 0 for never.
        :raises UserStoreError: the name is taken or not possible, or a scope is unknown.
        """
        check_name(name, "key")
        chosen = tuple(dict.fromkeys(scopes))
        for scope in chosen:
            if scope not in SCOPES:
                raise UserStoreError(f"{safe(scope, 64)!r} is none of {', '.join(SCOPES)}")
        if not chosen:
            raise UserStoreError(f"a key needs a scope: one of {', '.join(SCOPES)}")
        number, secret = os.urandom(_NUMBER).hex(), os.urandom(_SECRET).hex()
        row: dict[str, object] = {"name": name, "number": number, "hash": _hash(secret)}
        row |= {"scopes": ",".join(chosen), "created": int(time.time()), "expires": expires}
        try:
            with self._database.transaction() as connection:
                connection.execute(insert(API_KEYS), row)
        except IntegrityError:
            raise UserStoreError(
                f"there is a key {name} already: revoke it with `nacre api key revoke {name}`, or "
                "give another name"
            ) from None
        return f"nacre_{number}_{secret}"

    def all(self) -> list[APIKey]:
        """Return all keys, sorted by name."""
        with self._database.reading() as connection:
            rows = connection.execute(select(API_KEYS).order_by(API_KEYS.c.name)).all()
        return [_key(row) for row in rows]

    def revoke(self, name: str) -> None:
        """Remove a key: from now on it is unknown.

        :raises UserStoreError: there is none of this name.
        """
        with self._database.transaction() as connection:
            if not connection.execute(delete(API_KEYS).where(API_KEYS.c.name == name)).rowcount:
                raise UserStoreError(
                    f"there is no key {safe(name, 64)!r}: see `nacre api key list`"
                )

    def find(self, token: str) -> APIKey | None:
        """Return the key that somebody shows, also if it has expired; None if it is none."""
        form = _FORM.fullmatch(token)
        if form is None:
            return None
        chosen = select(API_KEYS).where(API_KEYS.c.number == form[1])
        with self._database.reading() as connection:
            row = connection.execute(chosen).one_or_none()
        known = _NOBODYS if row is None else bytes(row.hash)
        same = hmac.compare_digest(known, _hash(form[2]))
        return _key(row) if same and row is not None else None


def _hash(secret: str) -> bytes:
    return hashlib.sha256(bytes.fromhex(secret)).digest()


def _key(row: Row[Any]) -> APIKey:
    return APIKey(
        name=row.name,
        number=row.number,
        scopes=tuple(row.scopes.split(",")),
        created=row.created,
        expires=row.expires,
    )
