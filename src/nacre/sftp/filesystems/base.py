"""What an SFTP server serves: the interface that filesystems implement.

::

    class Reports(nacre.Filesystem):
        def stat(self, path):
            return nacre.Attributes(size=len(report(path)), permissions=0o100444)

        def open(self, path, flags, attributes):
            return Report(path)

A method that is not implemented is answered by OP_UNSUPPORTED. Report failures as ``OSError``: the
client learns their ``errno``. Paths are passed as the client sent them, relative or absolute; bytes
that are not UTF-8 are surrogate escapes. This module imports little, because the process of a
session that serves files starts with it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterable, Iterable, Sequence
from typing import Any

from nacre.aio.maybe import Maybe
from nacre.sftp.protocol.attributes import Attributes, Entry
from nacre.sftp.protocol.extensions import FileSystemStatus
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.protocol.paths import normalise
from nacre.value import value
from nacre.wire.codec import Buffer

WRITING = OpenFlag.WRITE | OpenFlag.APPEND | OpenFlag.CREAT | OpenFlag.TRUNC
"""The flags of OPEN that change something."""


@value
class Upload:
    """A file that a client had opened for writing, and that is now closed.

    :ivar path: as the client named it.
    :ivar size: bytes of the file.
    :ivar complete: the client closed it, and no write failed. False if the session or the storage
        broke off.
    """

    path: str
    size: int
    complete: bool


class NotPermitted(PermissionError):
    """The operator's rules deny what a client asks for; the client learns EACCES.

    ``strerror`` is the reason, which the log gets.
    """

    def __init__(self, reason: str) -> None:
        """Give the reason, which names the path and what is missing."""
        super().__init__(errno.EACCES, reason)


class DamagedFile(OSError):
    """A file can't be verified, so nothing of it is given out; the client learns EIO.

    ``strerror`` is the reason, which the log gets.
    """

    def __init__(self, reason: str) -> None:
        """Give the reason, which names the path."""
        super().__init__(errno.EIO, reason)


def unsupported() -> OSError:
    """Return the failure of a method that a filesystem does not implement."""
    return OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


class File:
    """An open file. Its methods are called one at a time, in the order of the client's requests.

    A file that wraps another one implements the methods that it changes. Those it does not
    implement are unsupported; they never reach the wrapped file.

    :ivar vectors: ``preadv`` and ``pwritev`` are implemented, and are used in place of ``pread``
        and ``pwrite``: requests that follow one another become one call.
    """

    vectors: bool = False

    def pread(self, size: int, offset: int) -> Maybe[Buffer]:
        """Return at most ``size`` bytes; none at the end of the file."""
        raise unsupported()

    def pwrite(self, data: Buffer, offset: int) -> Maybe[None]:
        """Write all of ``data``; its memory is reused after the call."""
        raise unsupported()

    def preadv(self, buffers: Sequence[memoryview], offset: int, *, wait: bool = True) -> int:
        """Fill ``buffers`` in order; return the bytes read: fewer than fit at the end of the file.

        :param wait: if False, raise BlockingIOError rather than wait for a disk, where the system
            can tell. It is False only for files of a ``prompt`` filesystem.
        """
        raise unsupported()

    def pwritev(self, buffers: Sequence[Buffer], offset: int) -> None:
        """Write all of ``buffers`` in order."""
        raise unsupported()

    def copy_from(self, source: File, start: int, length: int, offset: int) -> Maybe[int]:
        """Copy bytes from another file of the filesystem to ``offset``, without reading them.

        Implement it when the storage can copy by itself. Otherwise the server reads and writes.

        :param start: where the bytes start in ``source``.
        :param length: how many to copy at most.
        :returns: how many were copied; 0 at the end of ``source``.
        :raises OSError: with ``EOPNOTSUPP``, the server is to read and write these bytes instead.
        """
        raise unsupported()

    def stat(self) -> Maybe[Attributes]:
        """Return the attributes."""
        raise unsupported()

    def set_attributes(self, attributes: Attributes) -> Maybe[None]:
        """Set the attributes that are not None; a size truncates the file, or adds zeros."""
        raise unsupported()

    def extent(self) -> Maybe[tuple[int, int]]:
        """Return the bytes of the file, and how many names it has: none when it was removed."""
        raise unsupported()

    def fsync(self) -> Maybe[None]:
        """Flush all that was written to the disk."""
        raise unsupported()

    def statvfs(self) -> Maybe[FileSystemStatus]:
        """Return the state of the file system that holds the file."""
        raise unsupported()

    def close(self) -> Maybe[None]:
        """Close the file: the client has closed its handle."""

    def abort(self) -> Maybe[None]:
        """Close the file: the session ended while it was open, so it may be incomplete."""
        return self.close()


class Filesystem:
    """The files of one session. Its methods may be called from several threads at once.

    :ivar blocking: the methods, also those of files, are plain functions that may block; they are
        called in threads. If False, they never block, may be coroutines, and are called on the
        event loop.
    :ivar start: the absolute path at which relative paths start: the user's home directory.
    :ivar read_only: requests that would change anything are refused with EROFS before they get
        here.
    """

    blocking: bool = True
    start: str = "/"
    read_only: bool = False

    def speak(self, version: int) -> None:
        """Called when the session's version of SFTP is known, before any other method.

        From 4 on, attributes may have :class:`~nacre.FileDetails`, which the
        client learns: parts of a second, owners' names. Names that are missing there are looked up
        with :meth:`names`.
        """

    def keep_to_real_paths(self) -> None:
        """Follow no link from now on, except in :meth:`realpath`: a path that has one fails.

        It is called by a filesystem that judges real paths, and then uses them: a link that takes
        the place of a directory in between must not lead anywhere else.

        :raises OSError: with ``EOPNOTSUPP``, this filesystem can't.
        """
        raise unsupported()

    def start_at(self, directory: str) -> Maybe[None]:
        """Make relative paths start at ``directory``, a path as clients name it.

        :raises OSError: there is no such directory.
        """
        raise unsupported()

    @property
    def prompt(self) -> bool:
        """Whether its methods are quick as a rule and never hang, although they block.

        That is so for a local disk, and not for one behind a network. Quick calls are then made on
        the event loop; after one that was slow, in threads for a while.
        """
        return False

    @property
    def whole_uploads(self) -> bool:
        """Whether a file that is created is there when it is closed, and never in part."""
        return False

    def open(self, path: str, flags: OpenFlag, attributes: Attributes) -> Maybe[File]:
        """Open a file; with ``OpenFlag.CREAT``, create a missing one with ``attributes``."""
        raise unsupported()

    def scandir(self, path: str) -> Maybe[Iterable[Entry] | AsyncIterable[Entry]]:
        """Return the entries of a directory, including ``.`` and ``..`` if it has them.

        They are iterated in portions, as the client asks for them; a generator is closed when the
        client closes the directory. An entry without a ``longname`` gets one.
        """
        raise unsupported()

    def stat(self, path: str) -> Maybe[Attributes]:
        """Return the attributes, following symbolic links."""
        raise unsupported()

    def lstat(self, path: str) -> Maybe[Attributes]:
        """Return the attributes, not following a symbolic link."""
        return self.stat(path)

    def set_attributes(
        self, path: str, attributes: Attributes, *, follow_symlinks: bool = True
    ) -> Maybe[None]:
        """Set the attributes that are not None.

        Times of clients that speak later versions than 3 may not fit into 32 bits; those of version
        3 can't be told of them.
        """
        raise unsupported()

    def remove(self, path: str) -> Maybe[None]:
        """Remove a file."""
        raise unsupported()

    def mkdir(self, path: str, attributes: Attributes) -> Maybe[None]:
        """Make a directory."""
        raise unsupported()

    def rmdir(self, path: str) -> Maybe[None]:
        """Remove an empty directory."""
        raise unsupported()

    def rename(self, old: str, new: str, *, replace: bool) -> Maybe[None]:
        """Rename; an existing ``new`` is an error, or with ``replace`` replaced atomically."""
        raise unsupported()

    def link(self, old: str, new: str) -> Maybe[None]:
        """Make ``new`` another name of the file ``old``: a hard link."""
        raise unsupported()

    def symlink(self, target: str, link: str) -> Maybe[None]:
        """Make the symbolic link ``link``, which points to ``target``."""
        raise unsupported()

    def readlink(self, path: str) -> Maybe[str]:
        """Return where a symbolic link points."""
        raise unsupported()

    def realpath(self, path: str) -> Maybe[str]:
        """Return the absolute path of ``path``; its last component may be missing."""
        return normalise(path, self.start)

    def home(self, user: str) -> Maybe[str]:
        """Return a user's home directory; an empty name stands for the session's user."""
        if user:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return self.start

    def statvfs(self, path: str) -> Maybe[FileSystemStatus]:
        """Return the state of the file system that holds ``path``."""
        raise unsupported()

    def names(
        self, uids: tuple[int, ...], gids: tuple[int, ...]
    ) -> Maybe[tuple[tuple[str, ...], tuple[str, ...]]]:
        """Return the names of numeric users and groups; "" for an unknown one."""
        return ("",) * len(uids), ("",) * len(gids)

    def numbers(
        self, users: tuple[str, ...], groups: tuple[str, ...]
    ) -> Maybe[tuple[tuple[int, ...], tuple[int, ...]]]:
        """Return the numbers of users and groups by their names; the reverse of :meth:`names`.

        :raises OSError: with ``EINVAL``, there is no such user or group.
        """
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    def upload_ended(self, upload: Upload) -> Maybe[None]:
        """Called when a file that was open for writing is closed, or its session broke off."""

    def close(self) -> Maybe[None]:
        """Called at the end of the session."""


# --- in front of another one ---


class WrappedFile(File):
    """An open file in front of another one, ``inner``.

    What reads, writes or sets attributes is for the subclass: until it has such a method, that is
    unsupported.
    """

    def __init__(self, inner: File) -> None:
        self.inner = inner

    def stat(self) -> Maybe[Attributes]:
        """See :meth:`nacre.File.stat`."""
        return self.inner.stat()

    def extent(self) -> Maybe[tuple[int, int]]:
        """See :meth:`nacre.File.extent`."""
        return self.inner.extent()

    def fsync(self) -> Maybe[None]:
        """See :meth:`nacre.File.fsync`."""
        return self.inner.fsync()

    def statvfs(self) -> Maybe[FileSystemStatus]:
        """See :meth:`nacre.File.statvfs`."""
        return self.inner.statvfs()

    def close(self) -> Maybe[None]:
        """See :meth:`nacre.File.close`."""
        return self.inner.close()

    def abort(self) -> Maybe[None]:
        """See :meth:`nacre.File.abort`."""
        return self.inner.abort()


class WrappedFilesystem(Filesystem):
    """A filesystem in front of another one, ``inner``, which is its own from now on.

    It passes on what is of the session and of no file. All else is for the subclass.
    """

    def __init__(self, inner: Filesystem) -> None:
        self.inner = inner
        self.blocking = inner.blocking
        self.read_only = inner.read_only

    @property
    def prompt(self) -> bool:
        """See :attr:`nacre.Filesystem.prompt`."""
        return self.inner.prompt

    @property
    def whole_uploads(self) -> bool:
        """See :attr:`nacre.Filesystem.whole_uploads`."""
        return self.inner.whole_uploads

    def speak(self, version: int) -> None:
        """See :meth:`nacre.Filesystem.speak`."""
        self.inner.speak(version)

    def home(self, user: str) -> Maybe[str]:
        """See :meth:`nacre.Filesystem.home`."""
        return self.inner.home(user)

    def names(
        self, uids: tuple[int, ...], gids: tuple[int, ...]
    ) -> Maybe[tuple[tuple[str, ...], tuple[str, ...]]]:
        """See :meth:`nacre.Filesystem.names`."""
        return self.inner.names(uids, gids)

    def numbers(
        self, users: tuple[str, ...], groups: tuple[str, ...]
    ) -> Maybe[tuple[tuple[int, ...], tuple[int, ...]]]:
        """See :meth:`nacre.Filesystem.numbers`."""
        return self.inner.numbers(users, groups)

    def upload_ended(self, upload: Upload) -> Maybe[None]:
        """See :meth:`nacre.Filesystem.upload_ended`."""
        return self.inner.upload_ended(upload)

    def close(self) -> Maybe[None]:
        """See :meth:`nacre.Filesystem.close`."""
        return self.inner.close()


class LayeredFilesystem(WrappedFilesystem):
    """A filesystem that passes everything on, in front of one whose methods are plain functions.

    The subclass has the methods that do something else.
    """

    inner: Any

    @property
    def start(self) -> str:  # type: ignore[override]
        """Where relative paths start."""
        return str(self.inner.start)

    def keep_to_real_paths(self) -> None:
        """See :meth:`nacre.Filesystem.keep_to_real_paths`."""
        self.inner.keep_to_real_paths()

    def start_at(self, directory: str) -> None:
        """See :meth:`nacre.LocalFilesystem.start_at`."""
        self.inner.start_at(directory)

    def open(self, path: str, flags: OpenFlag, attributes: Attributes) -> File:
        """See :meth:`nacre.Filesystem.open`."""
        file: File = self.inner.open(path, flags, attributes)
        return file

    def scandir(self, path: str) -> Iterable[Entry]:
        """See :meth:`nacre.Filesystem.scandir`."""
        found: Iterable[Entry] = self.inner.scandir(path)
        return found

    def stat(self, path: str) -> Attributes:
        """See :meth:`nacre.Filesystem.stat`."""
        found: Attributes = self.inner.stat(path)
        return found

    def lstat(self, path: str) -> Attributes:
        """See :meth:`nacre.Filesystem.lstat`."""
        found: Attributes = self.inner.lstat(path)
        return found

    def set_attributes(
        self, path: str, attributes: Attributes, *, follow_symlinks: bool = True
    ) -> None:
        """See :meth:`nacre.Filesystem.set_attributes`."""
        self.inner.set_attributes(path, attributes, follow_symlinks=follow_symlinks)

    def remove(self, path: str) -> None:
        """See :meth:`nacre.Filesystem.remove`."""
        self.inner.remove(path)

    def mkdir(self, path: str, attributes: Attributes) -> None:
        """See :meth:`nacre.Filesystem.mkdir`."""
        self.inner.mkdir(path, attributes)

    def rmdir(self, path: str) -> None:
        """See :meth:`nacre.Filesystem.rmdir`."""
        self.inner.rmdir(path)

    def rename(self, old: str, new: str, *, replace: bool) -> None:
        """See :meth:`nacre.Filesystem.rename`."""
        self.inner.rename(old, new, replace=replace)

    def link(self, old: str, new: str) -> None:
        """See :meth:`nacre.Filesystem.link`."""
        self.inner.link(old, new)

    def symlink(self, target: str, link: str) -> None:
        """See :meth:`nacre.Filesystem.symlink`."""
        self.inner.symlink(target, link)

    def readlink(self, path: str) -> str:
        """See :meth:`nacre.Filesystem.readlink`."""
        return str(self.inner.readlink(path))

    def realpath(self, path: str) -> str:
        """See :meth:`nacre.Filesystem.realpath`."""
        return str(self.inner.realpath(path))

    def statvfs(self, path: str) -> FileSystemStatus:
        """See :meth:`nacre.Filesystem.statvfs`."""
        found: FileSystemStatus = self.inner.statvfs(path)
        return found
