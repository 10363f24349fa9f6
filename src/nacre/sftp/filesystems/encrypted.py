"""A filesystem whose files are encrypted in another one, chunk by chunk.

The content of files is encrypted (:mod:`nacre.crypto.chunks`); their names, sizes, times and modes
are not. A read at an offset opens the chunks that hold it. A write into a chunk replaces the whole
chunk; the last chunk of a file that grows is kept in memory until it is full, or the file is
flushed or closed. A file whose end was not written that way can't be read to its end: it was cut
off.

Files on disk are changed in place. A storage gets new files in order, as they are written, and
changes others in a local copy, which is encrypted too.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from typing import TypeVar, cast

from nacre.aio.maybe import Maybe
from nacre.crypto.chunks import CHUNK, HEADER, SEALED, FileCipher, content_size
from nacre.limits import DEFAULT_SFTP_LIMITS
from nacre.sftp.filesystems.base import WRITING, DamagedFile, File, Filesystem, Upload
from nacre.sftp.filesystems.walk import failure
from nacre.sftp.protocol.attributes import Attributes, Entry
from nacre.sftp.protocol.extensions import FileSystemStatus
from nacre.sftp.protocol.messages import OpenFlag
from nacre.wire.codec import Buffer

T = TypeVar("T")

_GAP = DEFAULT_SFTP_LIMITS.gap
_BOTH = OpenFlag.READ | OpenFlag.WRITE


def _now(result: Maybe[T]) -> T:
    """Return what a method of a filesystem with plain functions has returned."""
    return cast(T, result)


class EncryptedFilesystem(Filesystem):
    """Another filesystem, in which files are encrypted."""

    def __init__(self, inner: Filesystem, key: bytes, *, streams: bool = False) -> None:
        """Encrypt the files of ``inner``, which is this object's own from now on.

        :param key: 32 bytes.
        :param streams: whether ``inner`` is a storage, to which a new file is sent in order.
        :raises ValueError: the methods of ``inner`` may be coroutines.
        """
        if not inner.blocking:
            raise ValueError("only a filesystem whose methods are plain functions can be encrypted")
        self._inner = inner
        self._key = key
        self._streams = streams
        self.read_only = inner.read_only
        self.start = inner.start

    # --- files ---

    def open(self, path: str, flags: OpenFlag, attributes: Attributes) -> File:
        """See :meth:`nacre.Filesystem.open`."""
        if not flags & WRITING:
            file = _now(self._inner.open(path, flags, attributes))
            return self._opened(file, path, _EncryptedFile)
        if self._streams and not flags & OpenFlag.READ and self._is_new(path, flags):
            file = _now(self._inner.open(path, flags | OpenFlag.TRUNC, attributes))
            return _StreamedChunks(file, FileCipher.new(self._key, os.urandom), path)
        # To change a part of a chunk, the rest of it must be read.
        reads = bool(flags & OpenFlag.READ) or not flags & (OpenFlag.WRITE | OpenFlag.APPEND)
        wanted = (flags & ~OpenFlag.APPEND) | _BOTH
        kind = _AppendedFile if flags & OpenFlag.APPEND else _ChangedFile
        file = _now(self._inner.open(path, wanted, attributes))
        try:
            empty = not _now(file.stat()).size
            if empty and flags & (OpenFlag.CREAT | OpenFlag.TRUNC):
                made = kind(file, FileCipher.new(self._key, os.urandom), path, new=True)
                made.reads = reads
                return made
        except BaseException:
            _now(file.abort())
            raise
        opened = self._opened(file, path, kind)
        opened.reads = reads
        return opened

    def _is_new(self, path: str, flags: OpenFlag) -> bool:
        if flags & OpenFlag.TRUNC:
            return True
        try:
            return not _now(self._inner.stat(path)).size
        except FileNotFoundError:
            return True

    def _opened(self, file: File, path: str, kind: type[_EncryptedFile]) -> _EncryptedFile:
        """Return an existing file, of which the header is read."""
        try:
            header = _all_of(file, HEADER, 0)
            try:
                cipher = FileCipher(self._key, header, os.urandom)
            except ValueError as error:
                raise DamagedFile(f"{path}: {error}") from None
            return kind(file, cipher, path)
        except BaseException:
            _now(file.abort())
            raise

    def scandir(self, path: str) -> Iterable[Entry]:
        """See :meth:`nacre.Filesystem.scandir`."""
        return _Sized(cast(Iterable[Entry], _now(self._inner.scandir(path))))

    def stat(self, path: str) -> Attributes:
        """See :meth:`nacre.Filesystem.stat`."""
        return _sized(_now(self._inner.stat(path)))

    def lstat(self, path: str) -> Attributes:
        """See :meth:`nacre.Filesystem.lstat`."""
        return _sized(_now(self._inner.lstat(path)))

    def set_attributes(
        self, path: str, attributes: Attributes, *, follow_symlinks: bool = True
    ) -> None:
        """See :meth:`nacre.Filesystem.set_attributes`."""
        if attributes.size is not None:
            file = self.open(path, _BOTH, Attributes())
            try:
                _now(file.set_attributes(Attributes(size=attributes.size)))
            finally:
                _now(file.close())
        rest = attributes._replace(size=None)
        if rest != Attributes() or attributes.size is None:
            _now(self._inner.set_attributes(path, rest, follow_symlinks=follow_symlinks))

    # --- what is not encrypted ---

    def speak(self, version: int) -> None:
        """See :meth:`nacre.Filesystem.speak`."""
        self._inner.speak(version)

    def keep_to_real_paths(self) -> None:
        """See :meth:`nacre.Filesystem.keep_to_real_paths`."""
        self._inner.keep_to_real_paths()

    def start_at(self, directory: str) -> None:
        """See :meth:`nacre.Filesystem.start_at`."""
        _now(self._inner.start_at(directory))
        self.start = self._inner.start

    @property
    def prompt(self) -> bool:
        """Whether the filesystem behind is."""
        return self._inner.prompt

    def remove(self, path: str) -> None:
        """See :meth:`nacre.Filesystem.remove`."""
        _now(self._inner.remove(path))

    def mkdir(self, path: str, attributes: Attributes) -> None:
        """See :meth:`nacre.Filesystem.mkdir`."""
        _now(self._inner.mkdir(path, attributes))

    def rmdir(self, path: str) -> None:
        """See :meth:`nacre.Filesystem.rmdir`."""
        _now(self._inner.rmdir(path))

    def rename(self, old: str, new: str, *, replace: bool) -> None:
        """See :meth:`nacre.Filesystem.rename`."""
        _now(self._inner.rename(old, new, replace=replace))

    def link(self, old: str, new: str) -> None:
        """See :meth:`nacre.Filesystem.link`."""
        _now(self._inner.link(old, new))

    def symlink(self, target: str, link: str) -> None:
        """See :meth:`nacre.Filesystem.symlink`."""
        _now(self._inner.symlink(target, link))

    def readlink(self, path: str) -> str:
        """See :meth:`nacre.Filesystem.readlink`."""
        return _now(self._inner.readlink(path))

    def realpath(self, path: str) -> str:
        """See :meth:`nacre.Filesystem.realpath`."""
        return _now(self._inner.realpath(path))

    def home(self, user: str) -> str:
        """See :meth:`nacre.Filesystem.home`."""
        return _now(self._inner.home(user))

    def statvfs(self, path: str) -> FileSystemStatus:
        """See :meth:`nacre.Filesystem.statvfs`."""
        return _now(self._inner.statvfs(path))

    def names(
        self, uids: tuple[int, ...], gids: tuple[int, ...]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """See :meth:`nacre.Filesystem.names`."""
        return _now(self._inner.names(uids, gids))

    def numbers(
        self, users: tuple[str, ...], groups: tuple[str, ...]
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """See :meth:`nacre.Filesystem.numbers`."""
        return _now(self._inner.numbers(users, groups))

    def upload_ended(self, upload: Upload) -> None:
        """See :meth:`nacre.Filesystem.upload_ended`."""
        _now(self._inner.upload_ended(upload))

    def close(self) -> None:
        """See :meth:`nacre.Filesystem.close`."""
        _now(self._inner.close())


def _sized(found: Attributes) -> Attributes:
    """Return attributes with the size of the content; other than files keep theirs."""
    if found.size is None or not stat.S_ISREG(found.permissions or 0):
        return found
    return found._replace(size=content_size(found.size))


class _Sized:
    """The entries of a directory, with the sizes of what files hold."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = entries

    def __iter__(self) -> Iterator[Entry]:
        for entry in self._entries:
            # The line of a listing has the size, too: the server makes another one.
            yield Entry(entry.name, "", _sized(entry.attributes))

    def close(self) -> None:
        if hasattr(self._entries, "close"):
            self._entries.close()


