"""The options of ``nacre serve`` for sessions."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from nacre.cli.serve.sessions import SessionOptions, session_options

given: list[SessionOptions] = []


@click.command()
@session_options
def command(sessions: SessionOptions) -> None:
    given.append(sessions)


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("", SessionOptions(end_processes=False, drain=0, watch="told")),
        ("--end-processes", SessionOptions(end_processes=True, drain=0, watch="told")),
        ("--drain 60", SessionOptions(end_processes=False, drain=60, watch="told")),
        ("--no-watch", SessionOptions(end_processes=False, drain=0, watch="no")),
        ("--quiet-watch", SessionOptions(end_processes=False, drain=0, watch="quiet")),
    ],
)
def test_they_are_one_argument(words: str, options: SessionOptions) -> None:
    given.clear()
    done = CliRunner().invoke(command, words.split())
    assert done.exit_code == 0, done.output
    assert given == [options]
