"""A call of the API, what it works with, and how it fails."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from nacre.cli.api.recordings.asking import RecordingsLink
from nacre.cli.api.sessions.challenges import KeyChallenges
from nacre.cli.api.sessions.table import APISession, APISessions
from nacre.daemon.api.plan import NO_SSH, ServedSSH
from nacre.daemon.store.store import FILE, UserStore
from nacre.server.admission.bans import BanTable
from nacre.server.admission.bucket import Buckets

if TYPE_CHECKING:
    from nacre.daemon.audit.table import AuditTable

SIGN_IN_RATE, SIGN_IN_BURST = 1 / 6, 10.0
"""Tries to sign in per second that a network has in the long run, and at once."""

_MOST_NETWORKS = 1024


class Problem(Exception):
    """A call is refused, or has failed; see RFC 9457.

    :param detail: what is wrong, and what to do, for who has called.
    :ivar logged: the same for the log.
    :cvar offence: what it costs the network of who signs in, if anything.
    """

    offence = ""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = HTTPStatus(status)
        self.detail = self.logged = detail
        self.headers = dict(headers or {})

    def members(self) -> dict[str, Any]:
        """Return the object that the answer has."""
        return {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": int(self.status),
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedCall:
    """What is asked for, checked against the schemas of the action.

    :ivar path: the parts of the path that are parameters.
    :ivar query: the parameters behind the path.
    :ivar body: the body; empty where the action has none.
    :ivar session: the session of the user who calls; None for a call with a key, or without one.
    :ivar caller: who calls, as the log has it.
    """

    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    session: APISession | None = None
    caller: str = ""


class Resources:
    """What calls work with. Several threads may use it.

    :param state: the state directory of the server.
    :ivar recordings: the link to the process with the recordings; None where nothing is recorded.
    :ivar ssh: where SSH is served.
    :ivar store: the users, groups and bans.
    :ivar sessions: those of users who have signed in.
    :ivar challenges: what their security keys are asked.
    :ivar sign_ins: how often each network may try to sign in.
    """

    def __init__(
        self, state: Path, recordings: RecordingsLink | None = None, ssh: ServedSSH = NO_SSH
    ) -> None:
        """Open the store.

        :raises StateError: it can't be opened.
        """
        self.state = state
        self.recordings = recordings
        self.ssh = ssh
        # Once: to close a file gives up all locks that this process has on it (fcntl(2)).
        self.store = UserStore(state / FILE)
        self.sessions = APISessions()
        self.challenges = KeyChallenges()
        self.sign_ins: Buckets[bytes] = Buckets(
            SIGN_IN_RATE, SIGN_IN_BURST, _MOST_NETWORKS, time.monotonic
        )
        self._audit: AuditTable | None = None
        self._opening = Lock()
        self._bans, self._bans_seen = BanTable(), 0

    def bans_refuse(self, address: str) -> bool:
        """Tell whether a network is banned, from which somebody signs in."""
        with self._opening:
            if (version := self.store.bans.version()) != self._bans_seen:
                self._bans.replace(self.store.bans.all())
                self._bans_seen = version
            return self._bans.refuses(address)

    def audit(self) -> AuditTable:
        """Return the table of events.

        :raises StateError: there is none, or it can't be opened.
        """
        from nacre.daemon.audit.table import FILE as AUDIT
        from nacre.daemon.audit.table import AuditTable

        with self._opening:
            if self._audit is None:
                self._audit = AuditTable(self.state / AUDIT, create=False)
            return self._audit
