"""Directories of an object store: their markers, and renames, which copy and delete each object.

An object store has no directories. An empty object whose name ends in a slash, a marker, stands for
one; where names can't end so, it is the object :data:`MARKER` in the directory, which no client
sees in a listing. Nothing there renames: :class:`DirectoryMove` copies all objects, and only then
deletes any. A copy that fails undoes the others. The client learns how many objects were copied, or
deleted.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from contextlib import suppress

from nacre.sftp.filesystems.storage import Storage
from nacre.sftp.protocol.status import ToldError, numbered, status_of

MARKER = ".nacre-directory"
"""What keeps an empty directory of a store that drops the slash at the end of a name."""

_TOLERATED = (OSError, NotImplementedError)


def is_directory(storage: Storage, where: str) -> bool:
    """Return whether there is a directory of this name now."""
    storage.forget(where)
    with suppress(FileNotFoundError):
        return bool(storage.info(where)["type"] == "directory")
    return False


def make_directory(storage: Storage, where: str) -> None:
    """Make a directory, or its marker where the storage has no directories.

    :raises OSError: the storage can keep neither.
    """
    storage.mkdir(where)
    if is_directory(storage, where):
        return
    storage.put(f"{where}/", b"")
    if not is_directory(storage, where):
        with suppress(FileNotFoundError):
            storage.remove_file(where)  # the slash was dropped: a file was made
        storage.put(f"{where}/{MARKER}", b"")
    if not is_directory(storage, where):
        raise OSError(errno.EOPNOTSUPP, "the storage keeps no empty directories")


def try_directory(storage: Storage, where: str) -> None:
    """Make a directory that need not be kept when it is empty."""
    try:
        make_directory(storage, where)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise


def remove_directory(storage: Storage, where: str) -> None:
    """Remove an empty directory, or its marker."""
    kinds = (f"{where}/", f"{where}/{MARKER}")
    markers = [info["name"] for info in storage.ls(where) if info["name"] in kinds]
    for name in markers:
        storage.remove_file(name)
    if not markers:
        storage.rmdir(where)


def move_file(storage: Storage, source: str, target: str) -> None:
    """Copy one object, which replaces another one at once, and delete it.

    :raises OSError: it could not be copied; or not be deleted, and then it has both names.
    """
    storage.copy_file(source, target)
    try:
        storage.remove_file(source)
    except OSError as error:
        raise _told(error, "0 of 1 objects deleted after all were copied: it has both names") from (
            None
        )


class DirectoryMove:
    """The rename of a directory from ``source`` to ``target``, which does not exist."""

    def __init__(self, storage: Storage, source: str, target: str) -> None:
        self._storage = storage
        self._source = source
        self._target = target
        storage.forget()
        below = storage.find(source)
        names = sorted(name for name in below if name.rstrip("/") != source.rstrip("/"))
        kinds = {name: below[name]["type"] == "directory" for name in names}
        self._directories = [name for name in names if kinds[name]]
        markers = ("/", f"/{MARKER}")
        self._files = [name for name in names if not kinds[name] and not name.endswith(markers)]

    def run(self) -> None:
        """Move it.

        :raises OSError: it was not moved, or not wholly; the text says how far it came.
        """
        total = len(self._files)
        made, copied = self._copy()
        if copied is not None:
            left = self._delete([self._new(name) for name in self._files[:made]])
            self._remove_directories(self._target)
            kept = "" if not left else f"; {left} copies could not be deleted"
            raise _told(copied, f"{made} of {total} objects copied, the rename is undone{kept}")
        failed: list[OSError] = []
        left = self._delete(self._files, failed.append)
        if not left:
            left = self._remove_directories(self._source, failed.append)
            if not left:
                return
            raise _told(failed[0], f"all {total} objects renamed, but not all directories removed")
        text = f"{total - left} of {total} objects renamed, the others have both names"
        raise _told(failed[0], text)

    def _new(self, name: str) -> str:
        return self._target + name[len(self._source) :]

    def _copy(self) -> tuple[int, OSError | None]:
        """Make the directories and copy the files; return how many, and what failed."""
        copied = 0
        try:
            for name in [self._source, *self._directories]:
                try_directory(self._storage, self._new(name))
            for name in self._files:
                self._storage.copy_file(name, self._new(name))
                copied += 1
        except _TOLERATED as error:
            known = error if isinstance(error, OSError) else OSError(errno.EOPNOTSUPP, "")
            return copied, known
        return copied, None

    def _delete(
        self, names: Iterable[str], note: Callable[[OSError], None] = lambda _: None
    ) -> int:
        """Delete files; return how many are left, and ``note`` why."""
        left = 0
        for name in names:
            try:
                self._storage.remove_file(name)
            except FileNotFoundError:
                pass  # another session was faster
            except OSError as error:
                note(error)
                left += 1
        return left

    def _remove_directories(
        self, top: str, note: Callable[[OSError], None] = lambda _: None
    ) -> int:
        """Remove the directories below ``top`` and itself, parents last; return how many are left.

        Without a marker, a directory of an object store goes with its last object.
        """
        left = 0
        for name in reversed([self._source, *self._directories]):
            where = top + name[len(self._source) :]
            self._storage.forget(where)
            try:
                remove_directory(self._storage, where)
            except (FileNotFoundError, NotImplementedError):
                pass
            except OSError as error:
                note(error)
                left += 1
        return left


def _told(error: OSError, text: str) -> ToldError:
    """Return a failure that says how far a rename came, and why no further."""
    known = numbered(error)
    return ToldError(known.errno or errno.EIO, f"{text} ({status_of(known)[1]})")
