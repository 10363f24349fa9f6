"""``nacre top``: a live table of the connections of the running server."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nacre.cli.control.asking import connections, server_of
from nacre.cli.control.shown import doing, size, span
from nacre.cli.help.grouped import Grouped
from nacre.cli.manage.options import CONTEXT, state_option
from nacre.cli.user.listing import show

if TYPE_CHECKING:
    from rich.table import Table

    from nacre.daemon.control.caller import ControlCaller
    from nacre.daemon.control.values import Connected

NAMES = ("id", "user", "from", "process", "idle", "in/s", "out/s", "in", "out", "sessions")

_RIGHT = ("idle", "in/s", "out/s", "in", "out")

_MOST_ROWS = 200
"""Connections that the live table has; those with the most traffic come first."""

_INTERVAL = 1.0
"""Seconds of traffic that --once looks at."""


class Sample:
    """What the connections had received and sent at one moment.

    :ivar found: the connections.
    """

    def __init__(self, found: Sequence[Connected]) -> None:
        self.found = found
        self._at = time.monotonic()
        self._counts = {
            one.id: (one.details.received, one.details.sent)
            for one in found
            if one.details is not None
            and one.details.received is not None
            and one.details.sent is not None
        }

    def rates(self, before: Sample) -> Mapping[str, tuple[float, float]]:
        """Return bytes per second in and out, of the connections that both samples have."""
        seconds = max(self._at - before._at, 0.001)
        return {
            name: (max(0, now[0] - then[0]) / seconds, max(0, now[1] - then[1]) / seconds)
            for name, now in self._counts.items()
            if (then := before._counts.get(name)) is not None
        }

    def rows(self, before: Sample) -> list[Sequence[str]]:
        """Return the connections as cells, those with the most traffic first."""
        rates = self.rates(before)
        nothing = (0.0, 0.0)
        ordered = sorted(self.found, key=lambda one: -sum(rates.get(one.id, nothing)))
        return [_row(one, rates.get(one.id)) for one in ordered]

    def summary(self) -> str:
        """Return how many connections, sessions and users there are."""
        sessions = sum(0 if one.details is None else one.details.sessions for one in self.found)
        users = len({one.user for one in self.found if one.state != "login"})
        return f"{len(self.found)} connections, {sessions} sessions, {users} users"


def _row(one: Connected, rate: tuple[float, float] | None) -> Sequence[str]:
    details = one.details
    total = (None, None) if details is None else (details.received, details.sent)
    return (
        one.id,
        one.user or "-",
        one.peer,
        "-" if one.process is None else str(one.process),
        "-" if details is None else span(details.idle),
        *("-" if rate is None else size(number) for number in rate or (0.0, 0.0)),
        *("-" if number is None else size(number) for number in total),
        doing(one),
    )


@click.command("top", cls=Grouped, context_settings=CONTEXT)
@state_option
@click.option("--once", is_flag=True, help="Print it once, as plain text, after a second.")
@click.option(
    "--every",
    type=click.FloatRange(0.5, 3600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="The time between two looks.",
)
def command(state: Path | None, once: bool, every: float) -> None:
    """Show the connections of the running server and their traffic, until Ctrl-C.

    Bytes are those of the TCP connection, as the system counts them. A connection at rest has
    none to show.
    """
    with server_of(state) as caller:
        if once:
            before = Sample(connections(caller, everyone=True))
            time.sleep(_INTERVAL)
            now = Sample(connections(caller, everyone=True))
            click.echo(now.summary())
            show(NAMES, now.rows(before), False)
            return
        with suppress(KeyboardInterrupt):
            _live(caller, every)


def _live(caller: ControlCaller, every: float) -> None:
    from rich.live import Live

    before = Sample(connections(caller, everyone=True))
    with Live(_table(before, before), auto_refresh=False, screen=True) as live:
        while True:
            now = Sample(connections(caller, everyone=True))
            live.update(_table(now, before), refresh=True)
            before = now
            time.sleep(every)


def _table(now: Sample, before: Sample) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(now.summary()), box=None, expand=True)
    for name in NAMES:
        table.add_column(name, justify="right" if name in _RIGHT else "left", no_wrap=True)
    for cells in now.rows(before)[:_MOST_ROWS]:
        # What a client has chosen is no markup.
        table.add_row(*map(Text, cells))
    return table
