"""Hooks, plans and events for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from daemon.hooks.receiver import SECRET
from nacre.daemon.audit.chain import Kept
from nacre.daemon.audit.events import AuditEvent, written
from nacre.daemon.audit.table import FILE, AuditTable, now
from nacre.daemon.hooks.deliveries import ToldEvent
from nacre.daemon.hooks.values import Hook, HookPlan


def kept(number: int = 1, event: str = "file", outcome: str = "success", **fields: Any) -> Kept:
    told = json.dumps(fields)
    return Kept(
        number, now(), "1.1", "alice", "192.0.2.1:7", event, outcome, told, "0" * 64, "ab" * 32
    )


def hook(name: str = "one", **more: Any) -> Hook:
    return Hook(**{"name": name, "events": (), "kind": "command", "target": "/bin/true", **more})


def plan(**more: Any) -> HookPlan:
    usual: dict[str, Any] = {"number": 1, "name": "one", "kind": "command", "target": "/bin/true"}
    usual |= {"secret": SECRET, "authorities": "", "timeout": 20, "give_up": 0}
    return HookPlan(**{**usual, **more})


def told(number: int = 1, **more: Any) -> ToldEvent:
    fields = {"id": f"{number}.abc", "number": number, "event": "upload", "outcome": "success"}
    fields |= {"time": "2030-12-31T18:00:00.000000Z", "user": "alice", "hook": "one"}
    fields |= {"peer": "192.0.2.1:7", "connection": "1.1", "fields": {"path": "/a"}, **more}
    return ToldEvent(number, json.dumps(fields).encode(), fields)


def make_audit(directory: Path) -> Path:
    """Return the file of a new audit."""
    AuditTable(directory / FILE, create=True).close()
    return directory / FILE


def add_events(path: Path, *events: AuditEvent) -> int:
    """Add events; return the number of the last one."""
    table = AuditTable(path, create=False)
    try:
        return table.add([(now(), one) for one in events]).id
    finally:
        table.close()


def upload(path: str, outcome: str = "success") -> AuditEvent:
    fields = {"op": "close", "path": path, "read": 0, "written": 3, "writable": True}
    return AuditEvent("1.1", "alice", "192.0.2.1:7", "file", outcome, written(fields))
