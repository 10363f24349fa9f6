"""What the commands of ``sftp`` share: messages, patterns, and errors that end the session."""

from __future__ import annotations

from pathlib import Path

import pytest

from nacre.cli.sftp.shell import CommandFailed, SFTPShell
from nacre.errors import ConnectionLost, NoSuchFile


async def test_a_complaint_counts_and_goes_to_standard_error(
    shell: SFTPShell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.complain("one")
    shell.complain("two")
    assert shell.failures == 2
    assert capsys.readouterr() == ("", "one\ntwo\n")


async def test_a_quiet_shell_prints_only_complaints(
    shell: SFTPShell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.inform("shown")
    shell.settings.quiet = True
    shell.inform("not shown")
    shell.complain("wrong")
    assert capsys.readouterr() == ("shown\n", "wrong\n")


async def test_paths_are_absolute_and_safe_to_print(shell: SFTPShell) -> None:
    assert shell.show("a") == "/a"
    assert "\x1b" not in shell.show("a\x1b[2J")


async def test_patterns(shell: SFTPShell, root: Path) -> None:
    for name in ("a1", "a2", "b1"):
        (root / name).write_text("")
    assert sorted(await shell.existing("a*")) == ["a1", "a2"]
    assert await shell.existing("b1") == ["b1"]
    assert await shell.matching("c*") == ["c*"]
    assert await shell.matching("c") == ["c"]
    assert await shell.one("b*") == "b1"
    assert await shell.one("a*") == "a*"


@pytest.mark.parametrize("pattern", ["nosuch", "nosuch*"])
async def test_a_pattern_that_must_match(shell: SFTPShell, pattern: str) -> None:
    with pytest.raises(CommandFailed) as caught:
        await shell.existing(pattern)
    assert str(caught.value) == f'File "/{pattern}" not found.'


async def test_a_refused_request_fails_the_command(shell: SFTPShell) -> None:
    async def refused() -> None:
        raise NoSuchFile(2, "gone")

    with pytest.raises(CommandFailed) as caught:
        await shell.attempt("remote mkdir", refused())
    assert str(caught.value) == "remote mkdir: No such file or directory"


async def test_an_error_that_ended_the_session_is_not_the_command_s(shell: SFTPShell) -> None:
    async def lost() -> None:
        raise ConnectionLost("the line is cut")

    with pytest.raises(ConnectionLost, match="the line is cut"):
        await shell.attempt("remote mkdir", lost())
