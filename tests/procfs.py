"""Processes that servers have started, as /proc shows them. One may end while it is looked at."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def children(pid: int) -> list[int]:
    """Return the processes that a process has started, by any of its threads."""
    found: list[int] = []
    with suppress(OSError):
        for one in Path(f"/proc/{pid}/task").glob("*/children"):
            with suppress(OSError):
                found += map(int, one.read_text().split())
    return found


def below(pid: int) -> list[int]:
    """Return the processes that a process has started, and those that they have."""
    return [one for child in children(pid) for one in (child, *below(child))]


def name_of(pid: int) -> str:
    """Return what a process calls itself, and nothing of one that has ended.

    A new process has the name of the one that started it until it has named itself.
    """
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
