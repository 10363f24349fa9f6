"""A program is started in its directory, which a thread enters before."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nacre.daemon.processes.child import Program
from nacre.daemon.processes.start import _keep_descriptors, start
from nacre.daemon.processes.template import LIMITS
from nacre.server.admission.threads import FairThreads

PROGRAM = Program(path="/bin/pwd", arguments=["pwd"], environment={}, directory="/")


def printed(directory: Path) -> tuple[str, str]:
    """Return where a program was started, and where this thread was afterwards."""
    reading, writing = os.pipe()
    null = os.open(os.devnull, os.O_RDWR)
    try:
        run = replace(PROGRAM, directory=str(directory))
        process = start(run, null, writing, null, terminal=False)
    finally:
        os.close(writing)
        os.close(null)
        with open(reading) as file:
            text = file.read()
    process.wait()
    return text.strip(), os.getcwd()


@pytest.mark.parametrize("forbidden", [False, True], ids=["by the thread", "by the child"])
async def test_a_thread_enters_the_directory_and_this_process_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forbidden: bool
) -> None:
    entered = list[str]()
    chdir = os.chdir

    def note(path: str) -> None:
        entered.append(path)
        chdir(path)

    monkeypatch.setattr(os, "chdir", note)
    if forbidden:
        library: Any = SimpleNamespace(unshare=lambda flags: -1)
        monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    threads, before = FairThreads(1), os.getcwd()
    places = [await threads.run(b"", partial(printed, tmp_path)) for _ in range(2)]
    assert places == [(str(tmp_path), before)] * 2
    assert entered == ([] if forbidden else [str(tmp_path)] * 2)
    threads.close()


def test_the_main_thread_enters_no_directory(tmp_path: Path) -> None:
    assert printed(tmp_path) == (str(tmp_path), os.getcwd())


async def test_a_directory_that_can_not_be_entered_is_named(tmp_path: Path) -> None:
    threads = FairThreads(1)
    for _ in range(2):
        with pytest.raises(FileNotFoundError, match="missing"):
            await threads.run(b"", partial(printed, tmp_path / "missing"))
    assert await threads.run(b"", os.getcwd) == os.getcwd()
    threads.close()


def at_terminal(command: str, typed: bytes = b"") -> str:
    """Return what a command prints at a terminal.

    :param typed: what is typed there when it has started.
    """
    master, slave = os.openpty()
    run = replace(PROGRAM, path="/bin/sh", arguments=["sh", "-c", command])
    try:
        process = start(run, slave, slave, slave, terminal=True)
    finally:
        os.close(slave)
    os.write(master, typed)
    process.wait()
    with open(master, "rb") as file:
        return file.read1().decode().replace("\r", "")


async def test_a_program_at_a_terminal_is_no_fork_of_this_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    show = "tty </dev/tty; ps -o tty= -p $$; grep SigIgn /proc/self/status"
    threads = FairThreads(1)
    printed = await threads.run(b"", partial(at_terminal, show))
    threads.close()
    place, shown, ignored = printed.splitlines()
    assert place == "/dev/tty"
    assert shown.startswith("pts/")
    # Python ignores both.
    pythons = (1 << signal.SIGPIPE - 1) | (1 << signal.SIGXFSZ - 1)
    assert int(ignored.split()[1], 16) & pythons == 0


async def test_a_program_at_a_terminal_has_no_descriptors_of_this_process() -> None:
    # As what has started a server may leave it some.
    _keep_descriptors.cache_clear()
    kept = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(kept, True)
    threads = FairThreads(1)
    printed = await threads.run(b"", partial(at_terminal, "echo /proc/$$/fd/*"))
    threads.close()
    os.close(kept)
    numbers = {int(Path(path).name) for path in printed.split()}
    assert kept not in numbers
    assert {0, 1, 2} <= numbers


def test_a_process_with_many_descriptors_and_few_low_numbers_starts_programs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Those numbers are enough for the program's streams, and not for what its start opens."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = 200 + 4 * max(map(int, os.listdir("/proc/self/fd")))
    monkeypatch.setitem(LIMITS, "RLIMIT_NOFILE", (soft, before[1]))
    kept = [os.open(os.devnull, os.O_RDONLY) for _ in range(soft)]
    try:
        for number in [kept.pop(0) for _ in range(4)]:  # printed() has three while it starts it
            os.close(number)
        assert printed(tmp_path)[0] == str(tmp_path)
    finally:
        for number in kept:
            os.close(number)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


@pytest.mark.parametrize("many", [False, True], ids=["at once", "right after"])
async def test_a_program_has_the_limits_of_sessions_and_this_process_its_own(
    monkeypatch: pytest.MonkeyPatch, many: bool
) -> None:
    """With many descriptors the limit of this process can't be lowered meanwhile."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = 200 + 4 * max(map(int, os.listdir("/proc/self/fd")))
    kept = [os.open(os.devnull, os.O_RDONLY) for _ in range(soft)] if many else []
    monkeypatch.setitem(LIMITS, "RLIMIT_NOFILE", (soft, before[1]))
    threads, later = FairThreads(1), list[int]()
    prlimit = resource.prlimit

    def note(pid: int, kind: int, limits: tuple[int, int]) -> Any:
        later.append(pid)
        return prlimit(pid, kind, limits)

    monkeypatch.setattr(resource, "prlimit", note)
    try:
        # The program waits until its terminal has a line, by when the limit is set.
        shown = await threads.run(b"", partial(at_terminal, "read x; ulimit -n", typed=b"go\n"))
    finally:
        for number in kept:
            os.close(number)
        threads.close()
    assert shown.splitlines()[-1] == str(soft)
    assert len(later) == many
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
