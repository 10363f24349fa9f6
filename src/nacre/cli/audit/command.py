"""``nacre audit``: the events that ``nacre serve --audit`` keeps."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nacre.cli.help.grouped import GroupedGroup
from nacre.cli.manage.options import (
    CONTEXT,
    STORE,
    json_lines_option,
    note,
    print_each,
    reported,
    since_option,
    state_option,
    store_option,
    until_option,
)
from nacre.cli.manage.times import span
from nacre.daemon.audit.events import EVENTS, OUTCOMES

if TYPE_CHECKING:
    from nacre.daemon.audit.chain import Kept, Position
    from nacre.daemon.audit.search import Search
    from nacre.daemon.audit.table import AuditTable
    from nacre.daemon.nodes.events import NodeEvent
    from nacre.daemon.nodes.tables import DatabaseConnection

_SECONDS = 600.0
"""Seconds that the database has for a search."""

_LOOK_AGAIN = 0.5
"""Seconds between two looks at a table that is followed."""


@contextmanager
def _opened(state: Path | None) -> Iterator[AuditTable]:
    from nacre.daemon.audit.table import FILE, AuditTable
    from nacre.daemon.state import open_state

    table = AuditTable(open_state(state, create=False) / FILE, create=False)
    try:
        yield table
    finally:
        table.close()


@contextmanager
def _all_nodes(context: click.Context) -> Iterator[DatabaseConnection]:
    """Connect to the database that has the copies of all servers."""
    text = context.meta.get(STORE)
    if text is None:
        raise click.UsageError("--all-nodes needs the database that the servers share: --store URL")
    from nacre.daemon.store.postgres.store_url import store_url

    url = store_url(text)

    from nacre.daemon.nodes.tables import node_tables

    with node_tables(url, seconds=_SECONDS) as connection:
        yield connection


def _network(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
    try:
        return None if text is None else ip_network(text, strict=False)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no network: write for example 192.0.2.0/24 or 2001:db8::/32"
        ) from None


def _places(
    context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]
) -> tuple[Position, ...]:
    from nacre.daemon.audit.chain import Position

    try:
        return tuple(map(Position.of, texts))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


_FILTERS = (
    click.option("--user", metavar="NAME", help="The user, or the name of a refused login."),
    since_option("Only those that happened since then."),
    until_option,
    click.option("--event", type=click.Choice(sorted(EVENTS)), help="What has happened."),
    click.option(
        "--path",
        metavar="GLOB",
        help="A pattern for a path. Its * matches slashes, too; a new name counts as well.",
    ),
    click.option("--outcome", type=click.Choice(OUTCOMES), help="How it has ended."),
    click.option(
        "--peer",
        "network",
        metavar="NETWORK",
        callback=_network,
        help="The client's address, or its network.",
    ),
)


def _filters(function: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_FILTERS):
        function = option(function)
    return function


def _search(options: dict[str, Any]) -> Search:
    from nacre.daemon.audit.search import Search

    return Search(**options)


all_nodes_option = click.option(
    "--all-nodes",
    is_flag=True,
    help="Those of all servers that share a store, of which --store has copies. See --audit-store "
    "of `nacre serve`.",
)


@click.group("audit", cls=GroupedGroup, context_settings=CONTEXT, invoke_without_command=True)
@state_option
@store_option
@all_nodes_option
@_filters
@click.option(
    "--limit", type=click.IntRange(1), metavar="N", help="How many to print. The newest ones."
)
@json_lines_option
@click.option("-f", "--follow", is_flag=True, help="Go on with those to come.")
@click.pass_context
@reported
def command(
    context: click.Context,
    state: Path | None,
    all_nodes: bool,
    limit: int | None,
    as_json: bool,
    follow: bool,
    **options: Any,
) -> None:
    """Search the events that a server keeps with --audit, oldest first.

    The subcommands verify them, export them, and remove old ones. All may run beside the server.
    """
    if context.invoked_subcommand is not None:
        return
    from nacre.daemon.audit.search import as_object, as_record
    from nacre.daemon.log.form import line

    def show(events: Iterator[Kept]) -> None:
        print_each(events, as_object, lambda event: line(as_record(event)), as_json=as_json)

    search = _search(options)
    if all_nodes:
        if follow:
            raise click.UsageError("--follow is for the events of one server")
        _show_all(context, search, limit, as_json=as_json)
        return
    with _opened(state) as table:
        last = table.head().id
        show(search.events(table, limit))
        while follow:
            sys.stdout.flush()
            time.sleep(_LOOK_AGAIN)
            before, last = last, table.head().id
            if last != before:
                show(search.events(table, after=before))


def _show_all(context: click.Context, search: Search, limit: int | None, *, as_json: bool) -> None:
    """Print the events of all servers, each with its node."""
    from nacre.daemon.audit.search import as_object, as_record
    from nacre.daemon.log.form import line
    from nacre.daemon.nodes.events import find_events

    def whole(one: NodeEvent) -> dict[str, object]:
        return {"node": one.node, **as_object(one.event)}

    def text(one: NodeEvent) -> str:
        time, *others = as_record(one.event).items()
        return line(dict([time, ("node", one.node), *others]))

    with _all_nodes(context) as connection:
        print_each(find_events(connection, search, limit), whole, text, as_json=as_json)


@command.command("verify")
@state_option
@click.option(
    "--head",
    "heads",
    multiple=True,
    metavar="ID:HASH",
    callback=_places,
    help="A place in the chain that was noted elsewhere; may be repeated. `nacre audit head` and "
    "the server's log tell such.",
)
@reported
def _verify(state: Path | None, heads: tuple[Position, ...]) -> None:
    """Tell which events were changed or removed since they were kept."""
    from nacre.daemon.audit.chain import faults

    with _opened(state) as table:
        anchor, head, events = table.chain()
        found = 0
        for fault in faults(events, anchor, head, heads):
            click.echo(fault)
            found += 1
    if found:
        raise click.ClickException(f"the audit is not whole: {found} faults")
    click.echo(f"events {anchor.id + 1} to {head.id} follow on each other; head {head}")
    if not heads:
        click.echo("no --head was given: a chain that was made anew as a whole would pass, too")


@command.command("head")
@state_option
@reported
def _head(state: Path | None) -> None:
    """Print the end of the chain, to be noted elsewhere."""
    with _opened(state) as table:
        click.echo(table.head())


@command.command("export")
@state_option
@_filters
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv"]),
    default="jsonl",
    show_default=True,
    help="The form. Lines of JSON, or CSV with the fields as JSON in one column.",
)
@reported
def _export(state: Path | None, form: str, **options: Any) -> None:
    """Print events with all of their columns, oldest first."""
    from nacre.daemon.audit.chain import Kept
    from nacre.daemon.audit.search import as_object, shown_time

    rows = csv.writer(sys.stdout, lineterminator="\n")
    with _opened(state) as table:
        events = _search(options).events(table)
        if form == "jsonl":
            for event in events:
                click.echo(json.dumps(as_object(event)))
            return
        rows.writerow(Kept._fields)
        rows.writerows((event.id, shown_time(event.time), *event[2:]) for event in events)


@command.command("remove")
@state_option
@store_option
@all_nodes_option
@click.option(
    "--keep",
    metavar="SPAN",
    required=True,
    help="How old the events may be that stay. Such as 90d.",
)
@click.pass_context
@reported
def _remove(context: click.Context, state: Path | None, all_nodes: bool, keep: str) -> None:
    """Remove old events, and note where the chain begins then.

    The removal is an event of its own. With --all-nodes the copies in the store are removed, and
    the events of the servers stay.
    """
    from nacre.daemon.audit.table import now

    if (kept := span(keep)) is None:
        raise click.BadParameter(f"{keep!r} is no span: write for example 90d, 12h or 2w")
    before = now() - kept * 1_000_000
    if all_nodes:
        from nacre.daemon.nodes.events import remove_events

        with _all_nodes(context) as connection:
            click.echo(f"removed {remove_events(connection, before)}")
        return
    with _opened(state) as table:
        click.echo(f"removed {table.remove(before, keep)}")
        for name in table.waited_for(before):
            note(f"the hook {name} has not had them all: see `nacre hook status`")
