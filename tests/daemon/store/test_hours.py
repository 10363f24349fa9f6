"""Times of the week."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from nacre.daemon.store.hours import in_hours, parse_hours
from nacre.errors import UserStoreError

MONDAY = datetime(2030, 1, 7, tzinfo=UTC).timestamp()


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(day: int, clock: str) -> float:
    hour, minute = clock.split(":")
    return MONDAY + day * 86400 + int(hour) * 3600 + int(minute) * 60


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("Mon", [(0, "00:00"), (0, "23:59")], [(6, "23:59"), (1, "00:00")]),
        ("mon-fri 08:00-18:00", [(0, "08:00"), (4, "17:59")], [(0, "07:59"), (4, "18:00")]),
        ("09:30-10:00", [(n, "09:45") for n in range(7)], [(3, "10:00")]),
        ("Sat-Mon", [(5, "12:00"), (6, "12:00"), (0, "12:00")], [(1, "12:00"), (4, "12:00")]),
        ("Fri 22:00-06:00", [(4, "22:00"), (5, "05:59")], [(4, "05:00"), (5, "22:00")]),
        # From the end of a week into the next one.
        ("Sun 22:00-06:00", [(6, "23:00"), (0, "05:59")], [(0, "06:00"), (6, "05:00")]),
        ("Mon 08:00-09:00, Wed 8:00-24:00", [(0, "08:30"), (2, "23:59")], [(1, "08:30")]),
        ("Mon-Sun", [(n, "00:00") for n in range(7)], []),
    ],
)
def test_what_is_inside(
    text: str, inside: list[tuple[int, str]], outside: list[tuple[int, str]]
) -> None:
    assert [one for one in inside if not in_hours(text, at(*one))] == []
    assert [one for one in outside if in_hours(text, at(*one))] == []


def test_hours_are_those_of_the_servers_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    assert in_hours("Mon 08:00-09:00", MONDAY - 3600)


@pytest.mark.parametrize(
    "text", ["", "Mon,", "Mo", "Mon 8-18", "Mon 08:00", "25:00-26:00", "08:60-09:00", "24:00-01:00"]
)
def test_what_is_no_time_of_the_week(text: str) -> None:
    with pytest.raises(UserStoreError):
        parse_hours(text)