def _all_of(file: File, size: int, offset: int) -> bytes:
    """Read ``size`` bytes, or up to the end of the file."""
    found = bytearray()
    while len(found) < size:
        data = _now(file.pread(size - len(found), offset + len(found)))
        if not len(data):
            break
        found += bytes(data)
    return bytes(found)


class _EncryptedFile(File):
    """A file that is only read.

    :ivar reads: the client has opened it to read.
    """

    reads = True

    def __init__(self, file: File, cipher: FileCipher, path: str, *, new: bool = False) -> None:
        """Take a file that is open.

        :param new: the file is empty, and has no header yet.
        """
        self._file = file
        self._cipher = cipher
        self._path = path
        self._size = 0 if new else content_size(_now(file.stat()).size or 0)
        self._kept: tuple[int, bytes] = (-1, b"")

    @property
    def _last(self) -> int:
        """The number of the last chunk; an empty file has an empty one."""
        return max(0, self._size - 1) // CHUNK

    def _content(self, number: int) -> bytes:
        """Return the content of a chunk."""
        if self._kept[0] != number:
            sealed = _all_of(self._file, SEALED, HEADER + number * SEALED)
            try:
                content = self._cipher.open(sealed, number, last=number == self._last)
            except ValueError as error:
                raise DamagedFile(f"{self._path}: {error}") from None
            self._kept = number, content
        return self._kept[1]

    def pread(self, size: int, offset: int) -> bytes:
        if not self.reads:
            raise failure(errno.EBADF)
        end = min(offset + size, self._size)
        if offset >= end:
            if not self._size:
                self._content(0)  # that the file is empty is authenticated, too
            return b""
        first, last = offset // CHUNK, (end - 1) // CHUNK
        content = b"".join([self._content(number) for number in range(first, last + 1)])
        return content[offset - first * CHUNK : end - first * CHUNK]

    def stat(self) -> Attributes:
        return _now(self._file.stat())._replace(size=self._size)

    def set_attributes(self, attributes: Attributes) -> None:
        if attributes.size is not None:
            raise failure(errno.EBADF)
        _now(self._file.set_attributes(attributes))

    def statvfs(self) -> FileSystemStatus:
        return _now(self._file.statvfs())

    def close(self) -> None:
        _now(self._file.close())

    def abort(self) -> None:
        _now(self._file.abort())


