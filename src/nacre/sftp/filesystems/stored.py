"""Open files of a storage: read in blocks, sent in parts, or changed in a local copy.

An upload to an object store is there when it is closed, and not before: until then its parts are a
multipart upload without a name. One that breaks off, or of which a write fails, is discarded.
"""

from __future__ import annotations

import errno
import stat
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import IO, Any

from nacre.limits import DEFAULT_SFTP_LIMITS, MIB
from nacre.sftp.filesystems.base import File
from nacre.sftp.filesystems.storage import Storage, answered
from nacre.sftp.filesystems.walk import failure
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.protocol.status import ToldError
from nacre.wire.codec import Buffer

_GAP, _SPOOL = DEFAULT_SFTP_LIMITS.gap, DEFAULT_SFTP_LIMITS.spool
_SPOOLED = 8 * MIB
"""Bytes of a file to be uploaded that are kept in memory; a larger one goes to the disk."""

_BLOCK = 8 * MIB
"""Bytes that are read at once, and of the first parts of an upload: an open file has some of them
in memory."""

_EQUAL_PARTS = 1000
"""Parts after which they get larger by another block. S3 takes 10,000 of one upload: 430 GiB."""


def attributes_of(info: Mapping[str, Any]) -> Attributes:
    """Return the attributes of what a storage knows of a file or directory."""
    directory = info["type"] == "directory"
    mode = (stat.S_IFDIR | 0o755) if directory else (stat.S_IFREG | 0o644)
    if isinstance(kept := info.get("mode"), int):
        mode = stat.S_IFMT(mode) | kept & 0o7777
    size = 0 if directory else int(info.get("size") or 0)
    when = _changed(info)
    return Attributes(size=size, permissions=mode, atime=when, mtime=when)


def _changed(info: Mapping[str, Any]) -> int | None:
    # Each storage has its own name for the time of the last change.
    for name in ("mtime", "LastModified", "last_modified", "updated", "modified", "created"):
        value = info.get(name)
        if isinstance(value, datetime):
            value = value.timestamp()
        if isinstance(value, (int, float)):
            return min(max(int(value), 0), 0xFFFFFFFF)
    return None


def _too_large(text: str) -> OSError:
    return OSError(errno.EFBIG, text)


def _check_gap(end: int, size: int) -> None:
    """Refuse to add more zeros than a client can have use for: they would be stored, and paid for.

    :param end: where a file of ``size`` bytes is to end, or the next bytes are to be.
    """
    if end - size > _GAP:
        raise _too_large(f"more than {_GAP} zeros are not added at once")


class ReadFile(File):
    """A file that is read only."""

    def __init__(self, storage: Storage, path: str, info: Mapping[str, Any]) -> None:
        self._file: IO[bytes] = storage.open(path, "rb", _BLOCK)
        self._info = info

    def pread(self, size: int, offset: int) -> bytes:
        """See :meth:`nacre.File.pread`."""
        with answered():
            self._file.seek(offset)
            return self._file.read(size)

    def stat(self) -> Attributes:
        """See :meth:`nacre.File.stat`."""
        return attributes_of(self._info)

    def close(self) -> None:
        """See :meth:`nacre.File.close`."""
        self._file.close()


