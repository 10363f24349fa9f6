"""The directory of recordings: a folder for each day (UTC), with a file for each recording.

The name of a file tells when it began and whose it is, for people; what nacre reads is in the file.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from nacre.daemon.state import replaceable
from nacre.errors import StateError
from nacre.value import value
from nacre.wire.text import safe

PLAIN, SEALED = ".cast", ".sealed"

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOST_NAME = 64
_UNUSUAL = re.compile(r"[^A-Za-z0-9._@+-]")
_CREATE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


@value(kw_only=True)
class KeptRecordings:
    """Where sessions are recorded.

    :ivar directory: a descriptor of the directory.
    :ivar rights: the account and group that it belongs to; None for the server's.
    """

    directory: int
    rights: tuple[int, int] | None


@contextmanager
def kept_recordings(path: Path, rights: tuple[int, int] | None) -> Iterator[KeptRecordings]:
    """Open the directory up to the end of the context, for a process that reads recordings.

    :raises StateError: as :func:`open_directory`.
    """
    directory = open_directory(path, rights)
    try:
        yield KeptRecordings(directory=directory, rights=rights)
    finally:
        os.close(directory)


def open_directory(path: Path, rights: tuple[int, int] | None) -> int:
    """Return a descriptor of the directory, which is made with mode 0700 if it is missing.

    :param rights: the account that it belongs to; None for that of this process.
    :raises StateError: it can't be made or opened, belongs to another account, or others can change
        it, or put another one in its place.
    """
    owner = os.geteuid() if rights is None else rights[0]
    try:
        directory = _made(path, rights)
    except OSError as error:
        raise StateError(f"--record {path}: {error.strerror}") from error
    status = os.fstat(directory)
    reason = None
    if status.st_uid != owner:
        reason = f"it belongs to the account {status.st_uid}, and the recorder is {owner}"
    elif status.st_mode & 0o077:
        reason = f"other accounts may use it: chmod 700 {path}"
    else:
        reason = replaceable(path, owner)
    if reason is not None:
        os.close(directory)
        raise StateError(f"--record {path}: {reason}")
    return directory


def _made(path: Path, rights: tuple[int, int] | None) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return os.open(path, flags)
    # By its descriptor: others could have put a link in its place.
    directory = os.open(path, flags | os.O_NOFOLLOW)
    try:
        if rights is not None and os.fstat(directory).st_uid == os.geteuid():
            os.fchown(directory, *rights)
    except BaseException:
        os.close(directory)
        raise
    return directory


def create(directory: int, user: str, started: float, *, sealed: bool) -> tuple[int, str]:
    """Make the file of a new recording, with mode 0600.

    :param started: seconds since the epoch.
    :returns: its descriptor, and its path below the directory.
    :raises OSError: it can't be made.
    """
    when = datetime.fromtimestamp(started, UTC)
    day = when.strftime("%Y-%m-%d")
    shown = _UNUSUAL.sub("_", user)[:_MOST_NAME]
    number = secrets.token_hex(6)
    thousandths = when.microsecond // 1000
    path = f"{day}/{when:%H%M%S}.{thousandths:03}-{shown}-{number}{SEALED if sealed else PLAIN}"
    try:
        return os.open(path, _CREATE, 0o600, dir_fd=directory), path
    except FileNotFoundError:  # the first one of its day
        with suppress(FileExistsError):
            os.mkdir(day, 0o700, dir_fd=directory)
        return os.open(path, _CREATE, 0o600, dir_fd=directory), path


def remove_old(directory: int, before: float) -> int:
    """Remove the recordings that were last written before a time, and folders that are empty then.

    :param before: seconds since the epoch.
    :returns: how many were removed.
    :raises OSError: the directory can't be read.
    """
    removed = 0
    for day in os.listdir(directory):
        if not _DAY.fullmatch(day):
            continue
        with suppress(OSError):
            removed += _remove_old_of(directory, day, before)
            os.rmdir(day, dir_fd=directory)  # fails while there is one
    return removed


def _remove_old_of(directory: int, day: str, before: float) -> int:
    removed = 0
    folder = os.open(day, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
    try:
        for name in os.listdir(folder):
            if not name.endswith((PLAIN, SEALED)):
                continue
            with suppress(FileNotFoundError):
                if os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime < before:
                    os.unlink(name, dir_fd=folder)
                    removed += 1
    finally:
        os.close(folder)
    return removed


def newest(directory: int, after: str = "") -> Iterator[str]:
    """Yield the paths of recordings below a directory, those that began last first.

    :param directory: its descriptor.
    :param after: a path: those before it in time are yielded; empty for all.
    :raises OSError: the directory can't be read.
    """
    for day in sorted(filter(_DAY.fullmatch, os.listdir(directory)), reverse=True):
        if after and day > after.partition("/")[0]:
            continue
        with suppress(FileNotFoundError, NotADirectoryError):
            folder = os.open(day, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
            try:
                names = os.listdir(folder)
            finally:
                os.close(folder)
            for name in sorted(names, reverse=True):
                path = f"{day}/{name}"
                if name.endswith((PLAIN, SEALED)) and not (after and path >= after):
                    yield path


def find_recordings(directory: Path) -> Iterator[Path]:
    """Return the files of all recordings, in the order of their beginnings.

    :raises StateError: the directory can't be read.
    """
    try:
        for day in sorted(directory.iterdir()):
            if _DAY.fullmatch(day.name) and day.is_dir():
                yield from sorted(one for one in day.iterdir() if one.suffix in (PLAIN, SEALED))
    except OSError as error:
        raise StateError(f"{safe(str(directory))}: {error.strerror}") from error
