"""What an event may be, and which records of the log are events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nacre.daemon.audit.events import (
    LONGEST,
    LONGEST_TEXT,
    BadEvent,
    checked,
    of_file,
    of_record,
)


def test_what_a_process_tells_is_kept_as_it_is() -> None:
    fields = {"op": "close", "path": "/ä", "written": 3, "seconds": 0.25, "sha256_written": None}
    event, outcome, kept = checked("file", "success", json.dumps(fields).encode())
    assert (event, outcome, json.loads(kept)) == ("file", "success", fields)


@pytest.mark.parametrize(
    ("event", "outcome", "data"),
    [
        ("login", "success", b"{}"),
        ("connect", "success", b"{}"),
        ("audit", "success", b"{}"),
        ("coffee", "success", b"{}"),
        ("file", "splendid", b"{}"),
        ("file", "success", b"[]"),
        ("file", "success", b"{"),
        ("file", "success", b"[" * 5000),
        ("file", "success", b'{"user":"root"}'),
        ("file", "success", b'{"path":["/a"]}'),
        ("file", "success", b'{"seconds":NaN}'),
        ("file", "success", b'{"read":9223372036854775808}'),
        ("file", "success", b'{"path":"%s"}' % (b"x" * (LONGEST_TEXT + 1))),
        ("file", "success", b'{"path":"/"}' + b" " * LONGEST),
    ],
    ids=(
        *(
            "a login",
            "a connection",
            "the audit's",
            "unknown",
            "outcome",
            "no object",
            "cut off",
            "deep",
        ),
        *("field", "list", "NaN", "large", "long", "too much"),
    ),
)
def test_what_a_process_may_not_tell_is_refused(event: str, outcome: str, data: bytes) -> None:
    with pytest.raises(BadEvent):
        checked(event, outcome, data)


@pytest.mark.parametrize("text", ["\ud800", "\x1b[2J", "a\u202eb"])
def test_text_that_can_not_be_shown_or_stored_is_escaped(text: str) -> None:
    _, _, kept = checked("file", "success", json.dumps({"path": text}).encode())
    assert json.loads(kept)["path"].isprintable()
    kept.encode()


def test_the_outcome_of_an_operation_is_a_word_and_perhaps_a_reason() -> None:
    assert of_file({"op": "remove", "outcome": "success"}) == ("file", "success", {"op": "remove"})
    failed = of_file({"op": "remove", "outcome": "No such file or directory"})
    assert failed == ("file", "failure", {"op": "remove", "reason": "No such file or directory"})
    refused = of_file({"op": "remove", "outcome": "refused", "reason": "read-only"})
    assert refused == ("file", "refused", {"op": "remove", "reason": "read-only"})


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ({"event": "auth", "method": "none", "outcome": "failure"}, None),
        ({"event": "auth", "method": "none", "outcome": "success"}, ("login", "success")),
        ({"event": "auth", "method": "password", "outcome": "partial"}, ("login", "partial")),
        ({"event": "refused", "name": "alice", "reason": "unknown user"}, ("login", "refused")),
        ({"event": "refused", "request": "x11", "reason": "no"}, ("session", "refused")),
        ({"event": "refused", "request": "open", "reason": "read-only"}, None),
        ({"event": "session", "request": "exec", "granted": True}, ("command", "success")),
        ({"event": "session", "request": "shell", "granted": False}, ("session", "refused")),
        ({"event": "forward", "to": "host:1", "granted": True}, ("forward", "success")),
        ({"event": "forward", "to": "host:1", "granted": False}, ("forward", "refused")),
        ({"event": "exit", "status": 1}, ("exit", "success")),
        ({"event": "file", "op": "open", "outcome": "success"}, None),
        ({"event": "kex", "kex": "curve25519-sha256"}, ("connect", "success")),
        ({"event": "rekey"}, None),
    ],
    ids=lambda one: "-".join(map(str, one.values())) if isinstance(one, dict) else None,
)
def test_some_records_of_the_log_are_events(
    record: dict[str, Any], found: tuple[str, str] | None
) -> None:
    event = of_record(record)
    assert (None if event is None else event[:2]) == found
