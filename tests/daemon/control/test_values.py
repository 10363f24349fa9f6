"""Values of answers as lines of JSON."""

from __future__ import annotations

import json

import pytest

from daemon.control.answering import connection
from nacre.daemon.control.values import (
    ControlError,
    Finished,
    Killed,
    Logged,
    Lost,
    Rejected,
    line_of,
    value_of,
)


@pytest.mark.parametrize(
    "value",
    [
        connection(),
        connection(details=None, process=None, state="rest"),
        Killed(id="1.1", user="älice"),
        Logged(record={"event": "auth", "attempt": 1, "why": None}),
        Lost(lines=3),
        Finished(silent=1),
        Rejected(reason="no"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_value_is_read_as_it_was_written(value: object) -> None:
    line = line_of(value)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert value_of(line) == value


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"", "no object"),
        (b"[]\n", "no object"),
        (b"\xff\n", "no object"),
        (b"[" * 100_000, "no object"),
        (b"{}\n", "does not know"),
        (b'{"other": {}}\n', "does not know"),
        (b'{"lost": {}, "finished": {}}\n', "does not know"),
        (b'{"lost": {"lines": "3"}}\n', "lost.lines is not of the type int"),
        (b'{"lost": {"lines": true}}\n', "lost.lines is not of the type int"),
        (b'{"lost": {}}\n', "lost lacks something"),
        (b'{"lost": 3}\n', "lost is no object"),
        (b'{"finished": {"silent": 0, "x": 1}}\n', "finished has no 'x'"),
        (b'{"killed": {"id": null, "user": ""}}\n', "killed.id is not of the type str"),
    ],
)
def test_what_is_no_value_is_refused(line: bytes, said: str) -> None:
    with pytest.raises(ControlError, match=said):
        value_of(line)


def test_members_of_members_are_checked() -> None:
    members = json.loads(line_of(connection()))["connected"]
    members["details"]["running"][0]["channel"] = "0"
    with pytest.raises(ControlError, match=r"running\.channel"):
        value_of(json.dumps({"connected": members}).encode())
    members["details"]["running"] = "none"
    with pytest.raises(ControlError, match=r"details\.running"):
        value_of(json.dumps({"connected": members}).encode())