class _ChangedFile(_EncryptedFile):
    """A file that is changed in place."""

    def __init__(self, file: File, cipher: FileCipher, path: str, *, new: bool = False) -> None:
        super().__init__(file, cipher, path, new=new)
        self._tail: bytearray | None = None
        self._changed = new
        if new:
            self._tail = bytearray()
            self._start()

    def _start(self) -> None:
        _now(self._file.pwrite(self._cipher.header, 0))
        self._flush()  # an empty file, until there is more

    def _content(self, number: int) -> bytes:
        if number == self._last and self._tail is not None:
            return bytes(self._tail)
        return super()._content(number)

    def _store(self, number: int, content: Buffer, *, last: bool) -> None:
        sealed = self._cipher.seal(content, number, last=last)
        _now(self._file.pwrite(sealed, HEADER + number * SEALED))
        self._kept = -1, b""

    def _flush(self) -> None:
        """Write the last chunk, as the last one."""
        if self._changed and self._tail is not None:
            self._store(self._last, self._tail, last=True)
            self._changed = False

    def pwrite(self, data: Buffer, offset: int) -> None:
        self._fill(offset)
        self._write(memoryview(data), offset)

    def _fill(self, size: int) -> None:
        """Append zeros up to ``size``."""
        if size - self._size > _GAP:
            raise OSError(errno.EFBIG, f"more than {_GAP} zeros are not added at once")
        while self._size < size:
            zeros = bytes(min(size - self._size, CHUNK))
            self._write(memoryview(zeros), self._size)

    def _write(self, data: memoryview, offset: int) -> None:
        while len(data):
            number, start = divmod(offset, CHUNK)
            piece = data[: CHUNK - start]
            if number < self._last:
                content = bytearray(self._content(number))
                content[start : start + len(piece)] = piece
                self._store(number, content, last=False)
            else:
                self._extend(number, start, piece)
            offset, data = offset + len(piece), data[len(piece) :]

    def _extend(self, number: int, start: int, piece: memoryview) -> None:
        """Write into the last chunk, or behind it."""
        if self._tail is None:
            self._tail = bytearray(self._content(self._last))
        if number > self._last:
            # It is full, and not the last one any more.
            self._store(self._last, self._tail, last=False)
            self._tail = bytearray()
        self._tail[start : start + len(piece)] = piece
        self._size = max(self._size, number * CHUNK + start + len(piece))
        self._changed = True

    def set_attributes(self, attributes: Attributes) -> None:
        if attributes.size is not None:
            self._resize(attributes.size)
        self._flush()  # or closing would change the times
        rest = attributes._replace(size=None)
        if rest != Attributes():
            _now(self._file.set_attributes(rest))

    def _resize(self, size: int) -> None:
        if size >= self._size:
            self._fill(size)
            return
        number = max(0, size - 1) // CHUNK
        tail = bytearray(self._content(number)[: size - number * CHUNK])
        self._size, self._tail, self._changed = size, tail, True
        _now(self._file.set_attributes(Attributes(size=HEADER + number * SEALED)))
        self._flush()

    def fsync(self) -> None:
        self._flush()
        _now(self._file.fsync())

    def close(self) -> None:
        try:
            self._flush()
        except BaseException:
            super().abort()
            raise
        super().close()

    def abort(self) -> None:
        """Close the file; what was written stays, as in a file that is not encrypted."""
        try:
            self._flush()
        finally:
            super().abort()


class _AppendedFile(_ChangedFile):
    """A file to whose end everything is written."""

    def pwrite(self, data: Buffer, offset: int) -> None:
        self._write(memoryview(data), self._size)


class _StreamedChunks(_ChangedFile):
    """A new file of a storage, which takes its chunks in order."""

    reads = False

    def __init__(self, file: File, cipher: FileCipher, path: str) -> None:
        super().__init__(file, cipher, path, new=True)

    def _start(self) -> None:
        _now(self._file.pwrite(self._cipher.header, 0))

    def pwrite(self, data: Buffer, offset: int) -> None:
        if offset < self._last * CHUNK:
            raise failure(errno.ESPIPE)
        super().pwrite(data, offset)

    def stat(self) -> Attributes:
        return Attributes(size=self._size, permissions=stat.S_IFREG | 0o644)

    def set_attributes(self, attributes: Attributes) -> None:
        if attributes.size is not None and attributes.size < self._size:
            raise failure(errno.EOPNOTSUPP)
        if attributes.size is not None:
            self._fill(attributes.size)

    def fsync(self) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    def abort(self) -> None:
        """Discard what was written."""
        _now(self._file.abort())
