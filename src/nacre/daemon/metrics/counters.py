"""What a server counts for monitoring, from the records of its log.

No label has a name or an address, and each value of a label comes from a table: what clients and
gates say decides neither how many series there are nor what they are called.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeAlias

Series: TypeAlias = tuple[str, tuple[str, ...]]
"""The name of a metric, and the values of its labels."""

OTHER = "other"

METHODS = (
    *("password", "publickey", "keyboard-interactive", "hostbased"),
    *("gssapi-with-mic", "gssapi-keyex"),
)
OUTCOMES = ("success", "partial", "failure")
REQUESTS = ("shell", "exec", "subsystem", "x11", "agent", "pty-req")
HOOK_OUTCOMES = ("failing", "dead")
PENALTIES = ("crash", "authfail", "noauth", "grace-exceeded", "refuseconnection")

REASONS: Mapping[str, str] = {
    "refused for": "penalty",
    "banned": "banned",
    "too many connections from this network": "source",
    "too many connections": "busy",
    "the server is stopping": "stopping",
    "the proxy": "proxy",
    "the PROXY": "proxy",
    "there is no PROXY": "proxy",
    "too many headers": "proxy",
}
"""The class of a refused connection, by the beginning of its reason; the first one counts."""

COUNTED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "connections": ("Connections that were accepted.", ()),
    "logins": ("Attempts to log in.", ("method", "outcome")),
    "logged_in": ("Connections whose user has logged in.", ()),
    "refused_connections": ("Connections that were closed at once.", ("reason",)),
    "refused_logins": ("Logins that the configuration or the user's settings refuse.", ()),
    "sessions": ("Shells, commands and subsystems that were granted.", ("request",)),
    "key_exchanges": ("Key exchanges; later ones of a connection at LogLevel VERBOSE.", ("kind",)),
    "penalties": ("Penalties that had a network refused.", ("offence",)),
    "bans": ("Bans that offences have led to.", ()),
    "file_read_bytes": ("Bytes of files that were read, at LogLevel VERBOSE.", ()),
    "file_written_bytes": ("Bytes of files that were written, at LogLevel VERBOSE.", ()),
    "hook_failures": ("Attempts to tell a hook that failed, and events given up.", ("outcome",)),
    "errors": ("Records of errors.", ()),
}
"""The help text and the labels of each counter."""

Record: TypeAlias = Mapping[str, object]


def _of(values: tuple[str, ...], found: object) -> str:
    return found if isinstance(found, str) and found in values else OTHER


def _number(found: object) -> int:
    return found if isinstance(found, int) and 0 <= found < 1 << 62 else 0


def _reason(record: Record) -> str:
    text = str(record.get("reason", ""))
    return next((name for begin, name in REASONS.items() if text.startswith(begin)), OTHER)


def _dropped(record: Record) -> dict[Series, int]:
    # A line of a second has the count of those that had none.
    many = _number(record.get("connections")) or 1
    return {("refused_connections", (_reason(record),)): many}


def _auth(record: Record) -> dict[Series, int]:
    if record.get("method") == "none":
        return {}  # a client asks which methods there are: that is no attempt
    method, outcome = _of(METHODS, record.get("method")), _of(OUTCOMES, record.get("outcome"))
    return {("logins", (method, outcome)): 1}


def _session(record: Record) -> dict[Series, int]:
    if record.get("granted") not in (True, 1):
        return {}
    return {("sessions", (_of(REQUESTS, record.get("request")),)): 1}


def _file(record: Record) -> dict[Series, int]:
    if record.get("op") != "close":
        return {}
    return {
        ("file_read_bytes", ()): _number(record.get("read")),
        ("file_written_bytes", ()): _number(record.get("written")),
    }


def _hook(record: Record) -> dict[Series, int]:
    outcome = record.get("outcome")
    return {("hook_failures", (str(outcome),)): 1} if outcome in HOOK_OUTCOMES else {}


_EVENTS: Mapping[str, Callable[[Record], dict[Series, int]]] = {
    "accepted": lambda record: {("connections", ()): 1},
    "auth": _auth,
    "authenticated": lambda record: {("logged_in", ()): 1},
    "ban": lambda record: {("bans", ()): 1},
    "dropped": _dropped,
    "error": lambda record: {("errors", ()): 1},
    "file": _file,
    "hook": _hook,
    "kex": lambda record: {("key_exchanges", ("first",)): 1},
    "penalty": lambda record: {("penalties", (_of(PENALTIES, record.get("reason")),)): 1},
    "refused": lambda record: {("refused_logins", ()): 1},
    "rekey": lambda record: {("key_exchanges", ("rekey",)): 1},
    "session": _session,
}


class Counters:
    """The counters of one server."""

    def __init__(self) -> None:
        self._counts: Counter[Series] = Counter()

    def note(self, record: Record) -> None:
        """Count what a record tells."""
        event = record.get("event")
        count = _EVENTS.get(event) if isinstance(event, str) else None
        if count is not None:
            self._counts.update(count(record))

    def counts(self) -> dict[Series, int]:
        """Return the counts so far."""
        return dict(self._counts)
