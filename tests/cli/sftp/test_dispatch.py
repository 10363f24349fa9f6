"""From a line to its command."""

from __future__ import annotations

from pathlib import Path

import pytest

from nacre.cli.sftp.dispatch import _COMMANDS, run_line
from nacre.cli.sftp.lines import ALIASES, COMMANDS
from nacre.cli.sftp.shell import Quit, SFTPShell
from nacre.errors import NacreError


def test_every_command_has_a_form_and_a_function() -> None:
    assert set(_COMMANDS) == set(COMMANDS) - set(ALIASES) - {"lls"}
    assert set(ALIASES.values()) <= set(_COMMANDS)


@pytest.mark.parametrize("line", ["", "   ", "# a comment", "PWD", " pwd ", "!true", "lls"])
async def test_lines_that_work(shell: SFTPShell, line: str) -> None:
    assert await run_line(shell, line)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("frobnicate", "Invalid command."),
        ("_run", "Invalid command."),
        ("cd nosuch", "stat remote: No such file or directory"),
        ("get 'a", "Unterminated quoted argument"),
        ("!exit 3", "Shell exited with status 3"),
        ("lls nosuch", "Shell exited with status 2"),
    ],
)
async def test_lines_that_fail(
    shell: SFTPShell, line: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert not await run_line(shell, line)
    assert capfd.readouterr().err.splitlines()[-1] == message


async def test_each_line_counts_its_own_failures(shell: SFTPShell) -> None:
    assert not await run_line(shell, "frobnicate")
    assert await run_line(shell, "pwd")


@pytest.mark.parametrize("line", ["bye", "exit", "quit"])
async def test_the_user_ends_the_program(shell: SFTPShell, line: str) -> None:
    with pytest.raises(Quit):
        await run_line(shell, line)


@pytest.mark.parametrize(
    "line", ["ls", "cd d", "rm f", "mkdir d", "rename a b", "df", "chmod 600 f", "get f", "cp a b"]
)
async def test_a_session_that_has_ended_ends_the_program(
    shell: SFTPShell, root: Path, line: str
) -> None:
    shell.sftp.close()
    await shell.sftp.wait_closed()
    with pytest.raises(NacreError):
        await run_line(shell, line)
