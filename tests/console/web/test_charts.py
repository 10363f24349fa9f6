"""Charts, and what they say in words."""

from __future__ import annotations

import time

import pytest

from nacre.console.web import charts as module
from nacre.console.web.charts import HEIGHT, MINUTES, WIDTH, Throughput, login_charts


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> int:
    """A time that stands still."""
    monkeypatch.setattr(time, "time", lambda: 1_900_000_030.0)
    return 1_900_000_030 // 60


def test_logins_are_bars_by_the_minute(now: int) -> None:
    counts = [
        {"time": now * 60, "outcome": "success", "count": 4},
        {"time": (now - 1) * 60, "outcome": "success", "count": 2},
        {"time": (now - 1) * 60, "outcome": "refused", "count": 1},
        {"time": (now - 1) * 60, "outcome": "failure", "count": 2},
        {"time": now * 60, "outcome": "partial", "count": 7},
        {"time": (now - MINUTES) * 60, "outcome": "success", "count": 9},
    ]
    done, refused = login_charts(counts)
    assert done.told == "6 in the last hour, at most 4 in a minute"
    (before, last) = done.bars
    assert last[:2] == (WIDTH - WIDTH / MINUTES, 0.0)
    assert (before[1], before[3]) == (HEIGHT / 2, HEIGHT / 2)
    assert {one[4] for one in done.bars} == {"in"}
    assert refused.told == "3 in the last hour, at most 3 in a minute"
    assert [one[4] for one in refused.bars] == ["bad"]


def test_where_nothing_is_counted_the_text_says_why() -> None:
    for chart in login_charts(None):
        assert (chart.bars, "no audit" in chart.told) == ((), True)
    for chart in login_charts([]):
        assert (list(chart.bars), chart.told[:2]) == ([], "0 ")


def test_the_throughput_is_the_sum_of_all_connections() -> None:
    found = Throughput()
    assert (list(found.chart().bars), "yet" in found.chart().told) == ([], True)
    found.add(1.0, [])
    found.add(2.0, [{"rate": None}])
    found.add(3.0, [{"rate": (1024.0, 0.0)}, {"rate": (1024.0, 2048.0)}, {"rate": None}])
    found.add(3.5, [{"rate": (9e9, 9e9)}])  # of another user's feed, at the same time
    chart = found.chart()
    assert chart.told == "2.0 KiB/s in, 2.0 KiB/s out; at most 4.0 KiB/s in five minutes"
    (into, out) = chart.bars
    assert (into[3], out[3], into[4], out[4]) == (HEIGHT / 2, HEIGHT / 2, "in", "out")
    assert out[1] == 0.0


def test_samples_are_bounded() -> None:
    found = Throughput()
    for n in range(2 * module.KEPT):
        found.add(2.0 * n, [{"rate": (1.0, 0.0)}])
    assert len(found.chart().bars) == module.KEPT


def test_samples_are_of_the_last_minutes_and_of_a_clock_that_was_set_back() -> None:
    found = Throughput()
    found.add(1.0, [{"rate": (8.0, 0.0)}])
    found.add(1001.0, [{"rate": (1.0, 0.0)}])
    assert "at most 1 B/s" in found.chart().told, "nobody looked for a long time"
    found.add(501.0, [{"rate": (2.0, 0.0)}])
    assert found.chart().told == "2 B/s in, 0 B/s out; at most 2 B/s in five minutes"
