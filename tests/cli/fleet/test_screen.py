"""What a run shows while it goes on."""

from __future__ import annotations

import pytest

from nacre.cli.fleet.screen import FleetScreen
from nacre.fleet.verdicts import FleetVerdict


def test_the_line_counts_endings_and_names_what_takes_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    told: list[str] = []
    screen = FleetScreen(6, lambda verdict: told.append(verdict.host))
    for name in ("a", "b", "c\x1b", "d", "e"):
        screen.started(name)
    screen.ended(FleetVerdict("a", "ok"))
    screen.ended(FleetVerdict("z", "skipped"))
    assert told == ["a", "z"]
    assert screen.line() == (
        "2/6 done, 1 ok, 1 skipped, 4 running (slowest: b 40 s, c\\x1b 30 s, d 20 s)"
    )


def test_nothing_is_shown_where_standard_error_is_no_terminal(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with FleetScreen(1, lambda verdict: None).shown(live=True):
        pass
    assert capfd.readouterr() == ("", "")


def test_a_terminal_shows_the_line(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    monkeypatch.setenv("TERM", "xterm")
    with FleetScreen(7, lambda verdict: None).shown(live=True):
        pass
    assert "0/7 done" in capfd.readouterr().err
