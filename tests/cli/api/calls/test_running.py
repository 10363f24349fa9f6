"""Calls about a server that does not run, about bans, and about the audit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nacre.cli.api.call import CheckedCall, Problem, Resources
from nacre.cli.api.calls import running
from nacre.daemon.audit.events import AuditEvent
from nacre.daemon.audit.table import FILE, AuditTable


@pytest.fixture
def resources(tmp_path: Path) -> Iterator[Resources]:
    found = Resources(tmp_path)
    yield found
    found.store.close()


def call(path: dict[str, str] | None = None, **query: Any) -> CheckedCall:
    return CheckedCall(path=path or {}, query=query)


@pytest.mark.parametrize(
    ("action", "given"),
    [
        (running.health, call()),
        (running.list_connections, call(everyone=True)),
        (running.end_connection, call({"id": "1"})),
        (running.end_connections, CheckedCall(body={"user": "alice"})),
    ],
)
def test_without_a_server_the_service_is_unavailable(
    resources: Resources, action: Any, given: CheckedCall
) -> None:
    with pytest.raises(Problem) as raised:
        action(resources, given)
    assert raised.value.status == 503


def test_networks_are_banned_allowed_and_listed(resources: Resources) -> None:
    for body in ({"network": "192.0.2.9", "allowed": True}, {"network": "192.0.2.0/24"}):
        running.add_ban(resources, CheckedCall(body=body))
    shown: Any = running.list_bans(resources, call(limit=10, after=""))
    assert [(one["network"], one["allowed"], one["until"]) for one in shown["bans"]] == [
        ("192.0.2.0/24", False, None),
        ("192.0.2.9", True, None),
    ]
    page: Any = running.list_bans(resources, call(limit=1, after=""))
    assert page["next"] == "192.0.2.0/24"
    running.remove_ban(resources, call({"network": "192.0.2.9"}))
    for network, status in (("192.0.2.9", 404), ("x", 422)):
        with pytest.raises(Problem) as raised:
            running.remove_ban(resources, call({"network": network}))
        assert raised.value.status == status


def test_the_audit_is_searched_from_either_end(resources: Resources, tmp_path: Path) -> None:
    with pytest.raises(Problem) as raised:
        running.search_audit(resources, call(limit=2))
    assert raised.value.status == 409
    table = AuditTable(tmp_path / FILE, create=True)
    event = ("login", "success", "{}")
    table.add([(1, AuditEvent("1", name, "192.0.2.1:5", *event)) for name in "abcb"])
    table.close()

    def found(**query: Any) -> tuple[list[str], int]:
        answer: Any = running.search_audit(resources, call(**query))
        return [one["user"] for one in answer["events"]], answer["last"]

    assert found(limit=2) == (["c", "b"], 4)
    assert found(limit=2, after=0) == (["a", "b"], 2)
    assert found(limit=2, after=4) == ([], 4)
    assert found(limit=9, user="b", peer="192.0.2.0/24") == (["b", "b"], 4)
    assert found(limit=9, since="1d") == ([], 4)
    wrongs: tuple[dict[str, Any], ...] = ({"since": "x"}, {"until": "x"}, {"peer": "x"})
    for wrong in wrongs:
        with pytest.raises(Problem) as raised:
            running.search_audit(resources, call(limit=1, **wrong))
        assert raised.value.status == 422
    resources.audit().close()


def test_events_of_the_audit_are_counted_by_span_and_outcome(
    resources: Resources, tmp_path: Path
) -> None:
    table = AuditTable(tmp_path / FILE, create=True)
    told = [(10, "bob", "success"), (59, "bob", "refused"), (61, "bob", "success")]
    told += [(62, "bob", "success"), (63, "eve", "success"), (999, "bob", "success")]
    for at, user, outcome in told:
        table.add([(at * 1_000_000, AuditEvent("1", user, "x", "login", outcome, "{}"))])
    table.add([(61_000_000, AuditEvent("1", "bob", "x", "exit", "success", "{}"))])
    table.close()
    times = {"since": "1970-01-01T00:00:00Z", "until": "1970-01-01T00:02:00Z"}
    asked: dict[str, Any] = {"user": "bob", "event": "login", "step": 60, **times}
    assert running.count_audit(resources, call(**asked)) == {
        "counts": [
            {"time": 0, "outcome": "refused", "count": 1},
            {"time": 0, "outcome": "success", "count": 1},
            {"time": 60, "outcome": "success", "count": 2},
        ]
    }
    wrongs: tuple[dict[str, Any], ...] = ({"since": "x"}, {"step": 1, "since": "2d"})
    for wrong in wrongs:
        with pytest.raises(Problem) as raised:
            running.count_audit(resources, call(**{"step": 60, **wrong}))
        assert raised.value.status == 422
    resources.audit().close()
