"""The options of ``nacre serve`` for recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from nacre.cli.serve.recording import recording_options
from nacre.daemon.recorder.plan import RecordingPlan

given: list[Any] = []


@click.command()
@recording_options
def command(recording: RecordingPlan | None) -> None:
    given.append(recording)


@pytest.mark.parametrize(
    ("words", "plan"),
    [
        ("", None),
        ("--record /r", RecordingPlan(directory=Path("/r"))),
        (
            "--record /r --record-key k.pub --record-user daemon --keep 90d",
            RecordingPlan(
                directory=Path("/r"), key=Path("k.pub"), user="daemon", keep=90 * 86400.0
            ),
        ),
    ],
)
def test_they_are_one_argument(words: str, plan: RecordingPlan | None) -> None:
    given.clear()
    done = CliRunner().invoke(command, words.split())
    assert done.exit_code == 0, done.output
    assert given == [plan]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("--record-key k", "need --record DIR"),
        ("--record-user u", "need --record DIR"),
        ("--keep 1d", "need --record DIR"),
        ("--record /r --keep long", "--keep"),
        ("--record /r --keep 0", "is no time"),
    ],
)
def test_what_makes_no_sense_is_refused(words: str, reason: str) -> None:
    done = CliRunner().invoke(command, words.split())
    assert (done.exit_code, reason in done.output) == (2, True), done.output
