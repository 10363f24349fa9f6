"""``nacre group usage``: what the users of groups store and transfer together."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nacre.cli.help.grouped import Grouped
from nacre.cli.manage.options import json_option, note, reported, state_option, store_option
from nacre.cli.user.limits import written_size
from nacre.cli.user.listing import show
from nacre.cli.user.settings import open_store
from nacre.cli.user.usage import recount_user, shown_used, used_in
from nacre.errors import UserStoreError

if TYPE_CHECKING:
    from nacre.daemon.store.store import UserStore
    from nacre.daemon.store.values import Group, User

_COLUMNS = (
    *("name", "users", "bytes", "shared_quota_bytes", "files", "shared_quota_files"),
    *("up", "shared_transfer_up", "down", "shared_transfer_down", "shared_transfer_period"),
    "counted",
)
_LIMITS = ("shared_quota_bytes", "shared_transfer_up", "shared_transfer_down")
_USED = ("bytes", "up", "down")


@click.command("usage", cls=Grouped)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@state_option
@store_option
@click.option("--recount", is_flag=True, help="Count the files of all users of the groups anew.")
@json_option
@reported
def usage(names: tuple[str, ...], state: Path | None, recount: bool, as_json: bool) -> None:
    """Print what the users of groups use of the limits that they share.

    Without NAME it does so for all groups with such limits. Where "counted" is no, the files of
    some users have not been counted, or may have changed since.
    """
    with open_store(state) as store:
        chosen = [store.groups.find(name) for name in names] if names else _limited(store)
        if recount:
            for group in chosen:
                for user in store.groups.members(group.name):
                    _recount(store, user)
        rows = [_row(store, group) for group in chosen]
    shown = dict.fromkeys(_LIMITS, written_size) | dict.fromkeys(_USED, shown_used)
    show(_COLUMNS, rows, as_json, **({} if as_json else shown))


def _recount(store: UserStore, user: User) -> None:
    """Count the files of one user, whose directories may not be there yet, beside all others."""
    try:
        recount_user(store, user)
    except UserStoreError as error:
        note(str(error))


def _limited(store: UserStore) -> list[Group]:
    from dataclasses import asdict

    from nacre.sftp.filesystems.quota.limits import shared_limits

    return [group for group in store.groups.all() if shared_limits(asdict(group)).any]


def _row(store: UserStore, group: Group) -> tuple[Any, ...]:
    from nacre.daemon.store.shared import shared_directory, written_trees
    from nacre.sftp.filesystems.quota.limits import period_start
    from nacre.sftp.filesystems.quota.shared import read_shared

    users = list(store.groups.members(group.name))
    trees = [tree for user in users for tree in written_trees(user) or ()]
    try:
        found = read_shared(shared_directory(store.directory), group.name, trees)
    except OSError as error:
        raise UserStoreError(f"can't read {error.filename}: {error.strerror}") from error
    period = group.shared_transfer_period or "month"
    used = used_in(None if found is None else found[0], period_start(period, time.time()))
    return (
        *(group.name, len(users), used["bytes"], group.shared_quota_bytes),
        *(used["files"], group.shared_quota_files, used["up"], group.shared_transfer_up),
        *(used["down"], group.shared_transfer_down, period),
        found is not None and found[1],
    )
