"""Roots that would give away more than files: checked for users who may use files only.

A user who can write where an account keeps its keys and start files can log in as that account; one
who reads the state directory has the host keys, and one who writes there makes users. A user with a
shell has the account's rights anyway.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from nacre.daemon.accounts.accounts import Account, account_name, find_account, own_account
from nacre.errors import AccountError, StateError

if TYPE_CHECKING:
    from nacre.daemon.accounts.store import User, UserStore

_LOCAL_URL = re.compile(r"(?:.*::)?(?:file|local)://(.*)", re.DOTALL)

_REMEDY = (
    "give another directory with --root, or --unsafe-root if the user is trusted like the account"
)


def refusal(user: User, account: Account, state: Path) -> str | None:
    """Return why the user's root is refused, with the remedy, or None. Blocks.

    :param account: what the user's sessions run as.
    :param state: the state directory.
    """
    if user.service != "sftp" or user.unsafe_root:
        return None
    name = user.root or user.home
    if name is None:
        return f"{user.name} may use files only, and has no directory for them: give it with --root"
    url = _LOCAL_URL.fullmatch(name)
    if url is None and "://" in name:
        return None
    root = os.path.realpath(name if url is None else url[1])
    if root == "/":
        return f"the root of {user.name} is the whole system: {_REMEDY}"
    real_state, home = os.path.realpath(state), os.path.realpath(account.home)
    if _within(real_state, root) or _within(root, real_state):
        return f"the root {name} of {user.name} shares files with the state directory: {_REMEDY}"
    if _within(home, root):
        return f"the root {name} of {user.name} holds the home of {account.name}: {_REMEDY}"
    return None


def _within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def check_roots(store: UserStore, run_as: str | None) -> None:
    """Check the roots of all users, as far as their names tell; each session looks closer.

    :param run_as: the account of users without one of their own, under root.
    :raises StateError: the root of a user is refused.
    """
    accounts: dict[str | None, Account | None] = {}
    for user in store.suspicious_roots(_near(store, run_as)):
        if user.run_as not in accounts:
            accounts[user.run_as] = _account(user, run_as)
        account = accounts[user.run_as]
        reason = None if account is None else refusal(user, account, store.directory)
        if reason is not None:
            raise StateError(f"{reason} (`nacre user set {user.name} ...`)")


def _account(user: User, run_as: str | None) -> Account | None:
    """Return what the user's sessions run as; None without an account, when there are none."""
    try:
        name = account_name(user, run_as)
        return own_account() if name is None else find_account(name)
    except AccountError:
        return None


def _near(store: UserStore, run_as: str | None) -> set[str]:
    """Return the directories that no root may be: each is refused for some user."""
    from nacre.daemon.accounts.store import User

    found = {store.directory}
    for name in store.accounts():
        account = _account(User(name="-", run_as=name), run_as)
        if account is not None:
            found.add(Path(account.home))
    return {str(one) for path in found for one in (path, *path.parents)}
