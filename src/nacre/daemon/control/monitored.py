"""What a server and its monitoring know of each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from nacre.server.peer import Log


class Monitored(Protocol):
    """A server, as monitoring sees it."""

    def fault(self) -> str:
        """Return why no connections are taken, or ""."""

    def waiting(self) -> int:
        """Return how many connections log in now."""

    def banned(self) -> int:
        """Return how many networks are banned now."""

    def pids(self) -> dict[str, list[int]]:
        """Return the numbers of the processes, by what they are."""


class Monitoring(Protocol):
    """What counts, and tells monitoring."""

    def begin(self, server: Monitored, report: Log) -> None:
        """Tell monitoring from now on about this server."""

    def note(self, record: Mapping[str, object]) -> None:
        """Count what a record of the log tells."""

    def tell(self) -> None:
        """Tell at once how the server is."""

    def close(self) -> None:
        """Tell nothing more."""
