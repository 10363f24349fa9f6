"""A server's memory: what a login took is given back when the login is over."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_BIG = 8 * 1024 * 1024
_SPARE = 2 * 1024 * 1024


def give_back_memory() -> None:
    """Tell the C library to keep no big block that was freed; where it is not glibc, do nothing.

    Left alone, glibc raises its limit to the largest block that was freed, the 19 MiB of a
    password's hash, and each thread's arena then keeps such a block for good (mallopt(3)).
    Several arenas would gain nothing: threads that allocate take turns under Python's lock.

    What one turn of a transfer takes and frees is kept, though: memory that goes back to the system
    comes again page by page, each of them cleared.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _BIG)
        library.mallopt(_M_TRIM_THRESHOLD, _SPARE)
        library.mallopt(_M_ARENA_MAX, 1)
