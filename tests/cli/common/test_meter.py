"""The progress meter."""

from __future__ import annotations

import pytest

from nacre.cli.common.meter import Meter, _clock, _scaled


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> Meter:
    """A meter whose clock moves a second with each look at it."""
    seconds = iter(range(100, 1_000))
    monkeypatch.setattr("nacre.cli.common.meter.time.monotonic", lambda: float(next(seconds)))
    monkeypatch.setenv("COLUMNS", "80")
    meter = Meter()
    meter.enabled = True
    return meter


def test_the_meter_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    meter = Meter()
    meter.update("f", 1, 2)
    meter.clear()
    assert capsys.readouterr().out == ""


def test_a_finished_file_leaves_its_line(meter: Meter, capsys: pytest.CaptureFixture[str]) -> None:
    meter.update("dir/file", 512, 1024)
    meter.update("dir/file", 1024, 1024)
    first, last = capsys.readouterr().out.split("\r")[1:]
    assert first.split()[:2] == ["file", "50%"]
    assert first.endswith(" ETA")
    assert last.split()[:2] == ["file", "100%"]
    assert last.endswith("\n")
    meter.clear()
    assert capsys.readouterr().out == ""


def test_of_files_at_once_the_first_is_shown(
    meter: Meter, capsys: pytest.CaptureFixture[str]
) -> None:
    meter.update("a", 1, 10)
    meter.update("b", 1, 10)
    assert " b " not in capsys.readouterr().out
    meter.update("a", 10, 10)
    meter.update("b", 2, 10)
    assert capsys.readouterr().out.split("\r")[-1].startswith("b ")


def test_an_unfinished_line_ends_before_other_text(
    meter: Meter, capsys: pytest.CaptureFixture[str]
) -> None:
    meter.update("a", 1, 10)
    meter.clear()
    assert capsys.readouterr().out.endswith("ETA\n")


def test_names_are_safe_to_print(meter: Meter, capsys: pytest.CaptureFixture[str]) -> None:
    meter.update("a\x1b[2J", 1, 1)
    assert "\x1b" not in capsys.readouterr().out


def test_an_empty_file_is_finished(meter: Meter, capsys: pytest.CaptureFixture[str]) -> None:
    meter.update("a", 0, 0)
    assert "100%" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "   0  B "), (999, " 999  B "), (1000, "   1.0KB"), (5 << 20, "   5.0MB")],
)
def test_sizes_have_one_width(count: float, text: str) -> None:
    assert _scaled(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "00:00"), (61.9, "01:01"), (3600, "1:00:00"), (36_061, "10:01:01")]
)
def test_times(seconds: float, text: str) -> None:
    assert _clock(seconds) == text
