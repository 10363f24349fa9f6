"""Commands for this machine and the program itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from nacre.cli.sftp import local
from nacre.cli.sftp.lines import BadLine
from nacre.cli.sftp.shell import CommandFailed, SFTPShell

NONE: frozenset[str] = frozenset()


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


async def test_the_local_directory(
    shell: SFTPShell,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await local.lmkdir(shell, NONE, ["d"])
    await local.lcd(shell, NONE, ["d"])
    await local.lpwd(shell, NONE, [])
    assert capsys.readouterr().out == f"Local working directory: {here}/d\n"
    monkeypatch.setenv("HOME", str(here))
    await local.lcd(shell, NONE, [])
    assert Path.cwd() == here
    with pytest.raises(CommandFailed) as caught:
        await local.lcd(shell, NONE, ["nosuch"])
    assert str(caught.value) == (
        'Couldn\'t change local directory to "nosuch": No such file or directory'
    )
    with pytest.raises(CommandFailed, match='create local directory "d": File exists'):
        await local.lmkdir(shell, NONE, ["d"])


@pytest.mark.usefixtures("umask")
async def test_the_mask_of_new_files(
    shell: SFTPShell, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await local.lumask(shell, NONE, ["077"])
    (here / "f").write_text("")
    assert (here / "f").stat().st_mode & 0o777 == 0o600
    assert capsys.readouterr().out == "Local umask: 077\n"
    with pytest.raises(BadLine, match="numeric argument to the lumask command"):
        await local.lumask(shell, NONE, ["1000"])


async def test_the_meter_is_turned_on_and_off(
    shell: SFTPShell, capsys: pytest.CaptureFixture[str]
) -> None:
    await local.progress(shell, NONE, [])
    assert shell.meter.enabled
    await local.progress(shell, NONE, [])
    assert not shell.meter.enabled
    assert capsys.readouterr().out == "Progress meter enabled\nProgress meter disabled\n"


def test_commands_of_the_local_shell(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHELL", "/bin/sh")
    local.run_local("echo one two")
    assert capfd.readouterr().out == "one two\n"
    with pytest.raises(CommandFailed, match="Shell exited with status 7"):
        local.run_local("exit 7")
