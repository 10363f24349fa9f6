"""What is counted of the log, whatever somebody puts into it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from nacre.daemon.metrics.counters import COUNTED, METHODS, OUTCOMES, Counters, Series

CASES: list[tuple[Mapping[str, object], dict[Series, int]]] = [
    ({"event": "accepted"}, {("connections", ()): 1}),
    (
        {"event": "auth", "method": "publickey", "outcome": "failure", "name": "alice"},
        {("logins", ("publickey", "failure")): 1},
    ),
    ({"event": "auth", "method": "none", "outcome": "failure"}, {}),
    ({"event": "authenticated"}, {("logged_in", ()): 1}),
    ({"event": "dropped", "reason": "refused for 9 seconds because of earlier failures"},
     {("refused_connections", ("penalty",)): 1}),
    ({"event": "dropped", "reason": "banned", "connections": 40},
     {("refused_connections", ("banned",)): 40}),
    ({"event": "dropped", "reason": "too many connections wait to log in"},
     {("refused_connections", ("busy",)): 1}),
    ({"event": "dropped", "reason": "too many connections from this network wait to log in"},
     {("refused_connections", ("source",)): 1}),
    ({"event": "refused", "reason": "unknown user"}, {("refused_logins", ()): 1}),
    ({"event": "kex"}, {("key_exchanges", ("first",)): 1}),
    ({"event": "rekey"}, {("key_exchanges", ("rekey",)): 1}),
    ({"event": "penalty", "reason": "authfail"}, {("penalties", ("authfail",)): 1}),
    ({"event": "session", "request": "shell", "granted": True}, {("sessions", ("shell",)): 1}),
    ({"event": "session", "request": "shell", "granted": False}, {}),
    (
        {"event": "file", "op": "close", "read": 5, "written": 7},
        {("file_read_bytes", ()): 5, ("file_written_bytes", ()): 7},
    ),
    ({"event": "file", "op": "open"}, {}),
    ({"event": "ban"}, {("bans", ()): 1}),
    ({"event": "hook", "hook": "mail", "outcome": "dead"}, {("hook_failures", ("dead",)): 1}),
    ({"event": "hook", "hook": "mail", "outcome": "works again"}, {}),
    ({"event": "error"}, {("errors", ()): 1}),
    ({"event": "nothing that is counted"}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("record", "counts"), CASES)
def test_a_record_is_counted(record: Mapping[str, object], counts: dict[Series, int]) -> None:
    counters = Counters()
    counters.note(record)
    assert counters.counts() == counts
    assert {name for name, _ in counts} <= COUNTED.keys()


def test_what_a_gate_makes_up_adds_no_series() -> None:
    counters = Counters()
    for number in range(1000):
        made_up = f"made up {number}"
        for event in ("auth", "dropped", "penalty"):
            counters.note(
                {"event": event, "method": made_up, "outcome": made_up, "reason": made_up}
            )
        counters.note({"event": "session", "request": made_up, "granted": True})
        counters.note({"event": "file", "op": "close", "read": -5, "written": "many"})
        counters.note({"event": "dropped", "reason": made_up, "connections": 1 << 80})
        counters.note({"event": made_up})
    found = counters.counts()
    assert ("logins", ("other", "other")) in found
    assert len(found) < 10
    assert found["file_read_bytes", ()] == 0


def test_each_series_has_the_labels_of_its_metric() -> None:
    counters = Counters()
    for record, _ in CASES:
        counters.note(record)
    for name, values in counters.counts():
        assert len(values) == len(COUNTED[name][1])
    assert "none" not in METHODS
    assert len(OUTCOMES) == 3
