"""``nacre join``: type at the terminal of a session of the running server."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from nacre.cli.control.asking import channel_option, connections, quiet_option, server_of
from nacre.cli.help.grouped import Grouped
from nacre.cli.manage.options import CONTEXT, state_option


@click.command("join", cls=Grouped, context_settings=CONTEXT)
@click.argument("number", metavar="ID")
@state_option
@channel_option
@quiet_option
def command(number: str, state: Path | None, channel: int | None, quiet: bool) -> None:
    """Type at the terminal of a session of the running server, beside its user.

    ID is the number of its connection, which `nacre who` shows. The last screens come first. What
    is typed goes to the session's program. ~. at the beginning of a line leaves, ~~ types a tilde.
    The session's user is told who has joined. The exit status is that of the session, 255 if it was
    ended by a signal or broke off, 0 for who leaves, and 1 if it can't be joined.
    """
    from nacre.cli.control.live import chosen, show
    from nacre.daemon.watching.frames import WatchOrder

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("a terminal is needed: nacre watch shows a session anywhere")

    with server_of(state) as caller:
        found = chosen(connections(caller, everyone=True), number, channel)
        order = WatchOrder(id=number, channel=found, joins=True, quiet=quiet)
        status = show(caller, order)
    sys.exit(status)
