"""``nacre who``: the connections of the running server."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from nacre.cli.control.asking import connections, server_of
from nacre.cli.control.shown import NAMES, row
from nacre.cli.help.grouped import Grouped
from nacre.cli.manage.options import CONTEXT, json_option, state_option
from nacre.cli.user.listing import show


@click.command("who", cls=Grouped, context_settings=CONTEXT)
@state_option
@click.option("--all", "everyone", is_flag=True, help="Show clients that log in, too.")
@json_option
def command(state: Path | None, everyone: bool, as_json: bool) -> None:
    """List the connections of the running server.

    Each has an ID, which `nacre kill` takes and the log has as the numbers of the gate or the
    worker and of the connection. Processes are those that serve; a connection at rest has none.
    Sizes and times of a session come from the user's own process. Where several servers share a
    store, the connections of all of them are listed, each of another node with its name in the ID.
    """
    with server_of(state) as caller:
        found = connections(caller, everyone=everyone)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], indent=2))
    elif any(one.node for one in found):
        show(("node", *NAMES), ([one.node, *row(one)] for one in found), False)
    else:
        show(NAMES, map(row, found), False)
