"""``nacre keygen`` in this process, with what is typed and printed as text."""

from __future__ import annotations

import io
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nacre.cli.keygen.command import run


class Done:
    """A call that has ended."""

    def __init__(self, exit_code: int, stdout: str, stderr: str) -> None:
        self.exit_code = exit_code
        self.stdout = stdout
        self.stderr = stderr

    @property
    def output(self) -> str:
        """What it printed on both streams."""
        return self.stdout + self.stderr


Keygen = Callable[..., Done]
"""Takes the words of a command line, and ``typed``: the text of standard input."""


def keygen_without_terminal(monkeypatch: pytest.MonkeyPatch) -> Keygen:
    def call(*words: str, typed: str = "") -> Done:
        streams = {
            name: io.TextIOWrapper(io.BytesIO(), "utf-8", "surrogateescape", "\n")
            for name in ("stdin", "stdout", "stderr")
        }
        streams["stdin"].buffer.write(typed.encode())
        streams["stdin"].seek(0)
        with monkeypatch.context() as patch:
            for name, stream in streams.items():
                patch.setattr(sys, name, stream)
            status = run("nacre keygen", words)
        for stream in streams.values():
            stream.seek(0)
        return Done(status, streams["stdout"].read(), streams["stderr"].read())

    return call


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
