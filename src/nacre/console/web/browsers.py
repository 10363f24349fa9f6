"""The sessions of browsers, and the cookies that name them.

A cookie has a random name and a signature, and nothing else: what the session is, stands here. The
key of the signatures is drawn at the start, as the sessions are in memory, too.
"""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from itsdangerous import BadSignature, Signer

IDLE = 1800.0
"""Seconds without a page after which a session ends, as in the API."""

MOST_SESSIONS = 1000
"""Sessions at once: a further one ends the one that is idle longest."""

MOST_OF_USER = 8
"""Sessions of one user at once, as in the API: nobody ends those of others by signing in often."""

MOST_STREAMS = 4
"""Pages of one session that follow something at once."""

_SECRET = 32
_LONGEST_COOKIE = 256


@dataclass(slots=True, kw_only=True, eq=False)
class BrowserSession:
    """A person who has signed in.

    :ivar token: of the session at the API.
    :ivar name: the user, ``role`` its role when it signed in.
    :ivar key: what its cookie names.
    :ivar csrf: what each form of this session has in it.
    :ivar used: seconds on the clock.
    :ivar notice: what the next page tells, once.
    :ivar streams: how many pages follow something.
    """

    token: str
    name: str
    role: str
    used: float
    key: str = ""
    csrf: str = field(default_factory=lambda: os.urandom(_SECRET).hex())
    notice: str = ""
    streams: int = 0

    def take_notice(self) -> str:
        """Return what is to be told, and forget it."""
        told, self.notice = self.notice, ""
        return told


class BrowserSessions:
    """The sessions, by what their cookies name. It belongs to a loop.

    :param secure: whether cookies are for HTTPS alone.
    :param clock: returns seconds.
    """

    def __init__(self, *, secure: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.secure = secure
        self._clock = clock
        secret = os.urandom(_SECRET)
        self._signer = Signer(secret, salt="nacre console session")
        self._forms = Signer(secret, salt="nacre console form")
        self._sessions: dict[str, BrowserSession] = {}
        # A name with __Host- is one that no other host and no page without HTTPS can set.
        prefix = "__Host-" if secure else ""
        self.cookie, self.form_cookie = f"{prefix}nacre-session", f"{prefix}nacre-form"

    def begin(self, token: str, name: str, role: str) -> str:
        """Begin a session, and return its cookie. It has a new name, whatever the browser had."""
        now = self._clock()
        self._sessions = {key: one for key, one in self._sessions.items() if now - one.used < IDLE}
        own = [key for key, one in self._sessions.items() if one.name == name]
        if len(own) >= MOST_OF_USER:
            del self._sessions[self._oldest(own)]
        elif len(self._sessions) >= MOST_SESSIONS:
            del self._sessions[self._oldest(self._sessions)]
        key = os.urandom(_SECRET).hex()
        session = BrowserSession(token=token, name=name, role=role, used=now, key=key)
        self._sessions[key] = session
        return self._signer.sign(key).decode()

    def find(self, cookies: Mapping[str, str]) -> BrowserSession | None:
        """Return the session that a browser's cookies name; None if there is none."""
        key = _unsigned(self._signer, cookies.get(self.cookie, ""))
        found = self._sessions.get(key)
        if found is None:
            return None
        now = self._clock()
        if now - found.used >= IDLE:
            del self._sessions[key]
            return None
        found.used = now
        return found

    def end(self, session: BrowserSession) -> None:
        """End a session: its cookie names none from now on."""
        self._sessions = {key: one for key, one in self._sessions.items() if one is not session}

    def holds(self, session: BrowserSession) -> bool:
        """Tell whether a session that was found has not ended since. This is no use of it."""
        held = self._sessions.get(session.key) is session
        return held and self._clock() - session.used < IDLE

    def use(self, session: BrowserSession) -> bool:
        """Tell whether a session that was found has not ended since; it is used now."""
        if not self.holds(session):
            return False
        session.used = self._clock()
        return True

    def _oldest(self, keys: Iterable[str]) -> str:
        return min(keys, key=lambda key: self._sessions[key].used)

    def form_key(self) -> str:
        """Return a signed random text for the form of somebody who has no session."""
        return self._forms.sign(os.urandom(_SECRET).hex()).decode()

    def is_form_key(self, cookies: Mapping[str, str], shown: str) -> bool:
        """Tell whether a form has the same one as the browser's cookie, and it is one of ours."""
        kept = cookies.get(self.form_cookie, "")
        same = hmac.compare_digest(kept.encode(), shown.encode())
        return same and bool(_unsigned(self._forms, kept))


def _unsigned(signer: Signer, text: str) -> str:
    """Return what is signed; an empty text if the signature is wrong."""
    if len(text) > _LONGEST_COOKIE:
        return ""
    try:
        return signer.unsign(text).decode()
    except (BadSignature, UnicodeError):
        return ""
