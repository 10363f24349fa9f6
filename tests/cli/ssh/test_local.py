"""What happens on this machine after the login."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from nacre.cli.ssh.local import Leave, in_background, run_local_command
from nacre.client.target import Target
from nacre.errors import ConfigurationError
from nacre.value import replace

TARGET = Target("name", "host", 22, "alice")


def in_child(run: Callable[[Leave], int]) -> int:
    """Return the status of a process that runs a program in the background."""
    pid = os.fork()
    if pid == 0:
        status = 99
        try:
            status = in_background(run)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_the_status_of_a_program_that_does_not_leave() -> None:
    assert in_child(lambda leave: 7) == 7


def test_a_program_that_dies_is_an_error() -> None:
    def die(leave: Leave) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    assert in_child(die) == 255


def test_a_program_that_leaves_goes_on_in_a_session_of_its_own() -> None:
    reading, writing = os.pipe()
    go, release = os.pipe()

    def run(leave: Leave) -> int:
        leave()
        os.read(go, 1)
        os.write(writing, b"own" if os.getsid(0) == os.getpid() else b"not")
        return 7

    assert in_child(run) == 0
    os.write(release, b"\0")
    assert os.read(reading, 3) == b"own"
    for descriptor in (reading, writing, go, release):
        os.close(descriptor)


@pytest.mark.parametrize(
    "changed", [{"user": "a;touch ran"}, {"name": "$(touch ran)"}, {"host": "h\ntouch ran"}]
)
async def test_no_name_runs_a_local_command(
    changed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="can't be the name of a"):
        await run_local_command("true %r %n %h", replace(TARGET, **changed))
    await run_local_command("true", replace(TARGET, **changed))
    assert not (tmp_path / "ran").exists()


async def test_a_local_command_with_tokens(tmp_path: Path) -> None:
    await run_local_command(f"echo %n %h %r %T %% > {tmp_path}/out; exit 3", TARGET)
    assert (tmp_path / "out").read_text() == "name host alice NONE %\n"
    await run_local_command(f"echo %T > {tmp_path}/out", TARGET, "tun3")
    assert (tmp_path / "out").read_text() == "tun3\n"
    with pytest.raises(ConfigurationError, match="%x is not possible here"):
        await run_local_command("%x", TARGET)
