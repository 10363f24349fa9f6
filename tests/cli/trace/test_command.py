"""The arguments of ``nacre trace``. Its output for a server: tests/cli/ssh."""

from __future__ import annotations

from pathlib import Path

import pytest

from nacre.cli.trace.command import run


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "no host given: give [user@]host"),
        (["-L", "1:h:2", "h"], "nacre trace forwards nothing: leave -L, -R, -D, -A and -W out"),
        (["-W", "h:2", "h"], "nacre trace forwards nothing: leave -L, -R, -D, -A and -W out"),
        (["--xml", "h"], "option --xml not recognized: --help lists the options"),
        (["-s", "h"], "You must specify a subsystem to invoke."),
    ],
)
def test_what_is_refused(words: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("nacre trace", words) == 255
    assert capsys.readouterr().err == f"nacre trace: {text}\n"


def test_a_log_file_that_can_t_be_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "none" / "log"
    assert run("nacre trace", ["-E", str(path), "h"]) == 255
    assert capsys.readouterr().err == (
        f"nacre trace: can't open the log file: [Errno 2] No such file or directory: '{path}'\n"
    )


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["-Q", "cipher-auth"], "aes128-gcm@openssh.com\n"),
        (["-G", "-p", "2222", "alice@host"], "user alice\n"),
    ],
)
def test_questions_are_answered_as_ssh_does(
    words: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("nacre trace", words) == 0
    assert text in capsys.readouterr().out
