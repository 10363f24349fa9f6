"""A terminal with a shell on it that has job control, to stop a program and to continue it."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

DEADLINE = 30

SHELL = """
import os, signal, sys, termios

os.login_tty(0)
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
signal.signal(signal.SIGTSTP, signal.SIG_IGN)
mine = termios.tcgetattr(0)
job = os.fork()
if not job:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    os.execv(sys.argv[1], sys.argv[1:])
while True:
    _, status = os.waitpid(job, os.WUNTRACED)
    os.tcsetpgrp(0, os.getpid())
    left = termios.tcgetattr(0)
    same = "as before" if left == mine else "changed"
    if not os.WIFSTOPPED(status):
        print(f"[ended {os.waitstatus_to_exitcode(status)}, {same}]", flush=True)
        break
    termios.tcsetattr(0, termios.TCSADRAIN, mine)
    print(f"[stopped, {same}]", flush=True)
    input()
    # As bash does: the job gets back the modes that it had when it stopped.
    termios.tcsetattr(0, termios.TCSADRAIN, left)
    os.tcsetpgrp(0, job)
    os.killpg(job, signal.SIGCONT)
"""


class Job:
    """A program in the foreground of a terminal.

    The shell prints ``[stopped, ...]`` and ``[ended STATUS, ...]``, and how the terminal's modes
    were then; a line that is typed after a stop continues the program.
    """

    def __init__(self, words: Sequence[str | Path], environment: Mapping[str, str]) -> None:
        self.master, slave = pty.openpty()
        self.slave = os.dup(slave)
        self.process = subprocess.Popen(
            [sys.executable, "-c", SHELL, *map(str, words)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
        )
        os.close(slave)
        self.seen = ""

    def until(self, pattern: str, again: Callable[[], object] = lambda: None) -> str:
        """Return what was shown up to a pattern, and forget it.

        :param again: called after each second in which nothing is shown. Python misses a signal
            that comes between its check for signals and a wait; the next one is noticed.
        """
        deadline = time.monotonic() + DEADLINE
        while not (found := re.search(pattern, self.seen)):
            assert time.monotonic() < deadline, f"{pattern!r} never came: {self.seen!r}"
            if select.select([self.master], [], [], 1)[0]:
                self.seen += os.read(self.master, 65536).decode()
            else:
                again()
        shown, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return shown

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def signal(self, number: int) -> None:
        """Send a signal to the program."""
        os.kill(os.tcgetpgrp(self.master), number)

    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.slave)[3] & termios.ECHO)

    def until_modes(self, fit: Callable[[list[Any]], bool]) -> None:
        """Wait until the terminal's attributes fit."""
        deadline = time.monotonic() + DEADLINE
        while not fit(termios.tcgetattr(self.slave)):
            assert time.monotonic() < deadline
            os.sched_yield()

    def close(self) -> None:
        self.process.kill()
        self.process.wait(30)
        os.close(self.master)
        os.close(self.slave)
