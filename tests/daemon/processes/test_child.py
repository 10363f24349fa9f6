"""A process and its group: how it ends, what is left, and whose rights it has."""

from __future__ import annotations

import asyncio
import os
import pwd
import resource
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nacre.daemon.processes import child as child_module
from nacre.daemon.processes import start as start_module
from nacre.daemon.processes.child import Child, Exit, ProcessCredentials, Program
from nacre.daemon.processes.processes import SIGNALS
from nacre.daemon.processes.template import LIMITS

pytestmark = pytest.mark.slow


def sh(command: str) -> Program:
    return Program(
        path="/bin/sh",
        arguments=["sh", "-c", command],
        environment={"PATH": os.environ["PATH"]},
        directory="/",
    )


@pytest.fixture
def null() -> Iterator[int]:
    descriptor = os.open(os.devnull, os.O_RDWR)
    yield descriptor
    os.close(descriptor)


def start(program: Program, null: int, stdout: int | None = None) -> Child:
    process = start_module.start(
        program, null, null if stdout is None else stdout, null, terminal=False
    )
    return Child(program, process)


async def exited(child: Child) -> Exit:
    async with asyncio.timeout(20):
        done = asyncio.Event()
        child.on_exit = done.set
        if child.how is None:
            await done.wait()
    assert child.how is not None
    return child.how


async def over(child: Child) -> None:
    child.end()
    async with asyncio.timeout(20):
        await child.gone


async def output(program: Program, null: int) -> bytes:
    """Return what a program prints, which must be less than a pipe holds."""
    reading, writing = os.pipe()
    child = start(program, null, writing)
    os.close(writing)
    await exited(child)
    with open(reading, "rb") as file:
        printed = file.read()
    await over(child)
    return printed


@pytest.mark.parametrize(
    ("command", "how"),
    [("exit 7", Exit(7)), ("kill -TERM $$", Exit(None, signal.SIGTERM, False))],
)
async def test_the_status_or_the_signal_is_known(command: str, how: Exit, null: int) -> None:
    child = start(sh(command), null)
    assert await exited(child) == how
    await over(child)


async def test_the_number_stays_taken_until_the_end(null: int) -> None:
    """A signal for the group must never reach another process."""
    child = start(sh("exit 0"), null)
    await exited(child)
    os.kill(child.pid, 0)  # the zombie
    await over(child)
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


async def test_the_end_hangs_up_the_group_with_its_stopped_processes(null: int) -> None:
    reading, writing = os.pipe()
    child = start(sh("sh -c 'kill -STOP $$' & echo; wait"), null, writing)
    os.close(writing)
    with open(reading, "rb") as file:
        assert await asyncio.to_thread(file.readline) == b"\n"
        await over(child)
        assert await asyncio.to_thread(file.read) == b""  # no process holds the pipe any more


async def test_a_process_that_ignores_the_hangup_is_killed(
    null: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "GRACE", 0.05)
    reading, writing = os.pipe()
    child = start(sh("trap '' HUP; echo; while :; do sleep 60; done"), null, writing)
    os.close(writing)
    with open(reading, "rb") as file:
        assert await asyncio.to_thread(file.readline) == b"\n"
        await over(child)
    assert child.how == Exit(None, signal.SIGKILL, False)


async def test_no_signal_is_sent_after_the_end(null: int, monkeypatch: pytest.MonkeyPatch) -> None:
    child = start(sh("exit 0"), null)
    await exited(child)
    await over(child)
    sent: list[object] = []
    monkeypatch.setattr(os, "killpg", lambda *about: sent.append(about))
    child.send_signal(signal.SIGTERM)
    child.end()
    child.kill()
    assert sent == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a set-user-ID program")
async def test_a_command_that_became_root_gets_no_signal_of_its_client(null: int) -> None:
    nobody, setpriv = pwd.getpwnam("nobody"), shutil.which("setpriv")
    assert setpriv is not None
    rights = ProcessCredentials(uid=nobody.pw_uid, gid=nobody.pw_gid, groups=())
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:  # others can't enter tmp_path
        os.chmod(directory, 0o755)
        becomes = shutil.copy(setpriv, directory)
        os.chmod(becomes, 0o4755)
        command = f"exec {becomes} --reuid 0 sh -c 'id -ru; exec sleep 60'"
        reading, writing = os.pipe()
        child = start(replace(sh(command), credentials=rights), null, writing)
        os.close(writing)
        with open(reading, "rb") as file:
            assert await asyncio.to_thread(file.readline) == b"0\n"
        for name in SIGNALS:
            child.send_signal(signal.Signals[f"SIG{name}"])
        async with asyncio.timeout(20):
            while child._unsent:  # noqa: ASYNC110 - until all senders have ended
                await asyncio.sleep(0.01)
        assert child.how is None
        await over(child)


async def test_without_a_pidfd_a_thread_waits(null: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(pid: int) -> int:
        raise OSError("not implemented")

    monkeypatch.setattr(os, "pidfd_open", missing)
    child = start(sh("exit 3"), null)
    assert await exited(child) == Exit(3)
    await over(child)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"path": "/no/such/shell"}, FileNotFoundError),
        ({"directory": "/no/such/directory"}, FileNotFoundError),
        ({"arguments": ["sh", "a\0b"]}, ValueError),
        ({"environment": {"A": "a\0b"}}, ValueError),
    ],
)
async def test_what_can_not_be_started_raises(
    changes: dict[str, Any], error: type[Exception], null: int
) -> None:
    with pytest.raises(error):
        start(replace(sh("exit 0"), **changes), null)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up rights")
async def test_rights_groups_and_umask_are_those_of_the_account(null: int, tmp_path: Path) -> None:
    rights = ProcessCredentials(uid=12345, gid=23456, groups=(23456, 34567))
    printed = await output(replace(sh("id -u; id -g; id -G; umask"), credentials=rights), null)
    uid, gid, groups, umask = printed.decode().splitlines()
    assert (uid, gid, set(groups.split()), umask) == (
        *("12345", "23456", {"23456", "34567"}),
        "0022",
    )


async def test_a_raised_limit_of_descriptors_stays_with_the_server(
    null: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setitem(LIMITS, "RLIMIT_NOFILE", (soft - 1, hard))
    # The limit is set after the start, so the shell waits for a signal before it looks.
    reading, writing = os.pipe()
    child = start(
        sh("trap 'ulimit -n; exit' TERM; echo; while :; do sleep 0.01; done"), null, writing
    )
    os.close(writing)
    with open(reading, "rb") as file:
        assert await asyncio.to_thread(file.readline) == b"\n"
        child.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(file.readline) == b"%d\n" % (soft - 1)
    await over(child)


async def test_a_process_that_can_not_be_watched_is_not_left(
    null: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(pid: int) -> int:
        raise OSError("no descriptors")

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(os, "pidfd_open", missing)
    monkeypatch.setattr(threading.Thread, "start", fail)
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before = children.read_text()
    with pytest.raises(OSError, match="can't start new thread"):
        start(sh("exec sleep 60"), null)
    assert children.read_text() == before
