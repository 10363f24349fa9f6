"""Memory of a long-running server: its secrets stay in it, and what a login has used goes back."""

from __future__ import annotations

import resource
from contextlib import suppress

from nacre.crypto.secrecy import hide_memory
from nacre.limits import MIB

_CURRENT, _FUTURE, _ON_FAULT = 1, 2, 4
"""Flags of mlockall(2) on Linux: what is mapped, what will be, and pages once they are used."""

_MAY_LOCK = 1 << 14
"""CAP_IPC_LOCK."""

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
    import ctypes  # takes a millisecond, which a process for one session need not spend

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


def lock_memory() -> None:
    """Keep this process's memory from being swapped to a disk, where the system allows it.

    That is without a limit (``ulimit -l``), or with the capability CAP_IPC_LOCK. Elsewhere nothing
    is done: under a limit later allocations would fail, and end the process.
    """
    import ctypes

    with suppress(OSError, AttributeError, ValueError):
        limit, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
        if limit == resource.RLIM_INFINITY or _capabilities() & _MAY_LOCK:
            ctypes.CDLL(None).mlockall(_CURRENT | _FUTURE | _ON_FAULT)


def _capabilities() -> int:
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        found = next((line for line in file if line.startswith("CapEff:")), "CapEff: 0")
    return int(found.split()[1], 16)
