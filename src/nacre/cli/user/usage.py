"""``nacre user usage``: what users store and transfer, beside their limits."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nacre.cli.help.grouped import Grouped
from nacre.cli.manage.options import json_option, reported, state_option, store_option
from nacre.cli.user.limits import written_size
from nacre.cli.user.listing import show
from nacre.cli.user.settings import open_store
from nacre.errors import ConfigurationError, UserStoreError

if TYPE_CHECKING:
    from nacre.daemon.store.store import UserStore
    from nacre.daemon.store.values import User
    from nacre.sftp.filesystems.quota.ledger import Usage
    from nacre.sftp.filesystems.quota.limits import QuotaLimits

_COLUMNS = (
    *("name", "bytes", "quota_bytes", "files", "quota_files", "up", "transfer_up"),
    *("down", "transfer_down", "transfer_period", "counted"),
)
_LIMITS = ("quota_bytes", "transfer_up", "transfer_down")
_USED = ("bytes", "up", "down")


@click.command("usage", cls=Grouped)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@state_option
@store_option
@click.option("--recount", is_flag=True, help="Count the files of the users with a quota anew.")
@json_option
@reported
def usage(names: tuple[str, ...], state: Path | None, recount: bool, as_json: bool) -> None:
    """Print what users store, and have transferred in this period, beside their limits.

    Without NAME it does so for all users with limits. Where "counted" is no, the files are counted
    before the user's next upload: the figures may be older.
    """
    with open_store(state) as store:
        chosen = [store.user(name) for name in names] if names else list(_limited(store))
        if recount:
            for user in chosen:
                recount_user(store, user)
        rows = [_row(store, user) for user in chosen]
    shown = dict.fromkeys(_LIMITS, written_size) | dict.fromkeys(_USED, shown_used)
    show(_COLUMNS, rows, as_json, **({} if as_json else shown))


def shown_used(number: int) -> str | None:
    return written_size(number) if number else "0"


def _limited(store: UserStore) -> Iterator[User]:
    """Return the users with limits, sorted by name."""
    from nacre.daemon.store.values import LISTED
    from nacre.sftp.filesystems.quota.limits import NAMES

    name = LISTED.index("name")
    limits = [LISTED.index(one) for one in NAMES]
    for row in store.listing():
        if any(row[one] for one in limits):
            yield store.user(row[name])


def _row(store: UserStore, user: User) -> tuple[Any, ...]:
    from nacre.daemon.store.values import usage_directory
    from nacre.sftp.filesystems.quota.ledger import read_ledger
    from nacre.sftp.filesystems.quota.limits import period_start

    try:
        found = read_ledger(usage_directory(store.directory), user.name)
    except OSError as error:
        raise UserStoreError(f"can't read {error.filename}: {error.strerror}") from error
    used = used_in(found, period_start(user.transfer_period, time.time()))
    return (
        *(user.name, used["bytes"], user.quota_bytes, used["files"], user.quota_files),
        *(used["up"], user.transfer_up, used["down"], user.transfer_down, user.transfer_period),
        found is not None and not found.doubted,
    )


def used_in(found: Usage | None, period: int) -> dict[str, int]:
    """Return the figures of a ledger; what was transferred in another period is over."""
    if found is None:
        return dict.fromkeys(("bytes", "files", "up", "down"), 0)
    now = found.period == period
    up, down = (found.up, found.down) if now else (0, 0)
    return {"bytes": found.bytes, "files": found.files, "up": up, "down": down}


def recount_user(store: UserStore, user: User) -> None:
    """Count a user's files, if the user has a quota.

    :raises UserStoreError: a directory can't be read.
    """
    from nacre.sftp.filesystems.quota.limits import limits_of

    limits = [one for one in limits_of(user) if one.store]
    if not limits:
        return
    try:
        _count(store, user, limits)
    except (OSError, ConfigurationError) as error:
        raise UserStoreError(f"the files of {user.name} can't be counted: {error}") from error


def _count(store: UserStore, user: User, limits: Sequence[QuotaLimits]) -> None:
    from nacre.daemon.accounts.accounts import find_account, own_account, virtual_login
    from nacre.daemon.accounts.virtual.file_key import read_file_key
    from nacre.daemon.store.shared import shared_directory, written_trees
    from nacre.daemon.store.values import usage_directory
    from nacre.sftp.filesystems.quota.ledger import open_ledger
    from nacre.sftp.filesystems.quota.shared import open_shared, quota_of

    account = own_account() if user.run_as is None else find_account(user.run_as)
    key = None if user.file_key is None else read_file_key(user.file_key)
    files = virtual_login(user, account, file_key=key).files
    assert files is not None
    trees = written_trees(user, account.home) or ()
    with ExitStack() as stack:
        ledgers = []
        for one in limits:
            if one.group is None:
                file = open_ledger(usage_directory(store.directory), user.name)
            else:
                file = open_shared(shared_directory(store.directory), one.group, trees)
            ledgers.append(stack.enter_context(file))
        quota = quota_of(limits, ledgers)
        filesystem: Any = files.opener(quota)()
        try:
            quota.doubt()
            quota.recount()
        finally:
            filesystem.close()
