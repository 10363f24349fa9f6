"""``nacre top``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from daemon.control.answering import DETAILS, MadeUp, answering, connection
from nacre.cli.top import command as module
from nacre.cli.top.command import NAMES, Sample, command
from nacre.daemon.control.values import Connected


def with_bytes(number: str, received: int | None, sent: int | None) -> Connected:
    return connection(number, details=replace(DETAILS, received=received, sent=sent))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Each sample is two seconds after the one before."""
    times = iter(range(0, 100, 2))
    monkeypatch.setattr("time.monotonic", lambda: float(next(times)))


def test_rates_are_differences_over_time(clock: None) -> None:
    before = Sample([with_bytes("1", 1000, 0), with_bytes("2", 5, 5), with_bytes("3", None, None)])
    now = Sample(
        [
            with_bytes("1", 3000, 10),
            with_bytes("2", 4, 100_005),
            with_bytes("3", None, None),
            with_bytes("4", 9, 9),
            connection("5", details=None, process=None, state="rest"),
        ]
    )
    assert now.rates(before) == {"1": (1000.0, 5.0), "2": (0.0, 50_000.0)}
    rows = [dict(zip(NAMES, row, strict=True)) for row in now.rows(before)]
    assert [row["id"] for row in rows] == ["2", "1", "3", "4", "5"]
    assert [row["in/s"] for row in rows] == ["0 B", "1.0 kB", "-", "-", "-"]
    assert [row["out/s"] for row in rows] == ["50.0 kB", "5 B", "-", "-", "-"]
    assert [row["in"] for row in rows] == ["4 B", "3.0 kB", "-", "9 B", "-"]
    assert now.summary() == "5 connections, 8 sessions, 1 users"


def test_once_is_plain_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_INTERVAL", 0.0)
    with answering(tmp_path, MadeUp(connection())):
        done = CliRunner().invoke(command, ["--once", "--state", str(tmp_path)])
    summary, head, line = done.output.splitlines()
    assert summary == "1 connections, 2 sessions, 1 users"
    assert head.split() == list(NAMES)
    assert line.split()[:2] == ["1.1", "alice"]


def test_the_live_table_goes_on_until_it_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", sleep)
    with answering(tmp_path, MadeUp(connection())):
        done = CliRunner().invoke(command, ["--every", "5", "--state", str(tmp_path)])
    assert done.exit_code == 0
    assert slept == [5.0, 5.0, 5.0]


def test_what_a_client_has_chosen_is_no_markup() -> None:
    sample = Sample([connection(user="[red]x[/red]")])
    console = Console(width=300, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(module._table(sample, sample))
    assert "[red]x[/red]" in console.export_text()
    console.file.close()
