"""What a user's settings for files would give away: checked at entry, and for each session.

Roots that would give away more than files are refused for users who may use files only.

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
from nacre.sftp.filesystems.folders import ENCRYPTED, parse_folders
from nacre.sftp.filesystems.quota.limits import MOST_SHARED, limits_of

if TYPE_CHECKING:
    from nacre.daemon.store.store import UserStore
    from nacre.daemon.store.values import User

_LOCAL_URL = re.compile(r"(?:.*::)?(?:file|local)://(.*)", re.DOTALL)


def _remedy(what: str) -> str:
    option = what.partition(" ")[0]
    return (
        f"give another directory with --{option}, or --unsafe-root if the user is trusted like the "
        "account"
    )


def refusal(user: User, account: Account, state: Path) -> str | None:
    """Return why the user's root is refused, with the remedy, or None. Blocks.

    :param account: what the user's sessions run as.
    :param state: the state directory.
    """
    if user.rights is not None and user.service != "sftp":
        return (
            f"{user.name} has rights for directories, which do not hold in a shell: give "
            "--service sftp, or take the rights away with --inherit rights"
        )
    if user.service != "sftp" and any(one.store for one in limits_of(user)):
        return (
            f"{user.name} has a quota, which does not hold in a shell: give --service sftp, or "
            "take it away with --inherit"
        )
    if len(user.shared) > MOST_SHARED:
        return (
            f"{user.name} is in {len(user.shared)} groups with shared limits, and may be in "
            f"{MOST_SHARED}: leave some with `nacre user set {user.name} --group ...`"
        )
    folders = () if user.folders is None else parse_folders([user.folders])
    if folders and user.service != "sftp" and user.root is None:
        return (
            f"{user.name} sees the whole system, and folders have no place there: give --root or "
            "--service sftp, or take the folders away with --inherit folder"
        )
    targets = [user.root or "", *(folder.target for folder in folders)]
    if user.file_key is None and any(target.startswith(ENCRYPTED) for target in targets):
        return (
            f"{user.name} has encrypted files and no key for them: make one with "
            "`(umask 077; openssl rand -hex 32 > FILE)`, and give it with --file-key FILE"
        )
    if user.service != "sftp" or user.unsafe_root:
        return None
    root = user.root or user.home
    if root is None:
        return f"{user.name} may use files only, and has no directory for them: give it with --root"
    places = {"root": root} | {f"folder {folder.point}": folder.target for folder in folders}
    reasons = (_gives_away(user, what, place, account, state) for what, place in places.items())
    return next((reason for reason in reasons if reason is not None), None)


def _gives_away(user: User, what: str, name: str, account: Account, state: Path) -> str | None:
    """Return why a directory gives away more than files, or None.

    :param what: what of the user it is.
    """
    name = name.removeprefix(ENCRYPTED)
    url = _LOCAL_URL.fullmatch(name)
    if url is None and "://" in name:
        return None
    root = os.path.realpath(name if url is None else url[1])
    if root == "/":
        return f"the {what} of {user.name} is the whole system: {_remedy(what)}"
    real_state, home = os.path.realpath(state), os.path.realpath(account.home)
    if _within(real_state, root) or _within(root, real_state):
        return (
            f"the {what} {name} of {user.name} shares files with the state directory: "
            f"{_remedy(what)}"
        )
    if user.file_key is not None and _within(os.path.realpath(user.file_key), root):
        return f"the {what} {name} of {user.name} holds the key of the files: move that elsewhere"
    if _within(home, root):
        return f"the {what} {name} of {user.name} holds the home of {account.name}: {_remedy(what)}"
    return None


def _within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def check_roots(store: UserStore, run_as: str | None, *, seconds: float | None = None) -> None:
    """Check the roots of all users, as far as their names tell; each session looks closer.

    :param run_as: the account of users without one of their own, under root.
    :param seconds: the time for each look at all users, or None for any.
    :raises StateError: the root of a user is refused.
    :raises TimeoutError: there are too many users for that time.
    """
    accounts: dict[str | None, Account | None] = {}
    for user in store.suspicious_roots(_near(store, run_as, seconds), seconds=seconds):
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


def _near(store: UserStore, run_as: str | None, seconds: float | None) -> set[str]:
    """Return the directories that no root may be: each is refused for some user."""
    from nacre.daemon.store.values import User

    found = {store.directory}
    for name in store.accounts(seconds=seconds):
        account = _account(User(name="-", run_as=name), run_as)
        if account is not None:
            found.add(Path(account.home))
    return {str(one) for path in found for one in (path, *path.parents)}
