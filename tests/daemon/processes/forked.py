"""Processes that a template forks, with pipes, for the tests of several files."""

from __future__ import annotations

import os
import select
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import pytest

from nacre.daemon.processes import template as template_module
from nacre.daemon.processes.child import Program
from nacre.daemon.processes.kinds.file_process import FileRoot, request
from nacre.daemon.processes.kinds.launcher import UMASK, Steps
from nacre.daemon.processes.start import _launched
from nacre.daemon.processes.template import Kind, Template

OWN = os.geteuid(), os.getegid(), tuple(os.getgroups()), UMASK

AT_END = """
import os, sys
from functools import partial
def at_end(work):
    leave = os._exit
    def ended(status):
        try:
            work()
            sys.stderr.flush()
        finally:
            leave(status)
    os._exit = ended
"""
"""``at_end(work)`` calls ``work`` at the end of each process that is forked."""


def with_setup(monkeypatch: pytest.MonkeyPatch, setup: str) -> None:
    """Have the next template run lines of Python before it forks."""
    plain = template_module._code

    def changed(more: Mapping[Kind, str]) -> str:
        before, _, call = plain(more).partition("; from ")
        return f"{before}\n{AT_END}\n{setup}\nfrom {call}"

    monkeypatch.setattr(template_module, "_code", changed)


class Piped:
    """A forked process, and this end of its standard streams and of its link."""

    def __init__(
        self, template: Template, kind: Kind, given: Mapping[str, object], *more: int
    ) -> None:
        reading, writing = os.pipe(), [os.pipe(), os.pipe()]
        streams = reading[0], writing[0][1], writing[1][1]
        self.stdin: BinaryIO = os.fdopen(reading[1], "wb")
        self.stdout: BinaryIO = os.fdopen(writing[0][0], "rb")
        self.stderr: BinaryIO = os.fdopen(writing[1][0], "rb")
        try:
            self._forked = template.fork(kind, given, streams, *more)
        except BaseException:
            for stream in (self.stdin, self.stdout, self.stderr):
                stream.close()
            raise
        finally:
            for one in streams:
                os.close(one)
        self.pid, self.link = self._forked.pid, self._forked.link
        self.returncode: int | None = None

    def wait(self, seconds: float) -> int:
        """Return the status, or the negative number of the signal; kill it when time is up."""
        if self.returncode is None:
            watched = os.pidfd_open(self.pid)
            ended = select.select([watched], [], [], seconds)[0]
            os.close(watched)
            if not ended:
                self._forked.kill()
            _, status = os.waitpid(self.pid, 0)
            self.returncode = os.waitstatus_to_exitcode(status)
            assert ended, "the process did not end"
        return self.returncode

    def communicate(self, timeout: float) -> tuple[bytes, bytes]:
        """Close its input, and return what is left of both outputs, which must be little."""
        try:
            self.stdin.close()
            self.wait(timeout)
            return self.stdout.read(), self.stderr.read()
        finally:
            self._close()

    def end(self) -> None:
        """Close its input, and wait until it has ended."""
        try:
            self.stdin.close()
            self.wait(30)
        finally:
            self._close()

    def _close(self) -> None:
        self.link.close()
        for stream in (self.stdin, self.stdout, self.stderr):
            stream.close()


def files(rights: tuple[int, int, tuple[int, ...], int] = OWN) -> dict[str, object]:
    return request(FileRoot(root=None, home="/", user="alice"), None, rights, "")


def sh(command: str) -> Mapping[str, object]:
    """Return what the process of a program with steps is to do; it may do none."""
    run = Program(path="/bin/sh", arguments=["sh", "-c", command], environment={}, directory="/")
    return _launched(run, Steps(), terminal=False)


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: rest.strip() for name, _, rest in (line.partition(":") for line in lines)}


def ask_for_version(process: Piped) -> None:
    """Return when the process serves: INIT of version 3 has its answer."""
    process.stdin.write(bytes([0, 0, 0, 5, 1, 0, 0, 0, 3]))
    process.stdin.flush()
    assert os.read(process.stdout.fileno(), 5)[4] == 2


def template_of(template: Template) -> int:
    assert template._running is not None
    return template._running.pid


def children() -> set[int]:
    """Return the children of all threads of this process."""
    lists = [path.read_text().split() for path in Path("/proc/self/task").glob("*/children")]
    return {int(number) for numbers in lists for number in numbers}


def spare_of(template: Template) -> int:
    """Wait until the template has a spare."""
    for _ in range(2000):
        for pid in children():
            if status(pid)["Name"] == "nacre-spare" and os.getpgid(pid) == template_of(template):
                return pid
        select.select([], [], [], 0.01)
    raise TimeoutError
