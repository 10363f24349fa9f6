"""What a server answers, as the objects that :mod:`os` gives."""

from __future__ import annotations

import os
import stat
from typing import Generic, TypeVar

from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.extensions import FileSystemStatus
from nacre.value import value

Name = TypeVar("Name", str, bytes)


def stat_result(attributes: Attributes) -> os.stat_result:
    """Return attributes as :func:`os.stat` gives them; what the server did not tell is 0."""
    size, uid, gid, permissions, atime, mtime, _ = attributes
    return os.stat_result(
        (permissions or 0, 0, 0, 0, uid or 0, gid or 0, size or 0, atime or 0, mtime or 0, 0)
    )


def statvfs_result(status: FileSystemStatus) -> os.statvfs_result:
    """Return the state of a file system as :func:`os.statvfs` gives it."""
    return os.statvfs_result(
        (
            status.bsize,
            status.frsize,
            status.blocks,
            status.bfree,
            status.bavail,
            status.files,
            status.ffree,
            status.favail,
            status.flag,
            status.namemax,
        )
    )


@value
class DirEntry(Generic[Name]):
    """A file of a listing, as :class:`os.DirEntry`: what it tells is of the entry itself.

    A symbolic link is a symbolic link; :meth:`SFTPClient.stat` looks through it.

    :ivar name: the name in its directory.
    :ivar path: the directory's path, as it was given, and the name.
    :ivar longname: the server's line for ``ls -l``; may be empty, and is not safe to print.
    :ivar attributes: what the server told of it.
    """

    name: Name
    path: Name
    longname: str
    attributes: Attributes

    def is_dir(self) -> bool:
        """Whether it is a directory."""
        return self.attributes.is_directory

    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return self.attributes.is_file

    def is_symlink(self) -> bool:
        """Whether it is a symbolic link."""
        return self.attributes.is_symlink

    def stat(self) -> os.stat_result:
        """Return its attributes, as ``lstat`` does."""
        return stat_result(self.attributes)

    def __fspath__(self) -> Name:
        return self.path

    def __str__(self) -> str:
        return f"<DirEntry {self.name!r} {stat.filemode(self.attributes.permissions or 0)}>"
