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
from dataclasses import dataclass
from typing import ClassVar

from nacre.aio.maybe import Maybe
from nacre.sftp.protocol.attributes import Attributes, Entry
from nacre.sftp.protocol.extensions import FileSystemStatus
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.protocol.paths import normalise
from nacre.wire.codec import Buffer

WRITING = OpenFlag.WRITE | OpenFlag.APPEND | OpenFlag.CREAT | OpenFlag.TRUNC
"""The flags of OPEN that change something."""


@dataclass(frozen=True, slots=True)
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


def unsupported() -> OSError:
    """Return the failure of a method that a filesystem does not implement."""
    return OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


class File:
    """An open file. Its methods are called one at a time, in the order of the client's requests.

    A file that wraps another one implements the methods that it changes. Those it does not
    implement are unsupported; they never reach the wrapped file.

    :cvar vectors: ``preadv`` and ``pwritev`` are implemented, and are used in place of ``pread``
        and ``pwrite``: requests that follow one another become one call.
    """

    vectors: ClassVar[bool] = False

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

    :cvar blocking: the methods, also those of files, are plain functions that may block; they are
        called in threads. If False, they never block, may be coroutines, and are called on the
        event loop.
    :ivar start: the absolute path at which relative paths start: the user's home directory.
    :ivar read_only: requests that would change anything are refused with EROFS before they get
        here.
    """

    blocking: ClassVar[bool] = True
    start: str = "/"
    read_only: bool = False

    @property
    def prompt(self) -> bool:
        """Whether its methods are quick as a rule and never hang, although they block.

        That is so for a local disk, and not for one behind a network. Quick calls are then made on
        the event loop; after one that was slow, in threads for a while.
        """
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
        """Set the attributes that are not None."""
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

    def upload_ended(self, upload: Upload) -> Maybe[None]:
        """Called when a file that was open for writing is closed, or its session broke off."""

    def close(self) -> Maybe[None]:
        """Called at the end of the session."""
