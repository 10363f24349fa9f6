"""The commands of ``sftp`` that transfer files: ``get``, ``put`` and their variants."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from nacre.cli.common.failures import reason
from nacre.cli.sftp.shell import CommandFailed, Flags, SFTPShell
from nacre.errors import SFTPError
from nacre.sftp.client.copies import TransferOptions, glob_in
from nacre.sftp.protocol.paths import has_wildcards, literal
from nacre.wire.text import safe

_RESUME = frozenset("a")


async def get(shell: SFTPShell, flags: Flags, words: list[str]) -> None:
    """Download the files that a pattern matches."""
    await fetch(shell, words[:1], literal(words[1]) if words[1:] else None, flags)


async def reget(shell: SFTPShell, flags: Flags, words: list[str]) -> None:
    """Download files, and continue where an earlier download stopped."""
    await get(shell, flags | _RESUME, words)


async def put(shell: SFTPShell, flags: Flags, words: list[str]) -> None:
    """Upload the local files that a pattern matches."""
    await send(shell, words[:1], literal(words[1]) if words[1:] else None, flags)


async def reput(shell: SFTPShell, flags: Flags, words: list[str]) -> None:
    """Upload files, and continue where an earlier upload stopped."""
    await put(shell, flags | _RESUME, words)


async def fetch(
    shell: SFTPShell, patterns: Sequence[str], local: str | None, flags: Flags = frozenset()
) -> None:
    """Download the files that patterns match.

    :param local: the copy's name, or the directory to copy into; None is the current directory.
    :raises CommandFailed: nothing matches, or several files would get one name.
    """
    sources = [path for pattern in patterns for path in await shell.existing(pattern)]
    target = local if local is not None else "."
    _check_several(sources, target, _is_directory(target))
    announce = _announcer(shell, "Fetching {} to {}", "Retrieving {}", show=shell.show)
    await shell.sftp.get(sources, target, **_options(shell, flags, announce))


async def send(
    shell: SFTPShell, patterns: Sequence[str], remote: str | None, flags: Flags = frozenset()
) -> None:
    """Upload the local files that patterns match.

    :param remote: the copy's name, or the directory to copy into; None is the current directory.
    :raises CommandFailed: nothing matches, or several files would get one name.
    """
    sources = [path for pattern in patterns for path in await _local_files(shell, pattern)]
    target = remote if remote is not None else "."
    _check_several(sources, target, len(sources) > 1 and await shell.sftp.isdir(target))
    announce = _announcer(shell, "Uploading {} to {}", "Entering {}", show=safe)
    await shell.sftp.put(sources, target, **_options(shell, flags, announce))


async def _local_files(shell: SFTPShell, pattern: str) -> list[str]:
    found = [literal(pattern)]
    if has_wildcards(pattern):
        found = await glob_in(shell.sftp.local, pattern)
    if not found or not _is_there(found[0]):
        raise CommandFailed(f"stat {safe(literal(pattern))}: No such file or directory")
    return found


def _check_several(sources: Sequence[str], target: str, is_directory: bool) -> None:
    if len(sources) > 1 and not is_directory:
        raise CommandFailed(
            f'Multiple paths match, but destination "{safe(target)}" is not a directory'
        )


_Announce = Callable[[str, str, bool], None]
"""Gets the source and the target of a transfer that begins, and whether it is a directory."""


def _announcer(
    shell: SFTPShell, file: str, directory: str, *, show: Callable[[str], str]
) -> _Announce:
    """Return a function that prints what is transferred.

    :param file: the message for a file, with places for source and target.
    :param directory: the message for a directory, with a place for the source.
    :param show: returns a source's path in the form to print.
    """

    def announce(source: str, target: str, is_directory: bool) -> None:
        shell.inform((directory if is_directory else file).format(show(source), safe(target)))

    return announce


def _options(shell: SFTPShell, flags: Flags, announce: _Announce) -> TransferOptions:
    settings, meter = shell.settings, shell.meter

    def report(error: OSError) -> None:
        meter.clear()
        path = safe(str(error.filename or ""))
        if isinstance(error, IsADirectoryError):
            shell.complain(f'"{path}": not a regular file')
        else:
            where = "remote" if isinstance(error, SFTPError) else "local"
            shell.complain(f'{where} open "{path}": {reason(error)}')

    return TransferOptions(
        recursive=settings.recursive or bool(flags & {"r", "R"}),
        preserve=settings.preserve or bool(flags & {"p", "P"}),
        resume=settings.resume or "a" in flags,
        fsync=settings.fsync or "f" in flags,
        links="skip",
        progress=meter.update if meter.enabled else None,
        on_error=report,
        on_skip=lambda path: shell.complain(f'"{safe(path)}": not a regular file'),
        on_file=None if settings.quiet else announce,
    )


# These calls block the loop, but briefly. They are functions of their own so that the linter still
# finds other blocking calls in this module.


def _is_directory(path: str) -> bool:
    return os.path.isdir(path)


def _is_there(path: str) -> bool:
    return os.path.lexists(path)
