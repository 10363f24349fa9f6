"""The commands of ``sftp`` that show remote files: ``ls``, ``df``, ``pwd``; and ``cd``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import aclosing

from nacre.cli.sftp.listing import (
    Listed,
    free_space,
    lines,
    ordered,
    ordered_names,
    show_names,
)
from nacre.cli.sftp.shell import CommandFailed, Flags, SFTPShell
from nacre.errors import SFTPError
from nacre.sftp.client.places import RemotePlace
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes, Entry
from nacre.sftp.protocol.paths import has_wildcards, join, literal
from nacre.value import replace
from nacre.wire.text import safe

_WITH_ATTRIBUTES = frozenset("lnSt")
"""Flags of ``ls`` for which it needs more than names."""

_MOST_NAMES = 1024
"""User or group numbers in one request: a server need not answer for more."""


async def cd(shell: SFTPShell, flags: Flags, words: list[str]) -> None:
    """Change the remote directory."""
    path = await shell.one(words[0]) if words else shell.home
    try:
        await shell.sftp.chdir(path)
    except NotADirectoryError:
        raise CommandFailed(
            f'Can\'t change directory: "{shell.show(path)}" is not a directory'
        ) from None
    except OSError as error:
        raise shell.refused("stat remote", error) from None


async def pwd(shell: SFTPShell, flags: Flags, words: list[str]) -> None:
    """Print the remote directory."""
    print(f"Remote working directory: {safe(await shell.sftp.getcwd())}")


async def version(shell: SFTPShell, flags: Flags, words: list[str]) -> None:
    """Print the protocol's version."""
    print(f"SFTP protocol version {shell.sftp.session.client.version.number}")


async def df(shell: SFTPShell, flags: Flags, words: list[str]) -> None:
    """Print the state of a remote file system."""
    path = literal(words[0]) if words else "."
    try:
        status = await shell.sftp.statvfs(path)
    except OSError as error:
        raise shell.refused(f'statvfs "{safe(path)}"', error) from None
    for line in free_space(status, flags):
        print(line)


async def ls(shell: SFTPShell, flags: Flags, words: list[str]) -> None:
    """Print a remote directory, or the files that a pattern matches.

    Names in a directory that was named begin with it, as it was named: scripts use them as paths.
    """
    directory, files = await _listed(shell, words[0] if words else ".")
    beginning = "" if directory is None or not words else join(directory, "")
    if directory is not None and not flags & _WITH_ATTRIBUTES:
        names = await shell.sftp.listdir(directory)
        if "a" not in flags:
            names = [name for name in names if not name.startswith(".")]
        else:
            names += [".", ".."]
        names = ordered_names(names, flags)
        show_names([beginning + name for name in names] if beginning else names, flags)
        return
    if directory is not None:
        files = await _entries(shell, directory, flags)
    shown = [replace(one, name=beginning + one.name) for one in ordered(files, flags)]
    users: dict[int, str] = {}
    groups: dict[int, str] = {}
    if "l" in flags and "n" not in flags:
        users, groups = await _names(shell, shown)
    for line in lines(shown, flags, users, groups):
        print(line)
    sys.stdout.flush()


async def _listed(shell: SFTPShell, pattern: str) -> tuple[str | None, list[Listed]]:
    """Return the directory to list, or None and the files that the pattern matches."""
    sftp = shell.sftp
    if has_wildcards(pattern):
        paths = await sftp.glob(pattern)
        if not paths:
            raise CommandFailed(f'Can\'t ls: "{shell.show(pattern)}" not found')
        if len(paths) > 1 or not await sftp.isdir(paths[0]):
            return None, [Listed(path, await _attributes(shell, path)) for path in paths]
        path = paths[0]
    else:
        path = literal(pattern)
    try:
        if not await sftp.isdir(path):
            return None, [Listed(path, await _attributes(shell, path))]
    except FileNotFoundError:
        raise CommandFailed(f'Can\'t ls: "{shell.show(path)}" not found') from None
    return path, []


async def _entries(shell: SFTPShell, path: str, flags: Flags) -> list[Listed]:
    sftp, found = shell.sftp, []
    async with aclosing(RemotePlace(sftp.session).entries(sftp.path(path))) as blocks:
        async for block in blocks:
            found += [_listing(entry) for entry in block if "a" in flags or entry.name[0] != "."]
    if "a" in flags:
        for name in (".", ".."):
            found.append(Listed(name, await _attributes(shell, join(path, name))))
    return found


def _listing(entry: Entry) -> Listed:
    # The server's line is shown only if there are no permissions to make one from.
    line = entry.longname if entry.attributes.permissions is None else ""
    return Listed(entry.name, entry.attributes, line)


async def _attributes(shell: SFTPShell, path: str) -> Attributes:
    return await shell.sftp.session.request(msg.LStat(shell.sftp.path(path)))


async def _names(
    shell: SFTPShell, files: Sequence[Listed]
) -> tuple[dict[int, str], dict[int, str]]:
    """Return the names of the files' users and groups, as far as the server gives them."""
    uids = tuple({file.attributes.uid or 0 for file in files})[:_MOST_NAMES]
    gids = tuple({file.attributes.gid or 0 for file in files})[:_MOST_NAMES]
    try:
        users, groups = await shell.sftp.names(uids, gids)
    except SFTPError:
        return {}, {}
    return dict(zip(uids, users, strict=False)), dict(zip(gids, groups, strict=False))
