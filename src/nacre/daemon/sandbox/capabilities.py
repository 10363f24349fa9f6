"""Capabilities of this process (capabilities(7)): those that it does not need are given up."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable
from typing import Any

NUMBERS = {
    "CHOWN": 0,
    "DAC_OVERRIDE": 1,
    "DAC_READ_SEARCH": 2,
    "FOWNER": 3,
    "KILL": 5,
    "SETGID": 6,
    "SETUID": 7,
    "NET_BIND_SERVICE": 10,
    "IPC_LOCK": 14,
    "SYS_RESOURCE": 24,
}
"""Bits of the sets; a name is that of capabilities(7) without ``CAP_``."""

_VERSION = 0x20080522
"""_LINUX_CAPABILITY_VERSION_3: two words of 32 bits for each set."""


def keep(names: Iterable[str]) -> None:
    """Give up all capabilities but these, in this thread and in what it starts later.

    A program that this process executes as root has those of root again. Call it while there is
    one thread. On other systems than Linux this does nothing.

    :raises OSError: the kernel refuses.
    """
    if sys.platform != "linux":
        return
    import ctypes

    library: Any = ctypes.CDLL(None, use_errno=True)
    wanted = sum(1 << NUMBERS[name] for name in names)
    has = permitted() & wanted
    header = struct.pack("=Ii", _VERSION, 0)
    low, high = has & 0xFFFFFFFF, has >> 32
    # Effective, permitted and inheritable; then the upper halves.
    sets = struct.pack("=6I", low, low, 0, high, high, 0)
    if library.capset(header, sets) != 0:
        number = ctypes.get_errno()
        raise OSError(number, "the kernel does not take the capabilities")


def permitted() -> int:
    """Return the capabilities that this process may have, as bits."""
    with open("/proc/thread-self/status", encoding="ascii", errors="replace") as file:
        found = next((line for line in file if line.startswith("CapPrm:")), "CapPrm: 0")
    return int(found.split()[1], 16)
