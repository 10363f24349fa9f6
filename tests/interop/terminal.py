"""A program at a terminal: what it prints is waited for, what it is told is typed."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from interop.programs import environment, require


class Terminal:
    """A program whose controlling terminal is ours."""

    def __init__(
        self, command: Sequence[str | Path], *, rows: int = 24, columns: int = 80, **env: str
    ) -> None:
        self._master, slave = pty.openpty()
        self.resize(rows, columns)
        self.shown = ""
        self._read_to = 0
        # setsid makes the terminal the controlling one: without it no SIGWINCH, no /dev/tty.
        self.process = subprocess.Popen(
            [require("setsid"), "--ctty", *(str(word) for word in command)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment(TERM="xterm", **env),
        )
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)
        os.close(self._master)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def expect(self, pattern: str, timeout: float = 60.0) -> re.Match[str]:
        """Wait until what was printed since the last match matches ``pattern``."""
        deadline = time.monotonic() + timeout
        while True:
            if match := re.compile(pattern).search(self.shown, self._read_to):
                self._read_to = match.end()
                return match
            assert self._read(deadline), f"{pattern!r} was never printed:\n{self.shown}"

    def expect_raw(self, timeout: float = 20.0) -> None:
        """Wait until the program has made the terminal raw."""
        deadline = time.monotonic() + timeout
        while termios.tcgetattr(self._master)[3] & termios.ICANON:
            assert time.monotonic() < deadline, "the terminal never became raw"
            time.sleep(0.005)

    def expect_size(self, rows: int, columns: int) -> None:
        """Ask a shell for its terminal's size until it is this one."""
        for _ in range(50):
            self.type("stty size\n")
            shown = self.expect(r"\b(\d+) (\d+)\r\n")
            if (int(shown[1]), int(shown[2])) == (rows, columns):
                return
        raise AssertionError(f"the size never became {rows} {columns}:\n{self.shown}")

    def wait(self, timeout: float = 20.0) -> int:
        """Read to the end, and return the exit status."""
        deadline = time.monotonic() + timeout
        while self._read(deadline):
            pass
        return self.process.wait(max(deadline - time.monotonic(), 1.0))

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(deadline - time.monotonic(), 0))
        try:
            data = os.read(self._master, 65536) if ready else b""
        except OSError:  # Linux: the last program that had the terminal closed it
            data = b""
        self.shown += data.decode(errors="replace")
        return bool(data)
