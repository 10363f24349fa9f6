"""``nacre kill``: end connections of the running server."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from nacre.cli.control.asking import server_of
from nacre.cli.help.grouped import Grouped
from nacre.cli.manage.options import CONTEXT, state_option

SOME = 3
"""The exit status where a part of what was named was ended."""


@click.command("kill", cls=Grouped, context_settings=CONTEXT)
@click.argument("ids", metavar="[ID...]", nargs=-1)
@state_option
@click.option("--user", metavar="NAME", help="End all connections of this user, too.")
@click.option("--reason", metavar="TEXT", help="What the clients are told.")
def command(ids: tuple[str, ...], state: Path | None, user: str | None, reason: str | None) -> None:
    """End connections of the running server, or of others with the same store.

    Their clients get a message with the reason, and their sessions end. `nacre who` shows the IDs.
    A user who was ended may log in again: `nacre user set NAME --disable` prevents it.
    """
    from nacre.daemon.control.requests import USUAL_REASON, Kill

    if not ids and user is None:
        raise click.UsageError("give ID, or --user NAME")
    with server_of(state) as caller:
        asked = Kill(ids=ids, user=user, reason=USUAL_REASON if reason is None else reason)
        ended = list(caller.ask("kill", asked))
    for one in ended:
        click.echo(f"ended {one.id} {one.user or '-'}")
    missing = sorted(set(ids) - {one.id for one in ended})
    for number in missing:
        click.echo(f"there is no connection {number}: see nacre who --all", err=True)
    if user is not None and not any(one.user == user for one in ended):
        missing.append(user)
        click.echo(f"{user} has no connection", err=True)
    if missing:
        sys.exit(SOME if ended else 1)
