"""``nacre log``: follow the log of the running server."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click

from nacre.cli.control.asking import server_of
from nacre.cli.help.grouped import Grouped
from nacre.cli.manage.options import CONTEXT, json_lines_option, state_option
from nacre.wire.text import safe


@click.command("log", cls=Grouped, context_settings=CONTEXT)
@state_option
@click.option(
    "-f",
    "follow",
    is_flag=True,
    help="Follow it. Print each record from now on; what was logged before is where --log-to of "
    "nacre serve has put it.",
)
@click.option("--user", "users", multiple=True, metavar="NAME", help="Only this user's records.")
@click.option("--event", "events", multiple=True, metavar="EVENT", help="Only this event.")
@json_lines_option
def command(
    state: Path | None,
    follow: bool,
    users: tuple[str, ...],
    events: tuple[str, ...],
    as_json: bool,
) -> None:
    """Print what the running server logs, wherever its log goes.

    --user and --event may be repeated. What is printed is up to the server's LogLevel. A reader
    who is too slow loses records, and is told how many.
    """
    from nacre.daemon.control.requests import Follow
    from nacre.daemon.control.values import Lost
    from nacre.daemon.log.form import FORMS

    if not follow:
        raise click.UsageError(
            "give -f: what was logged before is where nacre serve --log-to puts it"
        )
    line = FORMS["json" if as_json else "text"]
    with server_of(state) as caller, suppress(KeyboardInterrupt):
        asked = Follow(users=users, events=events)
        for value in caller.ask("log", asked, endless=True):
            if isinstance(value, Lost):
                what = "records were lost: they came faster than they were read"
                click.echo(line({"event": "lost", "what": what, "lines": value.lines}))
            else:
                record = {safe(name, 64): one for name, one in value.record.items()}
                click.echo(line(record))
