"""``nacre user usage``: what users store and transfer, beside their limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

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

Limited: TypeAlias = Any
"""A user or a group, whose settings set limits."""

_LIMITS = ("quota_bytes", "transfer_up", "transfer_down")
_USED = ("bytes", "up", "down")


class UsageTable(NamedTuple):
    """A table of what users, or groups, use of their limits.

    :ivar prefix: how the names of the settings begin that set the limits.
    :ivar more: the columns between the name and the figures.
    :ivar find: returns the one of a name.
    :ivar limited: returns all that have limits.
    :ivar recount: counts the files of one anew.
    :ivar read: returns the values of the further columns, the figures of one, None for none yet,
        and whether they have been counted.
    """

    prefix: str
    more: tuple[str, ...]
    find: Callable[[UserStore, str], Limited]
    limited: Callable[[UserStore], Iterable[Limited]]
    recount: Callable[[UserStore, Limited], None]
    read: Callable[[UserStore, Limited], tuple[tuple[Any, ...], Usage | None, bool]]

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns."""
        before = self.prefix
        return (
            *("name", *self.more, "bytes", f"{before}quota_bytes", "files", f"{before}quota_files"),
            *("up", f"{before}transfer_up", "down", f"{before}transfer_down"),
            *(f"{before}transfer_period", "counted"),
        )

    def row(self, store: UserStore, one: Limited) -> tuple[Any, ...]:
        """Return the values of all columns."""
        from nacre.sftp.filesystems.quota.limits import NAMES, PERIOD, period_start

        limit = {name: getattr(one, self.prefix + name) for name in (*NAMES, PERIOD)}
        period = limit[PERIOD] or "month"
        try:
            more, found, counted = self.read(store, one)
        except OSError as error:
            raise UserStoreError(f"can't read {error.filename}: {error.strerror}") from error
        used = used_in(found, period_start(period, time.time()))
        return (
            *(one.name, *more, used["bytes"], limit["quota_bytes"], used["files"]),
            *(limit["quota_files"], used["up"], limit["transfer_up"], used["down"]),
            *(limit["transfer_down"], period, counted),
        )

    def show(self, state: Path | None, names: Sequence[str], recount: bool, as_json: bool) -> None:
        """Print the rows of these, or of all that have limits; count them anew before if asked."""
        with open_store(state) as store:
            chosen = [self.find(store, name) for name in names] or list(self.limited(store))
            if recount:
                for one in chosen:
                    self.recount(store, one)
            rows = [self.row(store, one) for one in chosen]
        sizes = dict.fromkeys((self.prefix + name for name in _LIMITS), written_size)
        shown = {} if as_json else sizes | dict.fromkeys(_USED, _shown_used)
        show(self.columns, rows, as_json, **shown)


def usage_options(recount: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return what gives a command the arguments of :meth:`UsageTable.show`.

    :param recount: the help of ``--recount``.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        command = json_option(reported(command))
        command = click.option("--recount", is_flag=True, help=recount)(command)
        command = state_option(store_option(command))
        return click.argument("names", metavar="[NAME]...", nargs=-1)(command)

    return decorate


@click.command("usage", cls=Grouped)
@usage_options("Count the files of the users with a quota anew.")
def usage(names: tuple[str, ...], state: Path | None, recount: bool, as_json: bool) -> None:
    """Print what users store, and have transferred in this period, beside their limits.

    Without NAME it does so for all users with limits. Where "counted" is no, the files are counted
    before the user's next upload: the figures may be older.
    """
    table = UsageTable("", (), _user, _limited, recount_user, _read)
    table.show(state, names, recount, as_json)


def _shown_used(number: int) -> str | None:
    return written_size(number) if number else "0"


def _user(store: UserStore, name: str) -> User:
    return store.user(name)


def _limited(store: UserStore) -> Iterator[User]:
    """Return the users with limits, sorted by name."""
    from nacre.daemon.store.values import LISTED
    from nacre.sftp.filesystems.quota.limits import NAMES

    name = LISTED.index("name")
    limits = [LISTED.index(one) for one in NAMES]
    for row in store.listing():
        if any(row[one] for one in limits):
            yield store.user(row[name])


def _read(store: UserStore, user: User) -> tuple[tuple[Any, ...], Usage | None, bool]:
    from nacre.daemon.store.values import LedgerKey, usage_directory
    from nacre.sftp.filesystems.quota.ledger import Usage, read_ledger

    shared = store.groups.ledgers.shared(LedgerKey("user", user.name))
    if shared is not None:
        found: Usage | None = Usage.decode(shared)
    else:
        found = read_ledger(usage_directory(store.directory), user.name)
    return (), found, found is not None and not found.doubted


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
    from nacre.daemon.store.values import LedgerKey
    from nacre.sftp.filesystems.quota.limits import limits_of

    def shared(one: QuotaLimits) -> bool:
        """Ask the servers that share a ledger, if they do: this command does not have it then."""
        key = LedgerKey("user", user.name) if one.group is None else LedgerKey("group", one.group)
        return store.groups.ledgers.recount_shared(key)

    limits = [one for one in limits_of(user) if one.store and not shared(one)]
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
