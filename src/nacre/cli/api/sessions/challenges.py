"""Challenges that security keys are to sign, in the memory of one process.

A challenge has a ticket, which its caller shows with the answer. It counts once, for one use, and
for a short time. It is bound to the user and to where the user is.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal, TypeAlias

from nacre.cli.api.sessions.table import APISession
from nacre.daemon.store.values import User

LONGEST_CHALLENGE = 120.0
"""Seconds that a person has to answer a challenge."""

MOST_CHALLENGES = 1000
MOST_CHALLENGES_OF_USER = 8
"""Challenges at once, of all users and of one: a further one removes the oldest. All are of users
who have shown a password."""

_SECRET = 32

Use: TypeAlias = Literal["sign-in", "proof", "enrolment"]
"""What an answer is for: to sign in, to show the second factor again, or to enrol a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChallenge:
    """Something for a security key to sign.

    :ivar user: the name of the user.
    :ivar password: the hash of the password that was shown.
    :ivar address: the client's address, as who has asked for it says.
    :ivar origin: that of the page where it is answered; ``rp_id`` is its host name.
    :ivar session: the session that it is for; None at a sign-in.
    :ivar began: seconds on the table's clock.
    """

    use: Use
    user: str
    password: str
    address: str
    origin: str
    rp_id: str
    session: APISession | None
    began: float
    text: bytes = field(default_factory=lambda: os.urandom(_SECRET))


class KeyChallenges:
    """The challenges that are not answered yet. Several threads may use it.

    :param clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._open: dict[bytes, KeyChallenge] = {}

    def begin(
        self,
        use: Use,
        user: User,
        *,
        address: str,
        origin: str,
        rp_id: str,
        session: APISession | None = None,
    ) -> tuple[str, KeyChallenge]:
        """Return a new challenge, and the ticket for its answer."""
        ticket = os.urandom(_SECRET).hex()
        made = KeyChallenge(
            use=use,
            user=user.name,
            password=user.password or "",
            address=address,
            origin=origin,
            rp_id=rp_id,
            session=session,
            began=self._clock(),
        )
        with self._lock:
            self._open = {key: one for key, one in self._open.items() if not self._over(one)}
            own = [key for key, one in self._open.items() if one.user == user.name]
            # They are in the order of their beginnings.
            if len(own) >= MOST_CHALLENGES_OF_USER:
                del self._open[own[0]]
            elif len(self._open) >= MOST_CHALLENGES:
                del self._open[next(iter(self._open))]
            self._open[_hash(ticket)] = made
        return ticket, made

    def take(self, ticket: str, use: Use, session: APISession | None = None) -> KeyChallenge | None:
        """Return the challenge of a ticket, which counts no more; None if there is none.

        :param use: what the answer is for.
        :param session: the session that the answer comes in; None at a sign-in.
        """
        with self._lock:
            found = self._open.pop(_hash(ticket), None)
            if found is None or self._over(found):
                return None
            return found if found.use == use and found.session is session else None

    def _over(self, challenge: KeyChallenge) -> bool:
        return self._clock() - challenge.began >= LONGEST_CHALLENGE


def _hash(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode("utf-8", "surrogateescape")).digest()
