"""``nacre watch``: show a session of the running server."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from nacre.cli.control.asking import channel_option, connections, quiet_option, server_of
from nacre.cli.help.grouped import Grouped
from nacre.cli.manage.options import CONTEXT, state_option


@click.command("watch", cls=Grouped, context_settings=CONTEXT)
@click.argument("number", metavar="ID")
@state_option
@channel_option
@click.option(
    "--text",
    is_flag=True,
    help="Print plain text, without control sequences. For pipes and files.",
)
@quiet_option
def command(number: str, state: Path | None, channel: int | None, text: bool, quiet: bool) -> None:
    """Show a session of the running server in this terminal, while it runs.

    ID is the number of its connection, which `nacre who` shows. The last screens come first. Ctrl-C
    or q leaves. The session's user is told who watches. The exit status is that of the session, 255
    if it was ended by a signal or broke off, 0 for who leaves, and 1 if it can't be watched.
    """
    from nacre.cli.control.live import chosen, show
    from nacre.daemon.watching.frames import WatchOrder

    with server_of(state) as caller:
        found = chosen(connections(caller, everyone=True), number, channel)
        order = WatchOrder(id=number, channel=found, quiet=quiet)
        status = show(caller, order, text=text)
    sys.exit(status)
