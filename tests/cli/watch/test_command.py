"""``nacre watch``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from daemon.control.answering import MadeUp, answering, connection
from nacre.cli.control import live
from nacre.cli.watch.command import command
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


def test_a_session_is_watched(tmp_path: Path, shown: list[Any]) -> None:
    with answering(tmp_path, MadeUp(connection("1.1"))):
        state = ["--state", str(tmp_path)]
        assert CliRunner().invoke(command, ["1.1", *state]).exit_code == 7
        more = ["--text", "--quiet", "--channel", "2"]
        assert CliRunner().invoke(command, ["1.1", *more, *state]).exit_code == 7
        done = CliRunner().invoke(command, ["1.2", *state])
    assert done.exit_code == 1
    assert "there is no connection 1.2" in done.output
    assert shown == [
        (WatchOrder(id="1.1", channel=0), {"text": False}),
        (WatchOrder(id="1.1", channel=2, quiet=True), {"text": True}),
    ]


def test_without_a_server_it_says_so(tmp_path: Path) -> None:
    done = CliRunner().invoke(command, ["1.1", "--state", str(tmp_path)])
    assert done.exit_code == 1
    assert "no server runs with the state directory" in done.output
