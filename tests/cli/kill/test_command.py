"""``nacre kill``."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from daemon.control.answering import MadeUp, answering, connection
from nacre.cli.kill.command import command
from nacre.daemon.control.requests import USUAL_REASON


@pytest.mark.parametrize(
    ("words", "status", "said", "reason"),
    [
        (["1.1"], 0, "ended 1.1 alice\n", USUAL_REASON),
        (["1.1", "--reason", "at noon"], 0, "ended 1.1 alice\n", "at noon"),
        (["--user", "bob"], 0, "ended 1.2 bob\n", USUAL_REASON),
        (["1.1", "9.9"], 3, "ended 1.1 alice\nthere is no connection 9.9", USUAL_REASON),
        (["1.1", "--user", "carol"], 3, "carol has no connection", USUAL_REASON),
        (["9.9"], 1, "there is no connection 9.9: see nacre who --all\n", USUAL_REASON),
    ],
)
def test_the_exit_status_tells_how_much_was_ended(
    tmp_path: Path, words: list[str], status: int, said: str, reason: str
) -> None:
    roster = MadeUp(connection(), connection("1.2", "bob"))
    with answering(tmp_path, roster):
        done = CliRunner().invoke(command, [*words, "--state", str(tmp_path)])
    assert done.exit_code == status
    assert said in done.output
    assert roster.reasons == [reason]


def test_it_must_be_told_whom(tmp_path: Path) -> None:
    done = CliRunner().invoke(command, ["--state", str(tmp_path)])
    assert (done.exit_code, "give ID, or --user NAME" in done.output) == (2, True)
