"""The names that hooks have for events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from daemon.hooks.made import kept
from nacre.daemon.audit.events import EVENTS
from nacre.daemon.hooks.occasions import OCCASIONS, TEST, body, identity, occasion

CASES: list[tuple[str, dict[str, Any]]] = [
    ("upload", {"op": "close", "read": 0, "written": 7, "writable": True}),
    ("upload", {"op": "close", "read": 0, "written": 0, "writable": True}),
    ("upload", {"op": "close", "read": 9, "written": 7, "writable": True}),
    ("download", {"op": "close", "read": 9, "written": 0, "writable": True}),
    ("download", {"op": "close", "read": 0, "written": 0}),
    ("upload", {"op": "upload", "written": 7}),
    ("download", {"op": "download", "read": 7}),
    ("rename", {"op": "posix-rename@openssh.com"}),
    ("rename", {"op": "rename"}),
    ("delete", {"op": "remove"}),
    ("delete", {"op": "rmdir"}),
    ("mkdir", {"op": "mkdir"}),
    ("file", {"op": "setstat"}),
    ("file", {}),
]


@pytest.mark.parametrize(("name", "fields"), CASES, ids=range(len(CASES)))
def test_operations_on_files_have_names(name: str, fields: dict[str, Any]) -> None:
    assert occasion(kept(), fields) == name


def test_the_other_events_are_called_as_in_the_audit() -> None:
    for event in EVENTS.keys() - {"file"}:
        assert occasion(kept(event=event), {}) == event
        assert event in OCCASIONS
    assert occasion(kept(event="audit"), {"op": "hook", "hook": "x"}) == TEST


def test_the_body_is_the_same_each_time_and_has_the_identifier() -> None:
    event = kept(7, op="remove", path="/a")
    first = body(event, {"path": "/a"}, "delete", "one")
    assert first == body(event, {"path": "/a"}, "delete", "one")
    told = json.loads(first)
    assert told["id"] == identity(event) == f"7.{'ab' * 8}"
    assert (told["number"], told["event"], told["audit"]) == (7, "delete", "file")
    assert (told["user"], told["peer"], told["hook"]) == ("alice", "192.0.2.1:7", "one")
    assert told["fields"] == {"path": "/a"}
