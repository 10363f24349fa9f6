"""A storage of fsspec whose objects are counted, and which takes no more than fits.

A storage is slow, and an upload there may last for hours, so no ledger is held while data is sent.
An upload to an object store is stored when it is closed, and not before: each write checks that
there is room for what came so far, and the close holds the ledger, checks again, and counts. So
what is stored never exceeds the quota, and a process that is killed before leaves no mark.

Another storage may have a part of an upload at any time. There the ledger is told before each
write, and corrected when the upload ends: if the process is killed, the ledger has what is stored,
or more.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from nacre.sftp.filesystems.base import WRITING, File, LayeredFilesystem, WrappedFile
from nacre.sftp.filesystems.fsspec import FsspecFilesystem
from nacre.sftp.filesystems.quota.counted import QuotaFilesystem
from nacre.sftp.filesystems.quota.quota import Change, Quota, size_of
from nacre.sftp.filesystems.storage import CALL_SECONDS
from nacre.sftp.filesystems.walk import failure
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.extensions import FileSystemStatus
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.protocol.paths import join, normalise
from nacre.wire.codec import Buffer

_HARMLESS = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError)
_NOTHING_DONE = {
    *(errno.EBUSY, errno.EDQUOT, errno.EINVAL, errno.ENOTEMPTY, errno.EOPNOTSUPP, errno.EROFS),
}
"""Failures after which a storage is as it was before; after others a part may have been done."""

_UNIT = 4096
_ENDLESS = (1 << 63) // _UNIT
_LONGEST_NAME = 255


def counting(inner: Any, quota: Quota, tree: str, *, links: bool) -> LayeredFilesystem:
    """Return a filesystem behind the limits of a user, whether its files are objects or not.

    :param inner: what the URL of a storage leads to; its methods are plain functions.
    :param tree: the URL, as it was configured.
    :param links: see :class:`QuotaFilesystem`.
    """
    if isinstance(inner, FsspecFilesystem):
        return StorageQuotaFilesystem(inner, quota, tree)
    return QuotaFilesystem(inner, quota, tree, links=links)


class _CountedObject(WrappedFile):
    """A file that is only read."""

    inner: Any

    def __init__(self, inner: Any, quota: Quota) -> None:
        super().__init__(inner)
        self._quota = quota

    def pread(self, size: int, offset: int) -> Buffer:
        data: Buffer = self.inner.pread(size, offset)
        if self._quota.receives:
            self._quota.transfer("down", len(data), patience=CALL_SECONDS)
        return data


class _Upload:
    """What the ledger has under the name of a file that is written.

    :ivar size: bytes; ``files`` is 1 if there is a file.
    """

    def __init__(self, files: StorageQuotaFilesystem, path: str, found: Attributes | None) -> None:
        self._files = files
        self._path = path
        self.size = 0 if found is None else size_of(found)
        self.files = int(found is not None)
        self._doubts: tuple[int, ...] | None = None

    def need(self, end: int, up: int = 0) -> None:
        """Check that there is room for a file of ``end`` bytes; count ``up`` bytes as written.

        :raises ToldError: there is none.
        """
        files, quota = self._files, self._files.quota
        more, new = max(0, end - self.size), 1 - self.files
        if not quota.stores:
            if quota.sends:
                quota.transfer("up", up, patience=CALL_SECONDS)
        elif files.whole_uploads:
            quota.admit(files.tree, more, new, up=up, patience=CALL_SECONDS)
        else:
            with quota.changing(files.tree, up=up, patience=CALL_SECONDS) as change:
                change.check(more, new)
                change.bytes += more
                change.files += new
                self._doubts = self._doubts or change.doubts
            self.size, self.files = self.size + more, 1

    def settle(self, change: Change, size: int | None) -> None:
        """Count the file with its ``size``; None if there is none."""
        change.bytes += (size or 0) - self.size
        change.files += int(size is not None) - self.files
        self.size, self.files = size or 0, int(size is not None)

    def complete(self, file: Any) -> None:
        """Close the file, which the storage then has.

        :raises OSError: it has not, or there is no room for it.
        """
        files = self._files
        if not files.quota.stores:
            file.close()
            return
        with files.change() as change:
            size: int = file.stat().size
            if files.whole_uploads:
                found = files.inner.stored(self._path)  # other sessions have changed it, perhaps
                self.size = 0 if found is None else size_of(found)
                self.files = int(found is not None)
                change.check(size - self.size, 1 - self.files)
                if found is None and not files.has_parent(self._path):
                    change.doubt()  # the directory was removed, and will be there again
                file.close()
                self.settle(change, size)
            else:
                file.close()
                self._correct(change)

    def break_off(self) -> None:
        """Count what there is after an upload that was not completed."""
        if self._files.quota.stores and not self._files.whole_uploads:
            with self._files.change() as change:
                self._correct(change)

    def _correct(self, change: Change) -> None:
        found = self._files.inner.stored(self._path)
        self.settle(change, None if found is None else size_of(found))
        if change.doubts != self._doubts:
            change.doubt()  # all was counted meanwhile, and some part of this file with it


class _CountedUpload(_CountedObject):
    """A file that is written, and counted when it is closed."""

    def __init__(self, inner: Any, upload: _Upload, quota: Quota, *, appends: bool) -> None:
        super().__init__(inner, quota)
        self._upload = upload
        self._appends = appends

    def pwrite(self, data: Buffer, offset: int) -> None:
        size: int = self.inner.stat().size
        end = size + len(data) if self._appends else max(size, offset + len(data))
        self._upload.need(end, len(data))
        self.inner.pwrite(data, offset)

    def set_attributes(self, attributes: Attributes) -> None:
        if attributes.size is not None:
            self._upload.need(attributes.size)
        self.inner.set_attributes(attributes)

    def close(self) -> None:
        try:
            self._upload.complete(self.inner)
        except BaseException:
            self.abort()
            raise

    def abort(self) -> None:
        self.inner.abort()
        self._upload.break_off()


class StorageQuotaFilesystem(QuotaFilesystem):
    """A storage, as far as the limits of a user allow.

    :ivar quota: the limits.
    :ivar tree: the URL, as it was configured.
    """

    def __init__(self, inner: FsspecFilesystem, quota: Quota, tree: str = "") -> None:
        """Count the objects of ``inner``."""
        super().__init__(inner, quota, tree, links=True)  # a storage says that it has none
        self.quota = quota
        self.tree = tree

    @contextmanager
    def change(self) -> Iterator[Change]:
        """Hold the ledgers while something is changed; count all anew if it may be half done."""
        with self.quota.changing(self.tree, patience=CALL_SECONDS) as change:
            try:
                yield change
            except OSError as error:
                if not isinstance(error, _HARMLESS) and error.errno not in _NOTHING_DONE:
                    change.doubt()
                raise

    def has_parent(self, path: str) -> bool:
        """Return whether the storage has the directory of a name now."""
        parent = normalise(join(normalise(path), ".."))
        found = self.inner.stored(parent)
        return found is not None and found.is_directory

    # --- files ---

    def open(self, path: str, flags: OpenFlag, attributes: Attributes) -> File:
        """See :meth:`nacre.Filesystem.open`; a directory is there before its files, if they count.

        An object store would make one with the first file, which nobody has counted.
        """
        if not flags & WRITING:
            read: File = self.inner.open(path, flags, attributes)
            return _CountedObject(read, self.quota) if self.quota.receives else read
        found = self.inner.stored(path) if self.quota.stores else None
        if self.quota.stores and found is None and not self.has_parent(path):
            raise failure(errno.ENOENT)
        upload = _Upload(self, path, found)
        if flags & OpenFlag.CREAT and self.quota.stores:
            upload.need(upload.size)
        try:
            file = self.inner.open(path, flags, attributes)
        except BaseException:
            upload.break_off()
            raise
        appends = bool(flags & OpenFlag.APPEND)
        return _CountedUpload(file, upload, self.quota, appends=appends)

    def set_attributes(
        self, path: str, attributes: Attributes, *, follow_symlinks: bool = True
    ) -> None:
        """See :meth:`nacre.Filesystem.set_attributes`."""
        if attributes.size is None or not self.quota.stores:
            self.inner.set_attributes(path, attributes)
            return
        with self.change() as change:
            upload = _Upload(self, path, self.inner.stored(path))
            if upload.files:
                change.check(attributes.size - upload.size, 0)
            self.inner.set_attributes(path, attributes)
            found = self.inner.stored(path)
            upload.settle(change, None if found is None else size_of(found))
            if not self.whole_uploads:
                change.doubt()  # it may be one that is being uploaded, and counts already

    # --- names ---

    def _give_back(self, path: str, act: Callable[[str], None]) -> None:
        if not self.quota.stores:
            act(path)
            return
        with self.change() as change:
            found = self.inner.stored(path)
            act(path)
            if found is not None:
                change.bytes -= size_of(found)
                change.files -= 1

    def rename(self, old: str, new: str, *, replace: bool) -> None:
        """See :meth:`nacre.Filesystem.rename`."""
        if not self.quota.stores:
            self.inner.rename(old, new, replace=replace)
            return
        with self.change() as change:
            replaced = self.inner.stored(new) if replace else None
            self.inner.rename(old, new, replace=replace)
            if replaced is not None and self.inner.stored(old) is None:
                change.bytes -= size_of(replaced)
                change.files -= 1

    @contextmanager
    def _one_more(self) -> Iterator[None]:
        if not self.quota.stores:
            yield
            return
        with self.change() as change:
            change.check(0, 1)
            yield
            change.files += 1

    # --- the rest ---

    def statvfs(self, path: str) -> FileSystemStatus:
        """See :meth:`nacre.Filesystem.statvfs`; what a quota does not limit has no end."""
        if not self.quota.stores:
            return LayeredFilesystem.statvfs(self, path)
        numbers = [_UNIT, _UNIT, *[_ENDLESS] * 6, 0, 0, _LONGEST_NAME]
        return self.quota.narrowed(FileSystemStatus(*numbers))
