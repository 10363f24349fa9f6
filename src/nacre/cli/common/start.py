"""How the programs that people wait for start, and how they end."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn


def start(run: Callable[[str, Sequence[str]], int], program: str, words: Sequence[str]) -> NoReturn:
    """Run a program and end with its exit status; ``run`` says when all is :func:`loaded`."""
    # What loads is no garbage: looking for some would take a tenth of the time until the first
    # byte is sent.
    gc.disable()
    status = run(program, words)
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except OSError:
        sys.exit(status)
    # All is closed and written. The interpreter would now take its modules apart, object by
    # object; the system gives their memory back at once.
    os._exit(status)


def loaded() -> None:
    """Look for garbage from now on, but not among what was loaded."""
    gc.freeze()
    gc.enable()
