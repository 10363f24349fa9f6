"""What is done on the host: the file of keys is read, and lines that it lacks are added."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Sequence

from nacre.cli.copy_id.identities import NewKey, missing
from nacre.client.connection import Connection
from nacre.errors import NacreError, SFTPError
from nacre.wire.text import safe

DEFAULT_FILE = ".ssh/authorized_keys"

_LARGEST = 1 << 20
"""Bytes of a file of keys that are read."""

_DROPBEAR = "/etc/dropbear/authorized_keys"
"""Where Dropbear has root's keys on small systems; used if it is there and the user may write."""


class NotInstalled(NacreError):
    """The keys could not be installed."""


async def install(
    connection: Connection, wanted: Sequence[NewKey], target: str | None, *, by_sftp: bool
) -> list[NewKey]:
    """Add the keys that the user's file on the host lacks; return them.

    The file and its directory are made, readable by their owner alone, where they are missing.

    :param target: the file, relative to the home directory; None for the usual one.
    :param by_sftp: use SFTP, and run no command.
    :raises NotInstalled: the host refuses; the text says what to do.
    """
    if by_sftp:
        return await _by_sftp(connection, wanted, target or DEFAULT_FILE)
    return await _by_commands(connection, wanted, target)


def _lines(identities: Sequence[NewKey], before: bytes) -> bytes:
    """Return what to append to a file with the text ``before``."""
    begin = b"\n" if before and not before.endswith(b"\n") else b""
    lines = (identity.line.encode("utf-8", "surrogateescape") + b"\n" for identity in identities)
    return begin + b"".join(lines)


# --- by commands ---


async def _by_commands(
    connection: Connection, wanted: Sequence[NewKey], target: str | None
) -> list[NewKey]:
    path = shlex.quote(target or DEFAULT_FILE)
    choose = f"cd; umask 077; file={path}"
    if target is None and "dropbear" in connection.peer_version.lower():
        choose += f"; test ! -w {_DROPBEAR} || file={_DROPBEAR}"
    before = await _run(connection, f'{choose}; test ! -f "$file" || cat "$file"')
    added = missing(wanted, before)
    if added:
        await _run(
            connection,
            f'{choose}; mkdir -p "$(dirname "$file")" && cat >> "$file" && '
            '{ ! command -v restorecon >/dev/null || restorecon -F "$(dirname "$file")" "$file"; }',
            _lines(added, before),
        )
    return added


async def _run(connection: Connection, script: str, input: bytes = b"") -> bytes:
    # The login shell may be any: a POSIX shell runs the script.
    command = f"exec sh -c {shlex.quote(script)}"
    try:
        done = await connection.run(command, input=input, encoding=None, max_output=_LARGEST)
    except NacreError as error:
        raise NotInstalled(
            f"the host runs no command: {error}; -s does it without one, if the host has SFTP"
        ) from error
    if done.exit_status != 0:
        said = safe(done.stderr.decode(errors="replace").strip(), 500)
        raise NotInstalled(
            f"the host can't change its file of keys: {said or 'the command failed'}; "
            "-s does it without a command, if the host has SFTP"
        )
    return done.stdout


# --- by SFTP ---


async def _by_sftp(connection: Connection, wanted: Sequence[NewKey], path: str) -> list[NewKey]:
    folder = posixpath.dirname(path)
    try:
        async with connection.sftp() as sftp:
            there = await sftp.exists(path)
            before = await sftp.read_bytes(path) if there else b""
            added = missing(wanted, before)
            if not added:
                return added
            if folder and not await sftp.exists(folder):
                await sftp.makedirs(folder, 0o700)
            async with await sftp.open(path, "ab", permissions=0o600) as file:
                await file.write(_lines(added, before))
            return added
    except SFTPError as error:
        raise NotInstalled(f"the host refuses to change its file of keys: {error}") from error
