"""Events for tests."""

from __future__ import annotations

from typing import Any

from nacre.daemon.audit.events import AuditEvent, written


def event(**fields: Any) -> AuditEvent:
    return AuditEvent("1.1", "alice", "192.0.2.1:7", "file", "success", written(fields))
