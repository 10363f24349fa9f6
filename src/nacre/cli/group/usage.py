"""``nacre group usage``: what the users of groups store and transfer together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nacre.cli.help.grouped import Grouped
from nacre.cli.manage.options import note
from nacre.cli.user.usage import UsageTable, recount_user, usage_options
from nacre.errors import UserStoreError
from nacre.sftp.filesystems.quota.limits import SHARED

if TYPE_CHECKING:
    from nacre.daemon.store.store import UserStore
    from nacre.daemon.store.values import Group
    from nacre.sftp.filesystems.quota.ledger import Usage


@click.command("usage", cls=Grouped)
@usage_options("Count the files of all users of the groups anew.")
def usage(names: tuple[str, ...], state: Path | None, recount: bool, as_json: bool) -> None:
    """Print what the users of groups use of the limits that they share.

    Without NAME it does so for all groups with such limits. Where "counted" is no, the files of
    some users have not been counted, or may have changed since.
    """
    table = UsageTable(SHARED, ("users",), _group, _limited, _recount, _read)
    table.show(state, names, recount, as_json)


def _group(store: UserStore, name: str) -> Group:
    return store.groups.find(name)


def _limited(store: UserStore) -> list[Group]:
    from dataclasses import asdict

    from nacre.sftp.filesystems.quota.limits import shared_limits

    return [group for group in store.groups.all() if shared_limits(asdict(group)).any]


def _recount(store: UserStore, group: Group) -> None:
    """Count the files of each user, whose directories may not be there yet, beside all others."""
    for user in store.groups.members(group.name):
        try:
            recount_user(store, user)
        except UserStoreError as error:
            note(str(error))


def _read(store: UserStore, group: Group) -> tuple[tuple[Any, ...], Usage | None, bool]:
    from nacre.daemon.store.shared import known_trees, shared_directory
    from nacre.daemon.store.values import LedgerKey
    from nacre.sftp.filesystems.quota.shared import read_shared, shared_figures

    users = list(store.groups.members(group.name))
    trees = [tree for user in users for tree in known_trees(user)]
    shared = store.groups.ledgers.shared(LedgerKey("group", group.name))
    if shared is not None:
        return (len(users),), *shared_figures(shared, trees)
    found = read_shared(shared_directory(store.directory), group.name, trees)
    return (len(users),), *(found or (None, False))
