"""How the values of settings are read."""

from __future__ import annotations

import time
from collections.abc import Iterator

import click
import pytest

from nacre.cli.user.listing import shown_validity
from nacre.cli.user.settings import (
    INHERITED,
    certificate_span,
    expiry,
    settings,
    span,
    written_expiry,
)
from nacre.daemon.store.values import SETTINGS


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_every_setting_of_the_store_has_an_option() -> None:
    @click.command()
    @settings
    def command(**_: object) -> None: ...

    assert {option.name for option in command.params} == set(SETTINGS)
    assert set(INHERITED.values()) == set(SETTINGS)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("never", 0),
        ("2030-12-31", 1924988400),
        ("2030-12-31T18:00", 1924966800),
        ("2030-12-31T18:00:07", 1924966807),
        ("2030-07-31T18:00", 1911744000),  # in summer
    ],
)
def test_times(text: str, seconds: int) -> None:
    assert expiry(text) == seconds
    assert expiry(written_expiry(seconds)) == seconds


@pytest.mark.parametrize(("text", "span"), [("+3h", 10800), ("+2d", 172800), ("+1w", 604800)])
def test_spans(text: str, span: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1000.5)
    assert expiry(text) == 1000 + span


@pytest.mark.parametrize("text", ["", "soon", "2030-02-30", "+d", "30d", "2030-12-31 18:00"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no time"):
        expiry(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("never", 0), ("12h", 43200), ("90d", 7776000), ("+2w", 1209600)]
)
def test_spans_that_begin_elsewhere(text: str, seconds: int) -> None:
    assert span(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "-1d", "d", "2030-01-01", "999999d"])
def test_what_is_no_span(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no span of time"):
        span(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("none", 0), ("1m", 60), ("90m", 5400), ("1h30m", 5400), ("366d", 31622400)],
)
def test_how_long_certificates_are_valid(text: str, seconds: int) -> None:
    assert certificate_span(text) == seconds
    assert certificate_span(str(shown_validity(seconds))) == seconds


@pytest.mark.parametrize("text", ["", "59", "367d", "-1h", "8 h", "forever", "9" * 70])
def test_how_long_no_certificate_is_valid(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no time from 1m to 366d"):
        certificate_span(text)
