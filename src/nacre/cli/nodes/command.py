"""``nacre nodes``: the processes that serve with a store which several servers share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from nacre.cli.control.shown import span
from nacre.cli.help.grouped import Grouped
from nacre.cli.manage.options import CONTEXT, STORE, json_option, reported, store_option
from nacre.cli.user.listing import show, shown_time

if TYPE_CHECKING:
    from nacre.daemon.nodes.values import ServingNode

_FIELDS = ("name", "process", "version", "state", "began", "left", "connections")
_NAMES = ("node", "process", "version", "state", "since", "lease", "connections")

_SECONDS = 10.0
"""Seconds that the database has for an answer."""


@click.command("nodes", cls=Grouped, context_settings=CONTEXT)
@store_option
@json_option
@click.pass_context
@reported
def command(context: click.Context, as_json: bool) -> None:
    """List the servers that share a store.

    Each process that serves has a line, and a lease in the database, which it renews all the time.
    One that has ended without giving it up is shown as gone for ten minutes: its connections count
    no more. Of a node that is told to stop, the state is stopping.
    """
    text = context.meta.get(STORE)
    if text is None:
        raise click.UsageError("give the database that the servers share: --store URL")

    from nacre.daemon.store.postgres.store_url import store_url

    url = store_url(text)

    from nacre.daemon.nodes.tables import node_tables, nodes

    with node_tables(url, seconds=_SECONDS) as connection:
        found = nodes(connection)
    if as_json:
        show(_FIELDS, [[getattr(one, name) for name in _FIELDS] for one in found], True)
    else:
        show(_NAMES, map(_row, found), False)


def _row(one: ServingNode) -> Sequence[str]:
    lease = span(one.left) if one.left > 0 else f"ended {span(-one.left)} ago"
    return (
        one.name,
        str(one.process),
        one.version,
        one.state,
        shown_time(int(one.began)),
        lease,
        str(one.connections),
    )
