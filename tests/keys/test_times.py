from __future__ import annotations

import time

import pytest

from nacre.keys.times import parse_time, show_time


@pytest.fixture(autouse=True)
def _zone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ", "UTC-2")  # two hours east of Greenwich
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("19700102Z", 86400),
        ("19700102UTC", 86400),
        ("19700102", 86400 - 7200),
        ("197001020001Z", 86400 + 60),
        ("19700102000102Z", 86400 + 62),
        ("20300101123000Z", 1893501000),
    ],
)
def test_a_time_is_of_the_local_zone_or_utc(text: str, seconds: int) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "Z", "1970", "20301301", "2030010112300099", "19700101", "2030-1-1", "²0300101"]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a time is written YYYYMMDD"):
        parse_time(text)


def test_a_time_is_shown_in_the_local_zone() -> None:
    assert show_time(86400) == "1970-01-02T02:00:00"
    assert show_time(0xFFFFFFFFFF) == "36812-02-20T02:36:15"
    assert show_time((1 << 64) - 2).startswith("584554051223-")
