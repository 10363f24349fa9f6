"""Programs ask the server of a state directory."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click
import pytest

from daemon.control.answering import MadeUp, answering, connection
from nacre.cli.control.asking import connections, server_of
from nacre.daemon.control.values import ControlError


def test_without_a_server_there_is_a_message(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match="no server runs"), server_of(tmp_path):
        pass


def test_processes_that_did_not_answer_are_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(tmp_path, MadeUp(connection(), silent=1)), server_of(tmp_path) as caller:
        assert connections(caller, everyone=False) == [connection()]
    assert capsys.readouterr().err == (
        "1 of the server's processes did not answer: not all is shown\n"
    )


def test_a_server_that_ends_meanwhile_is_a_message(tmp_path: Path) -> None:
    with ExitStack() as server, ExitStack() as program:
        server.enter_context(answering(tmp_path, MadeUp()))
        caller = program.enter_context(server_of(tmp_path))
        server.close()
        with pytest.raises(ControlError, match="the server"):
            connections(caller, everyone=True)
