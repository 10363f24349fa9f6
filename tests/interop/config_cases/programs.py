"""The two programs of a differential test: OpenSSH's as a process, nacre's in this one too."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest import mock

from interop.config_cases.case import Outcome, Version, settings_of
from interop.programs import environment, require

SECONDS = 20.0
"""What one program may take."""

Run = Callable[[str, Sequence[str]], int]


def outcome(status: int, output: bytes, errors: bytes) -> Outcome:
    """Return what a program printed; a failure has no settings."""
    text = output.decode(errors="surrogateescape")
    return Outcome(
        status, settings_of(text) if status == 0 else {}, errors.decode(errors="replace")
    )


def run_program(command: Sequence[str | Path], folder: Path) -> Outcome:
    """Run a program in a folder, without a terminal and an agent."""
    done = subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=SECONDS,
        cwd=folder,
        env=environment(),
        check=False,
    )
    return outcome(done.returncode, done.stdout, done.stderr)


def run_here(run: Run, program: str, words: Sequence[str], folder: Path) -> Outcome:
    """Run nacre's function of a program in this process, in the same surroundings."""
    output, errors = io.BytesIO(), io.BytesIO()
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.chdir(folder))
        stack.enter_context(mock.patch.dict(os.environ, environment(), clear=True))
        for stream, name in ((output, "stdout"), (errors, "stderr")):
            text = io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape")
            stack.enter_context(mock.patch.object(sys, name, text))
            stack.callback(text.detach)
            stack.callback(text.flush)
        try:
            status = run(program, words)
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return outcome(status, output.getvalue(), errors.getvalue())


@functools.cache
def version_of(program: str) -> Version:
    """Return the version of an installed OpenSSH: ``(9, 2)``."""
    done = subprocess.run([require(program), "-V"], capture_output=True, text=True, check=False)
    found = re.search(r"OpenSSH_(\d+)\.(\d+)", done.stderr + done.stdout)
    assert found, done
    return int(found[1]), int(found[2])
