"""``nacre group``: groups, whose settings their users inherit."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from nacre.cli.group.usage import usage
from nacre.cli.help.grouped import GroupedGroup
from nacre.cli.manage.options import CONTEXT, json_option, reported, state_option, store_option
from nacre.cli.user.columns import ListColumns, columns_option, directory, list_rows
from nacre.cli.user.listing import SHOWN, shown_time
from nacre.cli.user.settings import group_settings, inherit_of_group, open_store, placed, said
from nacre.daemon.store.values import GROUP_SETTINGS

_FIRST = (
    *("name", "users", "auth", "service", "run_as", "home", "root", "unsafe_root", "read_only"),
)
_LISTED = ListColumns(
    names=(*_FIRST, *(name for name in GROUP_SETTINGS if name not in _FIRST), "created"),
    first=("name", "users", "directory"),
    told=frozenset(("name", "users", "home", "root", "created")),
    made={"directory": directory},
    usual={},
)


@click.group("group", cls=GroupedGroup, context_settings=CONTEXT)
def command() -> None:
    """Add, change and remove groups of the server's users.

    What a user does not say of its own, the first of its groups decides that says it. Changes take
    effect at the next login, without a restart of the server.
    """


@command.command("add")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@state_option
@store_option
@group_settings
@reported
def _add(names: tuple[str, ...], state: Path | None, **options: Any) -> None:
    """Add groups with these settings: all of them, or none if one can't be added.

    In DIR and URL, %u is the name of the user.
    """
    from nacre.daemon.store.values import Group

    given = placed(said(options), None)
    with open_store(state, create=True) as store:
        store.groups.add(*(Group(name=name, **given) for name in names))


@command.command("set")
@click.argument("name")
@state_option
@store_option
@group_settings
@inherit_of_group
@reported
def _set(name: str, state: Path | None, inherit: tuple[str, ...], **options: Any) -> None:
    """Change a group. Settings without an option stay the same."""
    given = dict.fromkeys(inherit) | placed(said(options), None)
    if not given:
        raise click.UsageError("nothing to change: give an option")
    with open_store(state) as store:
        store.groups.change(name, **given)


@command.command("remove")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@state_option
@store_option
@reported
def _remove(names: tuple[str, ...], state: Path | None) -> None:
    """Remove groups, which must have no users."""
    with open_store(state) as store:
        for name in names:
            store.groups.remove(name)


@command.command("list")
@state_option
@store_option
@columns_option(_LISTED)
@json_option
@reported
def _list(state: Path | None, columns: tuple[str, ...] | None, as_json: bool) -> None:
    """List the groups, with the number of their users.

    The directory is the root of sftp and scp, or else the home directory. What is the same for all
    groups is said on standard error. JSON has all columns.
    """
    with open_store(state) as store:
        sizes = store.groups.sizes()
        groups = [asdict(group) for group in store.groups.all()]
    rows = [
        [(group | {"users": sizes.get(group["name"], 0)})[name] for name in _LISTED.names]
        for group in groups
    ]
    shown = {"created": shown_time, **SHOWN}
    list_rows(_LISTED, lambda: rows, columns, shown, as_json=as_json)


@command.command("users")
@click.argument("name")
@state_option
@store_option
@reported
def _users(name: str, state: Path | None) -> None:
    """Print the names of a group's users, sorted."""
    with open_store(state) as store:
        store.groups.find(name)
        for user in store.groups.users(name):
            click.echo(user)


command.add_command(usage)
