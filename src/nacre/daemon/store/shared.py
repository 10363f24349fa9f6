"""The ledgers of groups with shared limits, when the users or the groups of the store change."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from nacre.daemon.store.values import User
from nacre.sftp.filesystems.folders import ENCRYPTED, parse_folders
from nacre.sftp.filesystems.quota.limits import QuotaLimits, shared_limits
from nacre.sftp.filesystems.quota.shared import count_shared, keep_shared


def shared_directory(state: Path) -> Path:
    """Return the directory of a state directory that has the ledgers of groups."""
    return state / "usage-of-groups"


def shared_by(groups: Iterable[Mapping[str, Any]]) -> tuple[QuotaLimits, ...]:
    """Return what the members of groups share, in the order in which ledgers are locked.

    :param groups: the names and the settings of groups.
    """
    found = [one for one in map(shared_limits, groups) if one.any]
    return tuple(sorted(found, key=lambda one: one.group or ""))


def written_trees(user: User, home: str | None = None) -> tuple[str, ...] | None:
    """Return the directories and URLs that a user may write to, as they are configured.

    :param home: that of the account that the user's sessions run as, if it is known.
    :return: None if that would have to be known.
    """
    if user.read_only:
        return ()
    root = user.root or user.home or home
    if root is None:
        return None
    folders = () if user.folders is None else parse_folders([user.folders])
    return (
        root.removeprefix(ENCRYPTED),
        *(folder.place for folder in folders if not folder.read_only),
    )


def known_trees(user: User | None) -> tuple[str, ...]:
    """Return what :func:`written_trees` does, and nothing where that is not known."""
    return () if user is None else written_trees(user) or ()


def settle_shared(
    state: Path,
    members: Callable[[str], Iterable[User]],
    groups: Collection[str] | None = None,
    changed: Collection[str] | None = None,
    gone: Collection[str] | None = None,
) -> None:
    """Have the ledgers of groups follow a change of the store.

    Directories that no member writes to any more count no more, and those of the users who have
    changed are counted before their next change. Members whom a directory elsewhere has are not
    known here: what they write to goes on counting if ``gone`` says what the others had.

    :param members: returns the users of a group.
    :param groups: the groups that may have changed; None for all.
    :param changed: the users who have changed; None for all.
    :param gone: the directories that these had before; None for all that are not of a member now.
    :raises OSError: a ledger can't be written.
    """
    directory = shared_directory(state)
    if not directory.is_dir():
        return
    for path in directory.iterdir():
        if groups is not None and path.name not in groups:
            continue
        trees = {user.name: written_trees(user) for user in members(path.name)}
        known = [tree for found in trees.values() if found is not None for tree in found]
        if None not in trees.values():
            keep_shared(directory, path.name, known, gone)
        chosen = None
        if changed is not None:
            chosen = [tree for name in changed for tree in trees.get(name) or ()]
        count_shared(directory, path.name, chosen)
