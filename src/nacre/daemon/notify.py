"""What a server tells the manager of services that has started it (sd_notify(3)).

Without ``NOTIFY_SOCKET`` in the environment nothing is told to anybody.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from contextlib import suppress

READY = "READY=1"
STOPPING = "STOPPING=1"


def notify(*lines: str) -> None:
    """Send lines ``NAME=VALUE``; a manager that does not listen is ignored."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if path[:1] not in ("/", "@"):
        return
    address = f"\0{path[1:]}" if path[0] == "@" else path
    with (
        suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock,
    ):
        sock.sendto("\n".join(lines).encode(), address)


def notify_reloading() -> None:
    """Tell that the configuration is read again; :data:`READY` follows."""
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notify("RELOADING=1", f"MONOTONIC_USEC={now}")


def watchdog_seconds() -> float | None:
    """Return how often the manager wants to hear of this process, or None for never."""
    microseconds, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID")
    if not microseconds.isdecimal() or pid not in (None, str(os.getpid())):
        return None
    # Twice as often as it must be: sd_watchdog_enabled(3).
    return int(microseconds) / 2_000_000 or None


async def keep_notifying(seconds: float) -> None:
    """Tell every ``seconds`` that the loop turns, without end."""
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(seconds)
