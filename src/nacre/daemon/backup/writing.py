"""Writes a backup of a state directory, which servers and ``nacre user`` may change meanwhile.

Each database is copied as of one moment by SQLite's backup interface, for which nobody has to wait;
every other file is copied as it is. Two databases may be of moments that are seconds apart.
"""

from __future__ import annotations

import hashlib
import io
import os
import sqlite3
import stat
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO

from nacre.daemon.backup.archive import MANIFEST, BackedUp, dump
from nacre.errors import StateError

_BUSY_SECONDS = 30.0
_DATABASE = ".db"
_PASSING = ("-wal", "-shm", "-journal", ".unfinished")
"""How the names of files end that hold what a database or a process has not finished."""


def back_up(state: Path, target: Path | None, out: IO[bytes] | None = None) -> list[BackedUp]:
    """Write a backup; return what is in it. Blocks.

    :param target: the file, which gets mode 0600 and is replaced at once; None to write to ``out``.
    :raises StateError: the state can't be read, or the file not be written.
    """
    try:
        if target is None:
            assert out is not None
            return _write(state, out, Path(tempfile.gettempdir()))
        with _replaced(target.absolute()) as file:
            return _write(state, file, target.absolute().parent)
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        raise StateError(f"can't back up {state}:{where} {error.strerror}") from error


@contextmanager
def _replaced(target: Path) -> Iterator[IO[bytes]]:
    """Open a new file of mode 0600 that gets the name ``target`` at the end, and not before."""
    descriptor, name = tempfile.mkstemp(".unfinished", f".{target.name}.", target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.rename(name, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def _write(state: Path, out: IO[bytes], room: Path) -> list[BackedUp]:
    """Write the archive; ``room`` is a directory for copies of databases."""
    entries: list[BackedUp] = []
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for path in _files(state):
            name = path.relative_to(state).as_posix()
            if path.suffix == _DATABASE:
                with tempfile.TemporaryDirectory(prefix=".nacre-backup-", dir=room) as directory:
                    copy = Path(directory, path.name)
                    _copy_database(path, copy)
                    entries.append(_add(archive, name, copy))
            else:
                entries.append(_add(archive, name, path))
        if not entries:
            raise StateError(f"there is nothing in {state} to back up")
        text = dump(entries, int(time.time()))
        archive.addfile(_header(MANIFEST, len(text), 0o600), io.BytesIO(text))
    return entries


def _files(state: Path) -> list[Path]:
    """Return all regular files below a directory but the passing ones, sorted; no link counts."""
    found = []
    for directory, _, names in os.walk(state, onerror=_raise):
        for name in names:
            path = Path(directory, name)
            with suppress(FileNotFoundError):  # it was a passing one
                if stat.S_ISREG(path.lstat().st_mode) and not name.endswith(_PASSING):
                    found.append(path)
    return sorted(found)


def _raise(error: OSError) -> None:
    raise error


def _copy_database(source: Path, target: Path) -> None:
    """Copy a database as of one moment.

    :raises StateError: it is none, or can't be read.
    """
    try:
        with (
            closing(sqlite3.connect(source, timeout=_BUSY_SECONDS)) as there,
            closing(sqlite3.connect(target)) as here,
        ):
            # All pages in one step: in several, each change of another process begins it anew.
            there.backup(here, pages=-1)
    except sqlite3.Error as error:
        raise StateError(f"can't back up the database {source}: {error}") from error


class _Hashed:
    """A file as it is read, with the hash of what was read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.hash.update(data)
        return data


def _add(archive: tarfile.TarFile, name: str, path: Path) -> BackedUp:
    """Add a file with the bytes that it has now: it may grow meanwhile, as a log does."""
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        mode = stat.S_IMODE(status.st_mode) & 0o755
        if path.suffix == _DATABASE:
            mode = 0o600
        hashed = _Hashed(file)
        archive.addfile(_header(name, status.st_size, mode), hashed)
    return BackedUp(name, status.st_size, mode, hashed.hash.hexdigest())


def _header(name: str, size: int, mode: int) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.size, found.mode, found.mtime = size, mode, int(time.time())
    return found
