"""``nacre ban``: ban networks from the server, list and remove bans."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nacre.cli.help.grouped import GroupedGroup
from nacre.cli.manage.options import (
    CONTEXT,
    json_lines_option,
    print_each,
    reported,
    state_option,
    store_option,
)
from nacre.cli.manage.times import span
from nacre.cli.user.settings import open_store
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.server.admission.bans import Ban


def _span(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    """Parse ``30m``, ``12h``, ``1d`` or ``4w``."""
    if text is None:
        return None
    if not (seconds := span(text)):
        raise click.BadParameter(f"{text!r} is no time: write for example 30m, 12h, 1d or 4w")
    return seconds


@click.group("ban", cls=GroupedGroup, context_settings=CONTEXT)
def command() -> None:
    """Ban networks from the server, list and remove bans.

    `nacre serve --bans` closes connections from banned networks at once. A change takes effect
    within a second, without a restart of the server.
    """


@command.command("add")
@click.argument("networks", metavar="NETWORK...", nargs=-1, required=True)
@state_option
@store_option
@click.option(
    "--for",
    "seconds",
    metavar="TIME",
    callback=_span,
    help="How long it lasts. For example 30m, 12h, 1d or 4w; by default until it is removed.",
)
@click.option(
    "--allow", is_flag=True, help="Never ban these networks. That holds inside of larger bans, too."
)
@click.option("--reason", metavar="TEXT", default="", help="Why, for those who read the list.")
@reported
def _add(
    networks: tuple[str, ...], state: Path | None, seconds: int | None, allow: bool, reason: str
) -> None:
    """Ban networks, or allow them for good.

    A network is written as 192.0.2.0/24, 2001:db8::/32, or an address.
    """
    from nacre.server.admission.bans import Ban
    from nacre.server.admission.networks import parse_networks

    until = 0 if seconds is None else int(time.time()) + seconds
    parsed = dict.fromkeys(parse_networks(networks))
    bans = [Ban(one, until, allowed=allow, reason=safe(reason, 200)) for one in parsed]
    with open_store(state, create=True) as store:
        store.bans.put(bans)


@command.command("remove")
@click.argument("networks", metavar="NETWORK...", nargs=-1, required=True)
@state_option
@store_option
@reported
def _remove(networks: tuple[str, ...], state: Path | None) -> None:
    """Remove networks from the list, and what led to their bans."""
    from nacre.server.admission.networks import parse_networks

    with open_store(state) as store:
        store.bans.remove(dict.fromkeys(parse_networks(networks)))


@command.command("list")
@state_option
@store_option
@json_lines_option
@reported
def _list(state: Path | None, as_json: bool) -> None:
    """List the networks that are banned now, and those that never are."""
    now = time.time()
    with open_store(state) as store:
        bans = [one for one in store.bans.all() if one.holds(now)]
    rows = [_as_object(one) for one in sorted(bans, key=lambda one: one.network)]
    print_each(rows, lambda row: row, _line, as_json=as_json)


def _as_object(ban: Ban) -> dict[str, Any]:
    from nacre.server.admission.networks import show_network

    row = {"network": show_network(ban.network), "kind": "allow" if ban.allowed else "ban"}
    return {**row, "until": ban.until or None, "level": ban.level, "reason": ban.reason}


def _line(row: dict[str, Any]) -> str:
    end = row["until"]
    until = datetime.fromtimestamp(end).strftime("%Y-%m-%dT%H:%M") if end else "-"
    return f"{row['kind']:5}  {row['network']:24}  {until:16}  {safe(row['reason'])}".rstrip()
