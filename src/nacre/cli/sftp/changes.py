"""The commands of ``sftp`` that change remote files and directories."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nacre.cli.common.failures import reason
from nacre.cli.sftp.lines import decimal, octal
from nacre.cli.sftp.shell import CommandFailed, Flags, SFTPShell
from nacre.sftp.client.attributes import with_owner
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.extensions import LSetStat, PosixRename
from nacre.sftp.protocol.paths import literal
from nacre.wire.text import safe

# --- names ---


async def mkdir(shell: SFTPShell, flags: Flags, words: list[str]) -> None:
    """Make a directory."""
    path = literal(words[0])
    await shell.attempt(f'remote mkdir "{shell.show(path)}"', shell.sftp.mkdir(path))


async def rmdir(shell: SFTPShell, flags: Flags, words: list[str]) -> None:
    """Remove an empty directory."""
    path = await shell.one(words[0])
    await shell.attempt(f'remote rmdir "{shell.show(path)}"', shell.sftp.rmdir(path))


async def rm(shell: SFTPShell, flags: Flags, words: list[str]) -> None:
    """Remove the files that patterns match."""
    for word in words:
        for path in await shell.matching(word):
            shown = shell.show(path)
            shell.inform(f"Removing {shown}")
            try:
                await shell.sftp.remove(path)
            except OSError as error:
                shell.complain(f"remote delete {shown}: {reason(error)}")
                shell.check_alive(error)


async def rename(shell: SFTPShell, flags: Flags, words: list[str]) -> None:
    """Rename a file, and replace one of the new name where the server can."""
    old, new = map(literal, words)
    offered = shell.sftp.session.client.offers(PosixRename.EXTENSION)
    replaces = "l" not in flags and offered
    work = shell.sftp.replace if replaces else shell.sftp.rename
    await shell.attempt(_pair(shell, "remote rename", old, new), work(old, new))


async def cp(shell: SFTPShell, flags: Flags, words: list[str]) -> None:
    """Copy a remote file on the server."""
    old, new = map(literal, words)
    await shell.attempt(f'copy "{safe(old)}" to "{safe(new)}"', shell.sftp.copy(old, new))


async def ln(shell: SFTPShell, flags: Flags, words: list[str]) -> None:
    """Make a hard link, or with ``-s`` a symbolic one."""
    if "s" in flags:
        await symlink(shell, flags, words)
        return
    old, new = map(literal, words)
    await shell.attempt(_pair(shell, "remote link", old, new), shell.sftp.link(old, new))


async def symlink(shell: SFTPShell, flags: Flags, words: list[str]) -> None:
    """Make a symbolic link. Its target is sent as it was typed: it may be relative."""
    old, new = map(literal, words)
    await shell.attempt(
        f'remote symlink file "{safe(old)}" to "{shell.show(new)}"', shell.sftp.symlink(old, new)
    )


def _pair(shell: SFTPShell, what: str, old: str, new: str) -> str:
    return f'{what} "{shell.show(old)}" to "{shell.show(new)}"'


# --- attributes ---


async def chmod(shell: SFTPShell, flags: Flags, words: list[str]) -> None:
    """Set the permissions of the files that patterns match."""
    mode = octal(words[0], 0o7777, "chmod")
    await _set(shell, words[1:], flags, "mode", lambda known: Attributes(permissions=mode))


async def chown(shell: SFTPShell, flags: Flags, words: list[str]) -> None:
    """Set the user of the files that patterns match."""
    owner = decimal(words[0], "chown")

    def change(known: Attributes) -> Attributes:
        return _owned(known, owner, -1)

    await _set(shell, words[1:], flags, "owner", change)


async def chgrp(shell: SFTPShell, flags: Flags, words: list[str]) -> None:
    """Set the group of the files that patterns match."""
    group = decimal(words[0], "chgrp")

    def change(known: Attributes) -> Attributes:
        return _owned(known, -1, group)

    await _set(shell, words[1:], flags, "group", change)


def _owned(known: Attributes, user: int, group: int) -> Attributes:
    try:
        return with_owner(known, user, group)
    except ValueError:
        raise CommandFailed("The server does not tell the current owner and group") from None


async def _set(
    shell: SFTPShell,
    patterns: Sequence[str],
    flags: Flags,
    what: str,
    change: Callable[[Attributes], Attributes],
) -> None:
    """Send new attributes for the files that patterns match.

    :param change: returns the attributes to send, from those that the file has.
    """
    for pattern in patterns:
        for path in await shell.matching(pattern):
            sent = shell.sftp.path(path)
            shell.inform(f"Changing {what} on {safe(sent)}")
            try:
                await _change(shell, sent, change, own="h" in flags)
            except OSError as error:
                shell.complain(f'remote setstat "{safe(sent)}": {reason(error)}')
                shell.check_alive(error)


async def _change(
    shell: SFTPShell, path: str, change: Callable[[Attributes], Attributes], *, own: bool
) -> None:
    """Change one file's attributes.

    :param own: those of a symbolic link itself, not of the file that it points at.
    """
    session = shell.sftp.session
    if own and not session.client.offers(LSetStat.EXTENSION):
        raise CommandFailed("Server does not support lsetstat@openssh.com extension")
    known = await session.request(msg.LStat(path) if own else msg.Stat(path))
    wanted = change(known)
    await session.request(LSetStat(path, wanted) if own else msg.SetStat(path, wanted))