class _Outgoing:
    """A file on its way to the storage, in order. After a failure nothing of it is stored."""

    def __init__(self, storage: Storage, path: str) -> None:
        self._file = storage.open(path, "wb", _BLOCK)
        self._failed = False

    def check(self) -> None:
        """Refuse to go on after a failure: a later part would come in the place of a lost one."""
        if self._failed:
            raise ToldError(errno.EIO, "the upload is not stored: a write has failed")

    def write(self, data: bytes) -> None:
        """Send ``data``, or keep it for the next part."""
        try:
            with answered():
                self._file.write(data)
        except BaseException:
            self._failed = True
            raise
        if parts := getattr(self._file, "parts", None):
            self._file.blocksize = _BLOCK * (1 + len(parts) // _EQUAL_PARTS)

    def commit(self) -> None:
        """Have the file be stored under its name.

        :raises OSError: it is not: it, or a write before, failed.
        """
        try:
            self.check()
            with answered():
                self._file.close()
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Forget what was sent, if the storage can."""
        self._failed = True
        # A storage that is out of order may keep parts; an error before this one is reported.
        with suppress(Exception):
            self._file.discard()
        # Garbage collection closes an open file, and closing commits it.
        with suppress(AttributeError):
            self._file.closed = True


class StreamedFile(File):
    """A new file that is sent to the storage as it is written, which must be in order.

    :ivar ended: it is closed: stored, or not.
    """

    def __init__(self, storage: Storage, path: str) -> None:
        self._sent = _Outgoing(storage, path)
        self._at = 0
        self._zeros = 0
        self.ended = False

    def pwrite(self, data: Buffer, offset: int) -> None:
        """See :meth:`nacre.File.pwrite`."""
        self._sent.check()
        if offset < self._at:
            raise failure(errno.ESPIPE)
        _check_gap(offset, self._at - self._zeros)
        self._zeros += offset - self._at
        while offset > self._at:
            self._put(bytes(min(offset - self._at, MIB)))
        self._put(bytes(data))

    def _put(self, data: bytes) -> None:
        self._sent.write(data)
        self._at += len(data)

    def stat(self) -> Attributes:
        """See :meth:`nacre.File.stat`."""
        return Attributes(size=self._at, permissions=stat.S_IFREG | 0o644)

    def set_attributes(self, attributes: Attributes) -> None:
        """See :meth:`nacre.File.set_attributes`."""
        if attributes.size is not None and attributes.size < self._at:
            raise failure(errno.EOPNOTSUPP)
        if attributes.size is not None:
            self.pwrite(b"", attributes.size)

    def close(self) -> None:
        """See :meth:`nacre.File.close`."""
        try:
            self._sent.commit()
        finally:
            self.ended = True

    def abort(self) -> None:
        """See :meth:`nacre.File.abort`."""
        self.ended = True
        self._sent.discard()


class SpoolRoom:
    """The bytes that the local copies of a session's files may still take."""

    def __init__(self) -> None:
        self._left = _SPOOL
        self._lock = threading.Lock()

    def take(self, count: int) -> None:
        """Take ``count`` bytes, or give back as many as it is below 0.

        :raises OSError: they are too many.
        """
        with self._lock:
            if count > self._left:
                raise _too_large(f"the files that a session changes have {_SPOOL} bytes at most")
            self._left -= count


class SpooledFile(File):
    """A file that is changed in a local copy, which replaces the stored file when it is closed."""

    def __init__(
        self, storage: Storage, path: str, flags: OpenFlag, room: SpoolRoom, *, keeps: bool
    ) -> None:
        self._storage = storage
        self._path = path
        self._room = room
        self._size = 0
        self._append = bool(flags & OpenFlag.APPEND)
        self._file = tempfile.SpooledTemporaryFile(_SPOOLED)  # noqa: SIM115
        if keeps:
            try:
                with storage.open(path, "rb", _BLOCK) as there, answered():
                    while block := there.read(MIB):
                        self._write(block, self._size)
            except BaseException:
                self.abort()
                raise

    def pread(self, size: int, offset: int) -> bytes:
        """See :meth:`nacre.File.pread`."""
        self._file.seek(offset)
        return self._file.read(size)

    def pwrite(self, data: Buffer, offset: int) -> None:
        """See :meth:`nacre.File.pwrite`."""
        if self._append:
            offset = self._size
        self._fill(offset)
        self._write(data, offset)

    def _write(self, data: Buffer, offset: int) -> None:
        end = max(self._size, offset + len(data))
        self._room.take(end - self._size)
        self._size = end
        self._file.seek(offset)
        self._file.write(data)

    def _fill(self, size: int) -> None:
        """Append zeros up to ``size``."""
        _check_gap(size, self._size)
        while self._size < size:
            self._write(bytes(min(size - self._size, MIB)), self._size)

    def stat(self) -> Attributes:
        """See :meth:`nacre.File.stat`."""
        return Attributes(size=self._size, permissions=stat.S_IFREG | 0o644)

    def set_attributes(self, attributes: Attributes) -> None:
        """See :meth:`nacre.File.set_attributes`."""
        if attributes.size is None:
            return
        self._fill(attributes.size)
        if attributes.size < self._size:
            self._file.truncate(attributes.size)
            self._room.take(attributes.size - self._size)
            self._size = attributes.size

    def close(self) -> None:
        """See :meth:`nacre.File.close`."""
        self._file.seek(0)
        try:
            sent = _Outgoing(self._storage, self._path)
            try:
                while block := self._file.read(MIB):
                    sent.write(block)
            except BaseException:
                sent.discard()
                raise
            sent.commit()
        finally:
            self.abort()

    def abort(self) -> None:
        """See :meth:`nacre.File.abort`."""
        self._file.close()
        self._room.take(-self._size)
        self._size = 0
