"""A server's answers as the objects that :mod:`os` returns."""

from __future__ import annotations

import os
import stat
from typing import Generic, TypeVar

from nacre.sftp.protocol.attributes import NO_DETAILS, Attributes
from nacre.sftp.protocol.extensions import FileSystemStatus
from nacre.value import value

Name = TypeVar("Name", str, bytes)


def stat_result(attributes: Attributes) -> os.stat_result:
    """Return attributes in the form of :func:`os.stat`; what the server did not send is 0.

    Versions 4 to 6 tell names of owners, which are in :class:`~nacre.FileDetails` alone.
    """
    size, uid, gid, permissions, atime, mtime = attributes[:6]
    details = attributes.details
    links, ctime = details.links or 0, details.ctime or 0
    fields = (
        *(permissions or 0, 0, 0, links, uid or 0, gid or 0, size or 0),
        *(atime or 0, mtime or 0, ctime),
    )
    if details == NO_DETAILS:
        return os.stat_result(fields)
    more: dict[str, float] = {}
    for name, seconds in (("atime", atime), ("mtime", mtime), ("ctime", ctime)):
        part = getattr(details, f"{name}_ns") or 0
        more[f"st_{name}"] = (seconds or 0) + part / 1e9
        more[f"st_{name}_ns"] = (seconds or 0) * 10**9 + part
    return os.stat_result(fields, more)


def statvfs_result(status: FileSystemStatus) -> os.statvfs_result:
    """Return the state of a file system in the form of :func:`os.statvfs`."""
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
    """A file in a listing, like :class:`os.DirEntry`; links are not followed.

    Call :meth:`SFTPClient.stat` for what a symbolic link points at.

    :ivar name: the name in its directory.
    :ivar path: the directory's path, as the caller gave it, and the name.
    :ivar longname: the server's line for ``ls -l``; may be empty, and is not safe to print.
    :ivar attributes: those that the server listed.
    """

    name: Name
    path: Name
    longname: str
    attributes: Attributes

    def is_dir(self) -> bool:
        """Tell whether it is a directory."""
        return self.attributes.is_directory

    def is_file(self) -> bool:
        """Tell whether it is a regular file."""
        return self.attributes.is_file

    def is_symlink(self) -> bool:
        """Tell whether it is a symbolic link."""
        return self.attributes.is_symlink

    def stat(self) -> os.stat_result:
        """Return the attributes, as ``lstat`` does."""
        return stat_result(self.attributes)

    def __fspath__(self) -> Name:
        return self.path

    def __str__(self) -> str:
        return f"<DirEntry {self.name!r} {stat.filemode(self.attributes.permissions or 0)}>"
