"""How files that clients upload come to be: under their names at once, or when they are complete.

An upload is a file that is opened for writing and was not there, or is truncated. ``atomic`` ones
are written to ``.NAME.XXXXXXXX.part`` in the same directory, and get their names when the client
closes them: whoever reads NAME has the old file or the new one, and never a part. What breaks off,
by the client, the connection or a write that failed, is kept (an atomic one as ``NAME.part``) or
removed.

A file that is opened for writing without being truncated is changed in place, whatever was chosen:
so are resumed uploads (``reput``), which go on behind what is there, and appended ones.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from nacre.sftp.filesystems.base import WRITING, File, Filesystem, LayeredFilesystem, WrappedFile
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.protocol.status import ToldError
from nacre.wire.codec import Buffer

UPLOADS = ("direct", "atomic")
PARTIAL = ("keep", "remove")
"""What happens with uploads that break off."""

PART = ".part"
_NAME = 200
"""Bytes of a name that are in the name of its part: a name has 255 at most."""

_CREATING = OpenFlag.CREAT | OpenFlag.EXCL


def with_uploads(files: Filesystem, uploads: str, partial: str) -> Filesystem:
    """Return a filesystem with uploads as chosen; ``files`` itself where they are so anyway.

    :param files: its methods are plain functions (``blocking``).
    :param uploads: one of :data:`UPLOADS`.
    :param partial: one of :data:`PARTIAL`.
    """
    if files.whole_uploads or (uploads, partial) == ("direct", "keep"):
        return files
    return UploadsFilesystem(files, atomic=uploads == "atomic", keep=partial == "keep")


class _UploadedFile(WrappedFile):
    """A file that is uploaded, and what happens at its end."""

    inner: Any

    def __init__(self, inner: Any, files: UploadsFilesystem, place: _Place) -> None:
        super().__init__(inner)
        self.vectors = inner.vectors
        self._files = files
        self._place = place
        self._failed = False

    def pread(self, size: int, offset: int) -> Any:
        return self.inner.pread(size, offset)

    def preadv(self, buffers: Sequence[memoryview], offset: int, *, wait: bool = True) -> int:
        read: int = self.inner.preadv(buffers, offset, wait=wait)
        return read

    def pwrite(self, data: Buffer, offset: int) -> None:
        self._change("pwrite", data, offset)

    def pwritev(self, buffers: Sequence[Buffer], offset: int) -> None:
        self._change("pwritev", buffers, offset)

    def copy_from(self, source: File, start: int, length: int, offset: int) -> Any:
        # What the storage can't do is done by reading and writing: nothing has failed.
        known = source.inner if isinstance(source, _UploadedFile) else source
        return self.inner.copy_from(known, start, length, offset)

    def set_attributes(self, attributes: Attributes) -> None:
        if attributes.size is None:
            self.inner.set_attributes(attributes)
        else:
            self._change("set_attributes", attributes)

    def fsync(self) -> None:
        self._change("fsync")

    def _change(self, method: str, *given: Any) -> None:
        before, self._failed = self._failed, True
        getattr(self.inner, method)(*given)
        self._failed = before

    def close(self) -> None:
        done = False
        try:
            self.inner.close()
            if self._failed:
                raise ToldError(errno.EIO, "the upload is not complete: a write has failed")
            self._files.complete(self._place)
            done = True
        finally:
            if not done:
                self._files.break_off(self._place)

    def abort(self) -> None:
        try:
            self.inner.abort()
        finally:
            self._files.break_off(self._place)


class _Place:
    """Where an upload is written, and the name that it gets.

    :ivar part: the same as ``target`` for a direct one.
    :ivar replace: whether it may replace what has the name by then.
    """

    def __init__(self, target: str, part: str, replace: bool) -> None:
        self.target = target
        self.part = part
        self.replace = replace


class UploadsFilesystem(LayeredFilesystem):
    """Another filesystem, with uploads that are atomic, or removed when they break off."""

    def __init__(self, inner: Any, *, atomic: bool, keep: bool) -> None:
        """Serve the files of ``inner``, whose methods are plain functions.

        :param keep: whether to keep uploads that break off.
        """
        super().__init__(inner)
        self._atomic = atomic
        self._keep = keep
        self._active: dict[str, str] = {}

    # --- uploads ---

    def open(self, path: str, flags: OpenFlag, attributes: Attributes) -> File:
        """See :meth:`nacre.Filesystem.open`."""
        inner = self.inner
        if not flags & WRITING:
            file: File = inner.open(self._at(path), flags, attributes)
            return file
        found = self._found(path)
        fresh = flags & OpenFlag.CREAT if found is None else flags & OpenFlag.TRUNC
        if not fresh or (found is not None and flags & OpenFlag.EXCL):
            changed: File = inner.open(path, flags, attributes)
            return changed
        target = inner.realpath(path)
        if not self._atomic:
            direct = inner.open(path, flags, attributes)
            return _UploadedFile(direct, self, _Place(target, target, True))
        return self._open_part(target, flags, attributes, found)

    def _open_part(
        self, target: str, flags: OpenFlag, attributes: Attributes, found: Attributes | None
    ) -> File:
        if found is not None:
            # It fails where the file itself could not be written: no right, or no file.
            self.inner.open(target, OpenFlag.WRITE, Attributes()).close()
            attributes = Attributes(permissions=(found.permissions or 0o644) & 0o777)
        part = _part_of(target)
        kept = flags & (OpenFlag.READ | OpenFlag.APPEND)
        file = self.inner.open(part, OpenFlag.WRITE | _CREATING | kept, attributes)
        place = _Place(target, part, replace=not flags & OpenFlag.EXCL)
        made = _UploadedFile(file, self, place)
        try:
            if found is not None:  # the umask is for new files
                with suppress(NotImplementedError):
                    file.set_attributes(attributes)
        except BaseException:
            made.abort()
            raise
        self._active[target] = part
        return made

    def _found(self, path: str) -> Attributes | None:
        with suppress(FileNotFoundError):
            found: Attributes = self.inner.stat(path)
            return found
        return None

    def complete(self, place: _Place) -> None:
        """Give an upload its name."""
        if place.part != place.target:
            self.inner.rename(place.part, place.target, replace=place.replace)
            self._forget(place)

    def break_off(self, place: _Place) -> None:
        """Keep or remove what there is of an upload."""
        self._forget(place)
        with suppress(OSError, NotImplementedError):
            if not self._keep:
                self.inner.remove(place.part)
            elif place.part != place.target:
                self.inner.rename(place.part, place.target + PART, replace=True)

    def _forget(self, place: _Place) -> None:
        if self._active.get(place.target) == place.part:
            del self._active[place.target]

    def _at(self, path: str) -> str:
        """Return where a file is now: this session sees its uploads by their names."""
        if not self._active:
            return path
        with suppress(OSError):
            return self._active.get(self.inner.realpath(path), path)
        return path

    def stat(self, path: str) -> Any:
        """See :meth:`nacre.Filesystem.stat`."""
        return self.inner.stat(self._at(path))

    def lstat(self, path: str) -> Any:
        """See :meth:`nacre.Filesystem.lstat`."""
        return self.inner.lstat(self._at(path))

    def set_attributes(
        self, path: str, attributes: Attributes, *, follow_symlinks: bool = True
    ) -> Any:
        """See :meth:`nacre.Filesystem.set_attributes`."""
        where = self._at(path)
        return self.inner.set_attributes(where, attributes, follow_symlinks=follow_symlinks)


def _part_of(target: str) -> str:
    """Return the path of a new part in the directory of ``target``; nobody else can guess it."""
    directory, _, name = target.rpartition("/")
    short = os.fsencode(name)[:_NAME].decode("utf-8", "ignore")
    return f"{directory}/.{short}.{secrets.token_hex(4)}{PART}"
