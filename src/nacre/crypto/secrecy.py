"""Keep the secrets in this process's memory from other processes and from core files.

Without this, a process of the same account may read the memory of one that holds keys, and so may a
user of SFTP who is served by this process and reaches ``/proc/self/mem``.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

_PR_SET_DUMPABLE = 4
_LAZY = 1  # RTLD_LAZY


def hide_memory() -> None:
    """Make this process and what it forks undumpable (prctl(2)); only on Linux this does anything.

    Only root can then trace it or read its memory, and no core file is written. A program that is
    executed is dumpable again.
    """
    if sys.platform != "linux":
        return
    with suppress(ImportError, AttributeError, OSError):
        # The part of ctypes in C alone: the whole takes ten times as long to load, and every
        # program calls this first.
        import _ctypes

        program: Any = None  # the library of this name is the program itself
        prctl = _ctypes.dlsym(_ctypes.dlopen(program, _LAZY), "prctl")
        _ctypes.call_cdeclfunction(prctl, (_PR_SET_DUMPABLE, 0, 0, 0, 0))
