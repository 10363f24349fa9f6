"""Memory of a long-running server: its secrets stay in it, and what a login has used goes back."""

from __future__ import annotations

import ctypes
import resource
from contextlib import suppress

from nacre.crypto.secrecy import hide_memory
from nacre.limits import MIB

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_BIG = 8 * MIB
_SPARE = 2 * MIB


def give_back_memory() -> None:
    """Set glibc's allocator to return large freed blocks to the system; elsewhere do nothing.

    By default glibc raises its threshold to the largest block that was freed, the 19 MiB of a
    password's hash, and each thread's arena then keeps such a block forever (mallopt(3)). One
    arena is enough: Python's lock lets only one thread allocate at a time.

    The few MiB that one turn of a transfer allocates and frees are kept: pages that went back to
    the system are cleared and faulted in again one by one.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _BIG)
        library.mallopt(_M_TRIM_THRESHOLD, _SPARE)
        library.mallopt(_M_ARENA_MAX, 1)


def keep_secrets() -> None:
    """Keep host keys and passwords from other processes of the account, and from core files."""
    hide_memory()
    with suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
