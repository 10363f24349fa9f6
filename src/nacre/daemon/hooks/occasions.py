"""What hooks are told of: events of the audit by the names that hooks have for them, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping

from nacre.daemon.audit.chain import Kept
from nacre.daemon.audit.search import shown_time

OCCASIONS: Mapping[str, str] = {
    "connect": "a client has connected and exchanged keys",
    "login": "a method of a login has succeeded",
    "session": "a shell, a subsystem, a terminal, an agent or a display was asked for",
    "command": "a command was asked for",
    "exit": "a shell or a command has ended",
    "closed": "the connection of a user has ended",
    "forward": "a connection was forwarded, or a port opened",
    "watch": "somebody watches a session, or joins in",
    "api": "a change was made, or refused, over the REST API",
    "upload": "a file was stored",
    "download": "a file was read",
    "rename": "a file or directory was renamed",
    "delete": "a file or directory was removed",
    "mkdir": "a directory was made",
    "file": "another operation on files",
    "lost": "a write to a file has failed",
    "audit": "the server has started or stopped, or the audit has lacked something",
}
"""What a hook may be told of, and what that means."""

TEST = "test"
"""The name of an event that `nacre hook test` makes, for one hook whatever it is told of."""

_OPERATIONS: Mapping[str, str] = {
    "upload": "upload",
    "download": "download",
    "rename": "rename",
    "posix-rename@openssh.com": "rename",
    "remove": "delete",
    "rmdir": "delete",
    "mkdir": "mkdir",
}
"""Operations on files; the end of a transfer by SFTP is a ``close``."""


def occasion(event: Kept, fields: Mapping[str, object]) -> str:
    """Return the name that hooks have for an event."""
    if event.event != "file":
        return TEST if _is_test(event, fields) else event.event
    if fields.get("op") == "close":
        return _transfer(fields)
    return _OPERATIONS.get(str(fields.get("op")), "file")


def _is_test(event: Kept, fields: Mapping[str, object]) -> bool:
    return event.event == "audit" and fields.get("op") == "hook"


def _transfer(fields: Mapping[str, object]) -> str:
    read, written = fields.get("read"), fields.get("written")
    if not fields.get("writable"):
        return "download"
    # What was opened for both and only read was not stored.
    return "upload" if written or not read else "download"


def identity(event: Kept) -> str:
    """Return the identifier of an event: no other event has it, also not of another table."""
    return f"{event.id}.{event.hash[:16]}"


def body(event: Kept, fields: Mapping[str, object], name: str, hook: str) -> bytes:
    """Return what a hook is told of an event; it is the same each time."""
    told = {
        "id": identity(event),
        "number": event.id,
        "event": name,
        "time": shown_time(event.time),
        "outcome": event.outcome,
        "user": event.user,
        "peer": event.peer,
        "connection": event.connection,
        "hook": hook,
        "audit": event.event,
        "fields": fields,
    }
    return json.dumps(told, separators=(",", ":")).encode()
