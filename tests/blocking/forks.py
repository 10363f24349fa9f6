"""Work in a forked child, and what came of it."""

from __future__ import annotations

import os
import select
import signal
import warnings
from collections.abc import Callable

DEADLINE = 20.0


def in_child(work: Callable[[], object]) -> str:
    """Fork, do ``work`` in the child, and return what it returned or the name of what it raised."""
    reads, writes = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # this process has threads, on purpose
        pid = os.fork()
    if pid == 0:
        try:
            said = str(work())
        except BaseException as error:
            said = type(error).__name__
        os.write(writes, said.encode())
        os._exit(0)
    os.close(writes)
    try:
        if not select.select([reads], [], [], DEADLINE)[0]:
            os.kill(pid, signal.SIGKILL)
            return "the child hangs"
        return os.read(reads, 10_000).decode()
    finally:
        os.close(reads)
        os.waitpid(pid, 0)
