"""What an SFTP server serves: the interface that filesystems implement.

::

    class Reports(nacre.Filesystem):
        def stat(self, path):
            return nacre.Attributes(size=len(report(path)), permissions=0o100444)

        def open(self, path, flags, attributes):
            return Report(path)

Whatever is not implemented is answered OP_UNSUPPORTED. Failures are ``OSError``: their ``errno``
is what the client learns. Paths come as the client sent them, relative or absolute: bytes that are
no UTF-8 are surrogate escapes. This module imports little: processes of their own start with it.
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
    """A file that a client had open for writing, now that it is closed.

    :ivar path: as the client named it.
    :ivar size: bytes the file has now.
    :ivar complete: the client closed it, and no write failed. Otherwise the session broke off, or
        the storage did.
    """

    path: str
    size: int
    complete: bool


def unsupported() -> OSError:
    """Return the failure of what a filesystem does not have."""
    return OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


class File:
    """An open file. Its methods are called one at a time, in the order of the client's requests.

    :cvar vectors: ``preadv`` and ``pwritev`` are there; requests in a row then come as one call.
    """

    vectors: ClassVar[bool] = False

    def pread(self, size: int, offset: int) -> Maybe[Buffer]:
        """Return at most ``size`` bytes; none at all are the end of the file."""
        raise unsupported()

    def pwrite(self, data: Buffer, offset: int) -> Maybe[None]:
        """Write all of ``data``, which is not valid any more after the call."""
        raise unsupported()

    def preadv(self, buffers: Sequence[memoryview], offset: int, *, wait: bool = True) -> int:
        """Fill ``buffers`` one after the other; fewer bytes than fit are the end of the file.

        :param wait: when False, raise BlockingIOError rather than wait for a disk, as far as that
            can be told. Only a ``prompt`` filesystem's files are asked so.
        """
        raise unsupported()

    def pwritev(self, buffers: Sequence[Buffer], offset: int) -> None:
        """Write all of ``buffers`` one after the other."""
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
        """Set those attributes that are not None; a size cuts the file, or adds zeros."""
        raise unsupported()

    def fsync(self) -> Maybe[None]:
        """Return when all that was written is on the disk."""
        raise unsupported()

    def statvfs(self) -> Maybe[FileSystemStatus]:
        """Return the state of the file system it is on."""
        raise unsupported()

    def close(self) -> Maybe[None]:
        """The client is done with it."""

    def abort(self) -> Maybe[None]:
        """The session ended with the file open; what was written may be half."""
        return self.close()


class Filesystem:
    """The files of one session. Every method may be called from several threads at once.

    :cvar blocking: the methods, those of files too, are plain ones that may take their time: they
        are called in threads. When False they never block, may be coroutines, and are called on
        the event loop.
    :ivar read_only: requests that would change something are refused (EROFS) and never come here.
    """

    blocking: ClassVar[bool] = True
    read_only: bool = False

    @property
    def prompt(self) -> bool:
        """Whether it answers within moments as a rule, and never hangs, although it is blocking.

        A local disk does, one behind a network does not. Short calls are then made on the event
        loop; after one that took its time, in threads for a while.
        """
        return False

    def open(self, path: str, flags: OpenFlag, attributes: Attributes) -> Maybe[File]:
        """Open a file, or with ``OpenFlag.CREAT`` make one with ``attributes``."""
        raise unsupported()

    def scandir(self, path: str) -> Maybe[Iterable[Entry] | AsyncIterable[Entry]]:
        """Return the entries of a directory, also ``.`` and ``..`` where it has them.

        They are taken some at a time, as the client asks for them; a generator is closed when the
        client has seen enough. An entry without a ``longname`` gets one.
        """
        raise unsupported()

    def stat(self, path: str) -> Maybe[Attributes]:
        """Return the attributes, through symbolic links."""
        raise unsupported()

    def lstat(self, path: str) -> Maybe[Attributes]:
        """Return the attributes, a symbolic link's own."""
        return self.stat(path)

    def set_attributes(
        self, path: str, attributes: Attributes, *, follow_symlinks: bool = True
    ) -> Maybe[None]:
        """Set those attributes that are not None."""
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
        """Rename; with ``replace`` an existing ``new`` is replaced in one step, else an error."""
        raise unsupported()

    def link(self, old: str, new: str) -> Maybe[None]:
        """Make ``new`` another name of the file ``old``."""
        raise unsupported()

    def symlink(self, target: str, link: str) -> Maybe[None]:
        """Make a symbolic link."""
        raise unsupported()

    def readlink(self, path: str) -> Maybe[str]:
        """Return where a symbolic link points."""
        raise unsupported()

    def realpath(self, path: str) -> Maybe[str]:
        """Return the absolute path of ``path``; its last component may be missing."""
        return normalise(path)

    def home(self, user: str) -> Maybe[str]:
        """Return a user's home directory; an empty name is the session's own user."""
        if user:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return "/"

    def statvfs(self, path: str) -> Maybe[FileSystemStatus]:
        """Return the state of the file system that holds ``path``."""
        raise unsupported()

    def names(
        self, uids: tuple[int, ...], gids: tuple[int, ...]
    ) -> Maybe[tuple[tuple[str, ...], tuple[str, ...]]]:
        """Return users' and groups' names; an empty one is not known."""
        return ("",) * len(uids), ("",) * len(gids)

    def upload_ended(self, upload: Upload) -> Maybe[None]:
        """A file that was open for writing is closed: all of it came, or it broke off."""

    def close(self) -> Maybe[None]:
        """The session is over."""
