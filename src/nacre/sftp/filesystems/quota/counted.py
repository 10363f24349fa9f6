"""A filesystem that counts what is stored and transferred, and refuses what is too much.

Whatever changes the size or the number of files holds the user's ledger meanwhile: what is there
before is looked at, what may grow is checked, and what is there afterwards is counted, also when
the change failed. So no two sessions count the same bytes, or give them back twice.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from nacre.sftp.filesystems.base import WRITING, File, LayeredFilesystem, WrappedFile
from nacre.sftp.filesystems.quota.limits import one_name
from nacre.sftp.filesystems.quota.quota import Change, Quota, size_of
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.extensions import FileSystemStatus
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.protocol.status import ToldError
from nacre.wire.codec import Buffer


class _CountedFile(WrappedFile):
    """An open file whose bytes are counted."""

    inner: Any

    def __init__(self, inner: Any, quota: Quota, tree: str, *, appends: bool) -> None:
        super().__init__(inner)
        self.vectors = inner.vectors
        self._quota = quota
        self._tree = tree
        self._appends = appends

    # --- reading ---

    def pread(self, size: int, offset: int) -> Buffer:
        data: Buffer = self.inner.pread(size, offset)
        if self._quota.receives:
            self._quota.transfer("down", len(data))
        return data

    def preadv(self, buffers: Sequence[memoryview], offset: int, *, wait: bool = True) -> int:
        size: int = self.inner.preadv(buffers, offset, wait=wait)
        if self._quota.receives:
            self._quota.transfer("down", size)
        return size

    # --- writing ---

    def pwrite(self, data: Buffer, offset: int) -> None:
        self._write(self.inner.pwrite, data, len(data), offset)

    def pwritev(self, buffers: Sequence[Buffer], offset: int) -> None:
        self._write(self.inner.pwritev, buffers, sum(map(len, buffers)), offset)

    def _write(
        self, write: Callable[[Any, int], object], data: Any, size: int, offset: int
    ) -> None:
        quota = self._quota
        if not quota.stores:
            if quota.sends:
                quota.transfer("up", size)
            write(data, offset)
            return
        with quota.changing(self._tree, up=size) as change:
            before = self._size_to_change()
            end = before + size if self._appends else offset + size
            change.check(end - before, 0)
            try:
                write(data, offset)
            finally:
                self._settle(change, before)

    def copy_from(self, source: File, start: int, length: int, offset: int) -> int:
        known = source.inner if isinstance(source, _CountedFile) else source
        if not self._quota.stores:
            return int(self.inner.copy_from(known, start, length, offset))
        with self._quota.changing(self._tree) as change:
            before, room = self._size_to_change(), change.room()
            if room is not None:
                length = min(length, max(0, before - offset) + room)
                if not length:
                    change.check(1, 0)
            change.expect(offset + length - before, 0)
            try:
                return int(self.inner.copy_from(known, start, length, offset))
            finally:
                self._settle(change, before)

    def set_attributes(self, attributes: Attributes) -> None:
        if attributes.size is None or not self._quota.stores:
            self.inner.set_attributes(attributes)
            return
        with self._quota.changing(self._tree) as change:
            before = self._size_to_change()
            change.check(attributes.size - before, 0)
            try:
                self.inner.set_attributes(attributes)
            finally:
                self._settle(change, before)

    def _size_to_change(self) -> int:
        """Return the file's bytes.

        :raises ToldError: it must not be changed.
        """
        size, names = self.inner.extent()
        if names != 1:
            raise _miscounted(names)
        return int(size)

    def _settle(self, change: Change, before: int) -> None:
        """Count what a change has made of a file of ``before`` bytes."""
        try:
            change.bytes += self.inner.extent()[0] - before
        except OSError:
            change.doubt()

    def statvfs(self) -> FileSystemStatus:
        return self._quota.narrowed(self.inner.statvfs())


def _miscounted(names: int) -> ToldError:
    """Return why a file must not be changed that has not one name.

    With several, each counts, and keeps what all have. One that was removed counts no more, and
    must not grow.
    """
    if not names:
        return ToldError(errno.ESTALE, "the file was removed, or replaced, while it was open")
    return ToldError(errno.EMLINK, "your files are counted, and this one has two names: copy it")


class QuotaFilesystem(LayeredFilesystem):
    """Another filesystem, as far as the limits of a user allow.

    It is never ``prompt``: another session may hold the ledger.
    """

    prompt = False

    def __init__(self, inner: Any, quota: Quota, tree: str = "", *, links: bool = False) -> None:
        """Count the files of ``inner``, whose methods are plain functions.

        :param tree: its directory, as it was configured.
        :param links: make hard links: who stands in front removes one of the two names at once.
        """
        super().__init__(inner)
        self._quota = quota
        self._tree = tree
        self._links = links
        quota.watch(inner, tree)

    # --- files ---

    def open(self, path: str, flags: OpenFlag, attributes: Attributes) -> File:
        """See :meth:`nacre.Filesystem.open`."""
        quota, writes = self._quota, bool(flags & WRITING)
        creates = writes and quota.stores and flags & (OpenFlag.CREAT | OpenFlag.TRUNC)
        file: File = (self._create if creates else self.inner.open)(path, flags, attributes)
        if quota.receives or (writes and (quota.stores or quota.sends)):
            return _CountedFile(file, quota, self._tree, appends=bool(flags & OpenFlag.APPEND))
        return file

    def _create(self, path: str, flags: OpenFlag, attributes: Attributes) -> Any:
        with self._quota.changing(self._tree) as change:
            found = self._found(self.inner.stat, path)
            if found is None and flags & OpenFlag.CREAT:
                change.check(0, 1)
            file = self.inner.open(path, flags, attributes)
            try:
                size, names = file.extent()
                change.bytes += size
                if names > 1:
                    change.doubt()  # other names have another size now, too
            except OSError:
                change.doubt()
            if found is None:
                change.files += 1
            else:
                change.bytes -= size_of(found)
            return file

    def set_attributes(
        self, path: str, attributes: Attributes, *, follow_symlinks: bool = True
    ) -> None:
        """See :meth:`nacre.Filesystem.set_attributes`."""
        if attributes.size is None or not self._quota.stores:
            super().set_attributes(path, attributes, follow_symlinks=follow_symlinks)
            return
        look = self.inner.stat if follow_symlinks else self.inner.lstat
        with self._quota.changing(self._tree) as change:
            before = size_of(look(path))
            file = self.inner.open(path, OpenFlag.WRITE, Attributes())
            try:
                names = file.extent()[1]
            finally:
                file.close()
            if names != 1:
                raise _miscounted(names)
            change.check(attributes.size - before, 0)
            try:
                super().set_attributes(path, attributes, follow_symlinks=follow_symlinks)
            finally:
                try:
                    change.bytes += size_of(look(path)) - before
                except OSError:
                    change.doubt()

    # --- names ---

    def remove(self, path: str) -> None:
        """See :meth:`nacre.Filesystem.remove`."""
        self._give_back(path, super().remove)

    def rmdir(self, path: str) -> None:
        """See :meth:`nacre.Filesystem.rmdir`."""
        self._give_back(path, super().rmdir)

    def _give_back(self, path: str, act: Callable[[str], None]) -> None:
        if not self._quota.stores:
            act(path)
            return
        with self._quota.changing(self._tree) as change:
            found = self.inner.lstat(path)
            act(path)
            change.bytes -= size_of(found)
            change.files -= 1

    def rename(self, old: str, new: str, *, replace: bool) -> None:
        """See :meth:`nacre.Filesystem.rename`."""
        if not (replace and self._quota.stores):
            super().rename(old, new, replace=replace)
            return
        with self._quota.changing(self._tree) as change:
            replaced = self._found(self.inner.lstat, _bare(new))
            super().rename(old, new, replace=True)
            # Two names of one file both stay (rename(2)), and so does a file renamed to itself.
            if replaced is not None and self._found(self.inner.lstat, _bare(old)) is None:
                change.bytes -= size_of(replaced)
                change.files -= 1

    def mkdir(self, path: str, attributes: Attributes) -> None:
        """See :meth:`nacre.Filesystem.mkdir`."""
        with self._one_more():
            super().mkdir(path, attributes)

    def symlink(self, target: str, link: str) -> None:
        """See :meth:`nacre.Filesystem.symlink`."""
        with self._one_more():
            super().symlink(target, link)

    def link(self, old: str, new: str) -> None:
        """See :meth:`nacre.Filesystem.link`; a file that grows counts once, whatever its names."""
        if not self._quota.stores:
            super().link(old, new)
            return
        if not self._links:
            raise one_name()
        with self._quota.changing(self._tree) as change:
            change.expect(size_of(self.inner.lstat(old)), 1)
            super().link(old, new)
            change.bytes += size_of(self.inner.lstat(new))
            change.files += 1

    @contextmanager
    def _one_more(self) -> Iterator[None]:
        if not self._quota.stores:
            yield
            return
        with self._quota.changing(self._tree) as change:
            change.check(0, 1)
            yield
            change.files += 1

    def _found(self, look: Callable[[str], Attributes], path: str) -> Attributes | None:
        with suppress(FileNotFoundError):
            return look(path)
        return None

    # --- the rest ---

    def statvfs(self, path: str) -> FileSystemStatus:
        """See :meth:`nacre.Filesystem.statvfs`."""
        return self._quota.narrowed(super().statvfs(path))

    def close(self) -> None:
        """See :meth:`nacre.Filesystem.close`."""
        self._quota.forget(self.inner)
        self.inner.close()


def _bare(path: str) -> str:
    """Return a path without trailing slashes: a link at its end is not followed."""
    return path.rstrip("/") or path
