"""Restores a backup into a state directory that is empty or missing: wholly, or not at all.

All is written to a new directory beside it first, and checked. That directory then takes the place
of the state directory in one step (rename(2)), which the system refuses if somebody has put
something into it meanwhile.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import tarfile
import tempfile
from contextlib import closing, suppress
from pathlib import Path, PurePosixPath
from typing import IO

from nacre.daemon.backup.archive import MANIFEST, MOST_MANIFEST, BackedUp, load
from nacre.daemon.state import open_state
from nacre.errors import StateError
from nacre.wire.text import safe

_BLOCK = 1 << 20


def restore(source: IO[bytes], state: Path) -> dict[str, BackedUp]:
    """Restore what ``source`` reads; return what was restored, by path. Blocks.

    :raises StateError: the backup is damaged, or the directory is not empty, or in use.
    """
    state = state.absolute()
    try:
        _check_free(state)
        state.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(".unfinished", f".{state.name}.", state.parent))
        try:
            found = _unpack(source, made)
            for directory in (made, *(path for path in made.rglob("*") if path.is_dir())):
                _sync(directory)
            os.rename(made, state)
            _sync(state.parent)
            return found
        finally:
            with suppress(FileNotFoundError):
                shutil.rmtree(made)
    except tarfile.TarError as error:
        raise StateError(f"the backup is damaged, or is none: {error}") from error
    except OSError as error:
        raise StateError(f"can't restore to {state}: {error.strerror}") from error


def _check_free(state: Path) -> None:
    """Refuse a directory that has something in it, or of which a server has files open.

    :raises StateError: it does.
    """
    if (user := _user_of(state)) is not None:
        raise StateError(
            f"the process {user} uses {state}: stop the server, or restore to another directory "
            "with --state"
        )
    if os.path.ismount(state):
        raise StateError(
            f"{state} is a mount point, which can't be replaced in one step: restore to a "
            "directory in it, and start the server with --state"
        )
    if state.exists() and any(open_state(state, create=False).iterdir()):
        raise StateError(
            f"{state} is not empty: move it away, or restore to another directory with --state"
        )


def _user_of(state: Path) -> int | None:
    """Return a process that has a file below a directory open, even one that was removed."""
    below = f"{os.path.realpath(state)}/"
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or belongs to another account
            for number in os.listdir(process / "fd"):
                if os.readlink(process / "fd" / number).startswith(below):
                    return int(process.name)
    return None


def _unpack(source: IO[bytes], target: Path) -> dict[str, BackedUp]:
    """Write all files of an archive below ``target``, and compare them with the manifest.

    :raises StateError: they are not what the manifest says.
    """
    written: dict[str, BackedUp] = {}
    said: dict[str, BackedUp] | None = None
    with tarfile.open(fileobj=source, mode="r|") as archive:
        for member in archive:
            if said is not None:
                raise StateError("the backup is damaged: its manifest is not its end")
            path = _checked(member, written)
            content = archive.extractfile(member)
            assert content is not None
            if member.name == MANIFEST:
                said = load(content.read(MOST_MANIFEST))
            else:
                written[member.name] = _copy(content, target / path, member)
    if said is None:
        raise StateError("the backup is not complete: its end is missing")
    for name in sorted(said.keys() | written.keys()):
        if said.get(name) != written.get(name):
            raise StateError(f"the backup is damaged: {safe(name, 200)} is not as it was")
    for name in written:
        if name.endswith(".db"):
            _check_database(target / name)
    return written


def _checked(member: tarfile.TarInfo, written: dict[str, BackedUp]) -> PurePosixPath:
    """Return the path of a member, which must be a plain file that lies below the target."""
    path = PurePosixPath(member.name)
    parts = path.parts
    proper = member.isreg() and parts and not path.is_absolute() and ".." not in parts
    if not proper or str(path) != member.name or member.name in written or "\0" in member.name:
        raise StateError(f"this is no backup of nacre: it has {safe(member.name, 200)!r} in it")
    return path


def _copy(content: IO[bytes], path: Path, member: tarfile.TarInfo) -> BackedUp:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    digest, size = hashlib.sha256(), 0
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        while block := content.read(_BLOCK):
            digest.update(block)
            size += len(block)
            file.write(block)
        file.flush()
        os.fchmod(file.fileno(), member.mode & 0o755)
        os.fsync(file.fileno())
    return BackedUp(member.name, size, member.mode & 0o755, digest.hexdigest())


def _check_database(path: Path) -> None:
    try:
        with closing(sqlite3.connect(path)) as database:
            found = database.execute("PRAGMA quick_check").fetchone()
    except sqlite3.Error as error:
        raise StateError(f"the backup's {path.name} is damaged: {error}") from error
    if found != ("ok",):
        raise StateError(f"the backup's {path.name} is damaged: {safe(str(found[0]), 200)}")


def _sync(directory: Path) -> None:
    """Have the names in a directory be on the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
