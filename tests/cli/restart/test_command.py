"""``nacre restart``."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from nacre.cli.restart.command import command
from nacre.daemon.control import restarting
from nacre.daemon.control.values import ControlError


def test_it_tells_which_process_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarting, "restart", lambda state: (10, 11))
    done = CliRunner().invoke(command, ["--state", str(tmp_path)])
    said = "process 11 serves now; process 10 ends with its last connection\n"
    assert (done.exit_code, done.output) == (0, said)


def test_it_tells_why_the_server_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def restart(state: Path) -> tuple[int, int]:
        raise ControlError("nothing was restarted: the file is wrong")

    monkeypatch.setattr(restarting, "restart", restart)
    done = CliRunner().invoke(command, ["--state", str(tmp_path)])
    assert done.exit_code == 1
    assert done.output == "Error: nothing was restarted: the file is wrong\n"
