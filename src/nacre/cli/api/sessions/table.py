"""The sessions of users who have signed in, in the memory of one process: its end ends them.

A token is 32 random bytes, of which the table has the hash alone.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from nacre.daemon.store.values import User

PREFIX = "nacre_session_"
"""How tokens begin. No key of the API does."""

LONGEST = 12 * 3600.0
"""Seconds after which a session ends."""

IDLE = 1800.0
"""Seconds without a call after which a session ends."""

PROOF = 300.0
"""Seconds for which the second factor, or the password of who has none, counts after it was shown
again."""

MOST_SESSIONS = 1000
MOST_OF_USER = 8
"""Sessions at once, of all users and of one: a further one ends the one that is idle longest."""

_SECRET = 32


@dataclass(slots=True, kw_only=True, eq=False)
class APISession:
    """A session of a user.

    :ivar user: the name.
    :ivar password: the hash of the password that was shown: a change of it ends the session.
    :ivar address: the client's address, as who has begun the session says.
    :ivar began: seconds on the table's clock; ``used`` those of the last call.
    :ivar proved: likewise, when the second factor was shown again; None for never.
    """

    user: str
    password: str
    address: str
    began: float
    used: float
    proved: float | None = None


class APISessions:
    """The sessions. Several threads may use it.

    :param clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._sessions: dict[bytes, APISession] = {}

    def begin(self, user: User, address: str) -> str:
        """Begin a session of a user who has shown the password, and return its token."""
        token = f"{PREFIX}{os.urandom(_SECRET).hex()}"
        now = self._clock()
        session = APISession(
            user=user.name, password=user.password or "", address=address, began=now, used=now
        )
        with self._lock:
            self._sweep(now)
            own = [key for key, one in self._sessions.items() if one.user == user.name]
            if len(own) >= MOST_OF_USER:
                del self._sessions[self._oldest(own)]
            elif len(self._sessions) >= MOST_SESSIONS:
                del self._sessions[self._oldest(list(self._sessions))]
            self._sessions[_hash(token)] = session
        return token

    def find(self, token: str, *, used: bool = True) -> APISession | None:
        """Return the session of a token; None if there is none.

        :param used: whether it is used now, and so not idle.
        """
        with self._lock:
            now = self._clock()
            found = self._sessions.get(_hash(token))
            if found is None or _over(found, now):
                return None
            if used:
                found.used = now
            return found

    def end(self, session: APISession) -> None:
        """End a session: its token is unknown from now on."""
        with self._lock:
            self._sessions = {key: one for key, one in self._sessions.items() if one is not session}

    def prove(self, session: APISession) -> None:
        """Note that the user has shown the second factor again, in this session."""
        session.proved = self._clock()

    def proof_left(self, session: APISession) -> float:
        """Return the seconds for which the proof of a session still counts."""
        proved = session.proved
        return 0.0 if proved is None else max(0.0, proved + PROOF - self._clock())

    def _oldest(self, keys: list[bytes]) -> bytes:
        return min(keys, key=lambda key: self._sessions[key].used)

    def _sweep(self, now: float) -> None:
        self._sessions = {key: one for key, one in self._sessions.items() if not _over(one, now)}


def _over(session: APISession, now: float) -> bool:
    return now - session.began >= LONGEST or now - session.used >= IDLE


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
