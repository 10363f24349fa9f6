"""Times and spans of time, as people write them."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from nacre.cli.manage.times import moment, span, write, written

DAY = 86400 * 1_000_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("90d", 90 * 86400), ("2w", 14 * 86400), ("1h", 3600), ("5m", 300), ("0d", 0)),
        *(("5 days", None), ("90", None), ("", None), ("-1d", None), ("1000000d", None)),
        ("999999w", None),  # a time of more than four digits of the year
    ],
)
def test_a_span_has_a_unit(text: str, seconds: int | None) -> None:
    assert span(text) == seconds


def test_a_span_has_one_of_the_units_that_are_wanted() -> None:
    assert (span("5m", "hdw"), span("5h", "hdw")) == (None, 5 * 3600)


def test_a_time_is_written_as_it_is_read() -> None:
    when = datetime(2030, 12, 31, 18, 0, 7)
    assert written(write(when.timestamp())) == when
    assert written("2030-12-31T18:00") == datetime(2030, 12, 31, 18)
    assert written("yesterday") is None


def test_a_day_counts_to_its_end_where_that_is_wanted() -> None:
    begin = int(datetime(2030, 12, 31).timestamp()) * 1_000_000
    assert (moment("2030-12-31"), moment("2030-12-31", end=True)) == (begin, begin + DAY)
    assert moment("2030-12-31T00:00", end=True) == begin


def test_a_time_with_a_zone_is_of_that_zone() -> None:
    noon = int(datetime(2030, 12, 31, 12, tzinfo=UTC).timestamp()) * 1_000_000
    assert moment("2030-12-31T12:00:00Z") == noon
    assert moment("2030-12-31T13:00+01:00") == noon


@pytest.mark.parametrize(("text", "ago"), [("2d", 2 * DAY), ("1h30m", DAY // 16)])
def test_a_span_is_up_to_now(text: str, ago: int) -> None:
    before = time.time_ns() // 1000
    found = moment(text)
    assert before - ago <= found <= time.time_ns() // 1000 - ago


@pytest.mark.parametrize("text", ["yesterday", "", "9999-12-31x", "2030-13-01"])
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="for example 2d"):
        moment(text)


def test_the_end_of_the_last_day_is_no_time() -> None:
    assert written("9999-12-31", end=True) is None
