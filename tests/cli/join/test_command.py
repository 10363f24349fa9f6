"""``nacre join``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from daemon.control.answering import MadeUp, answering, connection
from nacre.cli.control import live
from nacre.cli.join.command import command
from nacre.daemon.watching.frames import WatchOrder


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is to be shown, and how."""
    shown: list[Any] = []

    def show(_: object, order: WatchOrder, **how: Any) -> int:
        shown.append((order, how))
        return 7

    monkeypatch.setattr(live, "show", show)
    return shown


class AtTerminal:
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str]:
    """Run it at a terminal; return the exit status and why it has failed."""
    import click

    with monkeypatch.context() as patch:
        patch.setattr("nacre.cli.join.command.sys.stdin", AtTerminal())
        patch.setattr("nacre.cli.join.command.sys.stdout", AtTerminal())
        try:
            command.main(list(words), standalone_mode=False)
        except SystemExit as error:
            return int(str(error.code)), ""
        except click.ClickException as error:
            return error.exit_code, error.message
    raise AssertionError


def test_a_session_is_joined(
    tmp_path: Path, shown: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(tmp_path, MadeUp(connection("1.1"))):
        state = ("--state", str(tmp_path))
        assert run(monkeypatch, "1.1", *state) == (7, "")
        assert run(monkeypatch, "1.1", "--quiet", "--channel", "2", *state) == (7, "")
        status, why = run(monkeypatch, "1.2", *state)
    assert status == 1
    assert "no connection 1.2" in why
    assert shown == [
        (WatchOrder(id="1.1", channel=0, joins=True), {}),
        (WatchOrder(id="1.1", channel=2, joins=True, quiet=True), {}),
    ]


def test_without_a_terminal_nothing_is_joined(tmp_path: Path) -> None:
    done = CliRunner().invoke(command, ["1.1", "--state", str(tmp_path)])
    assert done.exit_code == 2
    assert "a terminal is needed" in done.output
