"""What an event may be: names, fields and their bounds; and which records of the log are events."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

from nacre.limits import KIB
from nacre.value import value
from nacre.wire.text import safe

AuditMode: TypeAlias = Literal["off", "on", "hashes"]
"""Whether events are kept; ``hashes``: with the hashes of the contents of transfers."""


@value
class AuditPlan:
    """What of events a server keeps, and how.

    :ivar sync: whether all that waits for an event waits for the disk.
    :ivar connections: whether connections are events.
    :ivar copied: whether events are copied to the database of the users, which servers share.
    :ivar hooks: whether hooks are told of events: those that a hook asks for are kept then.
    """

    mode: AuditMode = "off"
    sync: bool = False
    connections: bool = False
    hooks: bool = False
    copied: bool = False


NO_AUDIT = AuditPlan()

LONGEST_TEXT = 8 * KIB
"""Characters of a field: a path has at most 4096, and an escaped character has several."""

LONGEST = 64 * KIB
"""Bytes of the fields of an event, as JSON: a rename has two paths."""

_LARGEST = 1 << 63
_JSON = json.JSONEncoder(separators=(",", ":"))
_FILE = (
    *("op", "path", "to", "flags", "set", "read", "written", "seconds", "reason"),
    *("sha256_read", "sha256_written", "unhashed", "writable"),
)
_LOGIN = ("method", "methods", "detail", "attempt", "reason")

EVENTS: Mapping[str, frozenset[str]] = {
    "connect": frozenset({"left_out"}),
    "login": frozenset(_LOGIN),
    "session": frozenset({"channel", "request", "subsystem", "term", "display", "reason"}),
    "command": frozenset({"channel", "request", "command", "reason"}),
    "exit": frozenset({"channel", "status"}),
    "forward": frozenset({"to", "listen", "channel", "tunnel", "unit", "device", "reason"}),
    "file": frozenset(_FILE),
    "lost": frozenset({"op", "path", "reason"}),
    "closed": frozenset({"reason"}),
    "watch": frozenset({"op", "channel", "by", "joins", "quiet"}),
    "api": frozenset({"key", "action", "target", "status", "reason", "client"}),
    "audit": frozenset({"op", "lost", "reason", "removed", "through", "hash", "keep", "hook"}),
}
"""The events, and the fields that each may have."""

SYNCED = frozenset({"login", "session", "command", "forward", "audit"})
"""The events after which comes what a loss of power does not undo."""

OUTCOMES = ("success", "failure", "partial", "refused")

OF_SESSIONS = frozenset(EVENTS) - {"api", "audit", "connect", "login", "watch"}
"""What a session process may tell: the monitor judges logins and who watches, and tells of them."""

_REQUESTS = frozenset({"forwarding", "tunnel", "x11", "exec", "shell", "subsystem", "pty-req"})
"""Requests of a session or connection that a policy refuses; those for files have a trail."""


class BadEvent(Exception):
    """What was told is no event; the text is for the log."""


@value
class AuditEvent:
    """Something that happened.

    :ivar connection: the number of the connection; no other one of this table has it.
    :ivar user: the user; the name that a client gave where nobody is logged in.
    :ivar peer: the client's address and port.
    :ivar event: one of :data:`EVENTS`; ``outcome`` one of :data:`OUTCOMES`.
    :ivar fields: more, as an object of JSON whose values are texts, numbers, true, false and null.
    """

    connection: str
    user: str
    peer: str
    event: str
    outcome: str
    fields: str


@value
class Teller:
    """Whose operations a process tells of: what it does not say itself.

    :ivar connection: as in :class:`AuditEvent`; so are ``user`` and ``peer``.
    """

    connection: str
    user: str
    peer: str

    def event(self, event: str, outcome: str, fields: str) -> AuditEvent:
        """Return an event of this connection."""
        return AuditEvent(self.connection, self.user, self.peer, event, outcome, fields)


def written(fields: Mapping[str, object]) -> str:
    """Return fields as they are kept."""
    return _JSON.encode(fields)


def checked(event: str, outcome: str, data: bytes) -> tuple[str, str, str]:
    """Return an event of another process, its outcome, and its fields as they are kept.

    :raises BadEvent: it is none that the process may tell.
    """
    if event not in OF_SESSIONS or outcome not in OUTCOMES:
        raise BadEvent("an event of the audit is not known")
    try:
        found = json.loads(data) if len(data) <= LONGEST else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not found.keys() <= EVENTS[event]:
        raise BadEvent("an event of the audit has fields that it may not have")
    if not all(_is_plain(one) for one in found.values()):
        raise BadEvent("an event of the audit has values that it may not have")
    return event, outcome, written({name: _shown(one) for name, one in found.items()})


def _is_plain(one: object) -> bool:
    if isinstance(one, str):
        return len(one) <= LONGEST_TEXT
    if isinstance(one, float):
        return math.isfinite(one)
    return one is None or (isinstance(one, int) and abs(one) < _LARGEST)


def _shown(one: object) -> object:
    """Return a value that can be shown; texts of our own processes have been made safe before."""
    if isinstance(one, str) and not one.isprintable():
        return safe(one, LONGEST_TEXT)
    return one


def of_file(fields: Mapping[str, object]) -> tuple[str, str, dict[str, object]]:
    """Return the event, the outcome and the fields of what a journal tells of an operation."""
    told = str(fields["outcome"])
    kept = {name: one for name, one in fields.items() if name in EVENTS["file"]}
    if told in OUTCOMES:
        return "file", told, kept
    return "file", "failure", {**kept, "reason": told}


def of_record(record: Mapping[str, Any]) -> tuple[str, str, dict[str, object]] | None:
    """Return the event, the outcome and the fields that a record of the log has, or None."""
    kind = _RECORDS.get(record["event"])
    found = None if kind is None else kind(record)
    if found is None:
        return None
    event, outcome = found
    return event, outcome, {k: v for k, v in record.items() if k in EVENTS[event]}


def _login(record: Mapping[str, Any]) -> tuple[str, str] | None:
    # Clients use the method `none` to get the list of methods: that is no attempt, unless it works.
    if record["method"] == "none" and record["outcome"] != "success":
        return None
    return "login", str(record["outcome"])


def _refused(record: Mapping[str, Any]) -> tuple[str, str] | None:
    if "name" in record:
        return "login", "refused"
    return ("session", "refused") if record.get("request") in _REQUESTS else None


def _session(record: Mapping[str, Any]) -> tuple[str, str]:
    event = "command" if record.get("request") == "exec" else "session"
    return event, _granted(record)


def _granted(record: Mapping[str, Any]) -> str:
    return "success" if record.get("granted") else "refused"


_RECORDS: Mapping[str, Callable[[Mapping[str, Any]], tuple[str, str] | None]] = {
    "kex": lambda record: ("connect", "success"),
    "auth": _login,
    "refused": _refused,
    "session": _session,
    "exit": lambda record: ("exit", "success"),
    "forward": lambda record: ("forward", _granted(record)),
    "lost": lambda record: ("lost", "failure"),
    "closed": lambda record: ("closed", "success"),
    "watch": lambda record: ("watch", "success"),
}
"""The records of the log that are events, and which."""
