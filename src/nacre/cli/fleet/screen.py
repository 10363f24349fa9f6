"""What a run shows while it goes on: how many are done, and which ones take long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nacre.fleet.verdicts import ENDINGS, FleetReport, FleetVerdict
from nacre.wire.text import safe

if TYPE_CHECKING:
    from rich.text import Text

_SLOWEST = 3
"""Hosts that are named as those that take long."""


class FleetScreen:
    """Watches a run.

    :param total: how many hosts there are.
    :param each: is told of each verdict.
    :ivar report: the verdicts so far.
    """

    def __init__(self, total: int, each: Callable[[FleetVerdict], None]) -> None:
        self.report = FleetReport()
        self._total = total
        self._each = each
        self._running: dict[str, float] = {}

    def started(self, host: str) -> None:
        """Note that an attempt at a host begins."""
        self._running[host] = time.monotonic()

    def ended(self, verdict: FleetVerdict) -> None:
        """Note a host's verdict."""
        self._running.pop(verdict.host, None)
        self.report.add(verdict)
        self._each(verdict)

    def line(self) -> str:
        """Return the state of the run in a line."""
        now, counts = time.monotonic(), self.report.counts()
        parts = [f"{len(self.report.verdicts)}/{self._total} done"]
        parts += [f"{counts[ending]} {ending}" for ending in ENDINGS if counts[ending]]
        # A copy at once: another thread draws.
        running = sorted(self._running.copy().items(), key=lambda one: one[1])
        if running:
            slowest = ", ".join(
                f"{safe(name, 40)} {now - since:.0f} s" for name, since in running[:_SLOWEST]
            )
            parts.append(f"{len(running)} running (slowest: {slowest})")
        return ", ".join(parts)

    def _text(self) -> Text:
        from rich.text import Text

        return Text(self.line(), no_wrap=True, overflow="ellipsis")

    @contextmanager
    def shown(self, *, live: bool) -> Iterator[None]:
        """Show the line on standard error meanwhile, if it is a terminal.

        :param live: whether to show it at all.
        """
        from rich.console import Console

        console = Console(stderr=True)
        if not live or not console.is_terminal:
            yield
            return
        from rich.live import Live

        with Live(get_renderable=self._text, console=console, transient=True):
            yield
