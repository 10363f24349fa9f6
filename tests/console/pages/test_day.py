"""One person's day."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from console.world import World
from nacre.console.pages import day as module
from nacre.console.pages.day import lanes_of
from nacre.daemon.audit.events import AuditEvent
from nacre.daemon.audit.table import FILE, AuditTable

DAY = date(2030, 1, 2)
EVIL = "<script>alert(1)</script>"


def event(time: str, name: str, outcome: str = "success", connection: str = "1.1") -> Any:
    """Return an event as the API has it."""
    common = {"peer": "192.0.2.1:5", "user": "bob", "fields": {}}
    at = f"2030-01-02T{time}:00.000000Z"
    return {**common, "time": at, "event": name, "outcome": outcome, "connection": connection}


def at(hour: int, day: int = 2) -> datetime:
    return datetime(2030, 1, day, hour, tzinfo=UTC)


def test_a_connection_lasts_until_it_is_closed() -> None:
    events = [event("01:00", "login"), event("02:30", "command"), event("03:00", "closed")]
    (lane,) = lanes_of(events, DAY, at(12))
    assert (lane.begins, lane.ends, lane.closed) == (60, 180, True)
    assert lane.told == "login 1, command 1, closed 1"
    assert [mark[0] for mark in lane.marks] == [60, 150, 180]


def test_one_that_goes_on_lasts_until_now_and_at_most_to_the_end_of_the_day() -> None:
    (lane,) = lanes_of([event("01:00", "login")], DAY, at(12))
    assert (lane.ends, lane.closed) == (720, False)
    (lane,) = lanes_of([event("01:00", "login")], DAY, at(12, day=9))
    assert lane.ends == 1440


def test_what_was_refused_is_marked_and_is_no_open_connection() -> None:
    events = [event("01:00", "login", "failure"), event("01:00", "login", "refused")]
    (lane,) = lanes_of(events, DAY, at(12))
    assert (lane.ends, lane.refused) == (60, 2)
    assert [mark[1] for mark in lane.marks] == ["bad", "bad"]
    assert lane.told == "login 2; 2 refused or failed"


def test_a_connection_with_something_refused_after_its_login_goes_on() -> None:
    events = [event("01:00", "login"), event("01:01", "file", "failure")]
    (lane,) = lanes_of(events, DAY, at(12))
    assert (lane.ends, lane.refused) == (720, 1)


def test_marks_of_one_minute_are_one() -> None:
    events = [event("01:00", "file") for _ in range(1000)]
    (lane,) = lanes_of(events, DAY, at(12))
    assert (len(lane.marks), lane.counts["file"]) == (1, 1000)


@pytest.fixture
def kept(world: World, tmp_path: Path) -> World:
    table = AuditTable(tmp_path / FILE, create=True)
    first = int(at(0).timestamp()) * 1_000_000
    for n in range(3):
        fields = json.dumps({"path": EVIL})
        told = AuditEvent(f"1.{n}", "bob", "192.0.2.1:5", "login", "success", fields)
        table.add([(first + n * 3_600_000_000, told)])
    table.add([(first - 1, AuditEvent("8.1", "bob", "x", "login", "success", "{}"))])
    table.add([(first + 86_400_000_000, AuditEvent("9.1", "bob", "x", "login", "success", "{}"))])
    table.close()
    return world


def test_a_day_is_drawn_and_told_in_a_table(kept: World) -> None:
    browser = kept.browser("otto")
    text = browser.get("/audit/day?user=bob&day=2030-01-02").text
    assert re.findall(r'data-label="Connection">([^<]+)<', text) == ["1.0", "1.1", "1.2"]
    assert text.count('class="lane"') == 3
    assert "day=2030-01-01" in text
    assert "day=2030-01-03" in text
    assert "has nothing of this day" in browser.get("/audit/day?user=eve&day=2030-01-02").text
    kept.resources.audit().close()


def test_a_long_day_is_cut(kept: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    monkeypatch.setattr(module, "_AT_ONCE", 2)
    text = kept.browser("otto").get("/audit/day?user=bob&day=2030-01-02").text
    assert "the first 2 events" in text
    assert text.count('class="lane"') == 2
    kept.resources.audit().close()


@pytest.mark.parametrize("day", ["x", "0001-01-01", "9999-12-31", "2030-02-30"])
def test_what_is_no_day_is_told(world: World, day: str) -> None:
    answer = world.browser("otto").get(f"/audit/day?user=bob&day={day}")
    assert (answer.status_code, "This is no day" in answer.text) == (200, True)


def test_a_server_without_an_audit_says_so(world: World) -> None:
    text = world.browser("otto").get(f"/audit/day?user={EVIL}").text
    assert "nacre serve --audit" in text
    assert (EVIL in text, "&lt;script&gt;" in text) == (False, True)
