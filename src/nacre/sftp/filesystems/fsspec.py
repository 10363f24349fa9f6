"""Any storage that fsspec knows, as a filesystem: ``s3://bucket/prefix``, ``memory://files``."""

from __future__ import annotations

import errno
import re
import stat
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import IO, Any

from nacre.errors import ConfigurationError
from nacre.limits import DEFAULT_SFTP_LIMITS, MIB
from nacre.sftp.filesystems.base import WRITING, File, Filesystem
from nacre.sftp.filesystems.local import LocalFilesystem
from nacre.sftp.filesystems.walk import encoded, failure
from nacre.sftp.protocol.attributes import Attributes, Entry
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.protocol.paths import join, normalise
from nacre.wire.codec import Buffer
from nacre.wire.text import safe

_GAP, _SPOOL = DEFAULT_SFTP_LIMITS.gap, DEFAULT_SFTP_LIMITS.spool
_SPOOLED = 8 * MIB
"""Bytes of a file to be uploaded that are kept in memory; a larger one goes to the disk."""


def open_root(
    url: str, *, user: str = "", read_only: bool = False, home: str | None = None
) -> Filesystem:
    """Return the filesystem of a path or URL.

    :param home: see :class:`~nacre.LocalFilesystem`; a storage has no home directories.

    A path, or one after ``file://``, is a local directory: fsspec would follow its links anywhere.

    :raises ConfigurationError: fsspec is not installed, or can't use the URL.
    :raises OSError: the directory can't be opened.
    """
    protocol, separator, path = url.partition("://")
    if not separator or protocol in ("file", "local"):
        root = path if separator else url
        return LocalFilesystem(root, user=user, read_only=read_only, home=home)
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise ConfigurationError(
            f"{shown(url)} needs fsspec: install nacre[fsspec], and the package for {protocol}"
        ) from None
    try:
        storage, root = url_to_fs(url)
    except ImportError as error:
        missing = safe(error.name or "the package", 64)
        raise ConfigurationError(
            f"fsspec can't use {shown(url)}: {missing} for {safe(protocol, 32)} is not installed"
        ) from None
    except ValueError:
        raise ConfigurationError(
            f"fsspec can't use {shown(url)}: its protocol is not known, or the URL is not valid"
        ) from None
    return FsspecFilesystem(storage, root, read_only=read_only)


_SECRETS = re.compile(r"(?<=://)[^/?#]*@|[?#].*")


def shown(url: str) -> str:
    """Return a URL to print, without the user, password and query in it, which may be secrets.

    The errors about a root are shown to clients, too.
    """
    return safe("::".join(_SECRETS.sub("", link) for link in url.split("::")))


def load_storage(url: str) -> None:
    """Import what :func:`open_root` needs for a URL, for every link of a chain (``::``).

    For a process that can't import them any more when it opens the storage. A module that is
    missing is reported by :func:`open_root`.
    """
    with suppress(ImportError, ValueError):
        from fsspec import get_filesystem_class
        from fsspec.core import url_to_fs
        from fsspec.implementations import dirfs  # noqa: F401

        for link in url.split("::"):
            get_filesystem_class(link.partition("://")[0])
        url_to_fs("memory://")  # imports those modules of fsspec that its first call needs


class FsspecFilesystem(Filesystem):
    """Serves a prefix of a storage as ``/``.

    A storage finds its objects by text, so here the text of a path decides: ``..`` is resolved in
    every path before the prefix is added. Don't serve local directories this way; use
    :class:`~nacre.LocalFilesystem`. Setting modes, owners and times that the storage does not keep
    has no effect.

    An object store has no directories, only names with slashes. There a directory is an empty
    object whose name ends in a slash, its marker, and renaming it copies each object, then deletes
    each; a copy that fails leaves the old directory as it was.
    """

    def __init__(self, storage: Any, root: str = "", *, read_only: bool = False) -> None:
        """Serve the files below ``root`` in ``storage``, an fsspec ``AbstractFileSystem``."""
        self.read_only = read_only
        storage, root = _without_prefixes(storage, root)
        self._storage = storage
        # At the root of a storage, names begin with a slash in some storages and not in others.
        top = root.rstrip("/")
        self._root = top or storage.root_marker
        self._below = f"{top}/" if top else self._root
        self._room = _SpoolRoom()
        # What another program has stored meanwhile must be found.
        storage.invalidate_cache()

    def _path(self, path: str) -> str:
        encoded(path)
        inside = normalise(path)
        return self._root if inside == "/" else self._below + inside[1:]

    def _info(self, path: str) -> Mapping[str, Any]:
        where = self._path(path)
        if where == self._root:
            return {"name": where, "type": "directory", "size": 0}
        found: Mapping[str, Any] = self._storage.info(where)
        return found

    def open(self, path: str, flags: OpenFlag, attributes: Attributes) -> File:
        """See :meth:`nacre.Filesystem.open`."""
        where = self._path(path)
        found: Mapping[str, Any] | None = None
        with suppress(FileNotFoundError):
            found = self._info(path)
        if found is not None and found["type"] == "directory":
            raise failure(errno.EISDIR)
        if not flags & WRITING:
            if found is None:
                raise failure(errno.ENOENT)
            return _ReadFile(self._storage.open(where, "rb"), found)
        if found is None and not flags & OpenFlag.CREAT:
            raise failure(errno.ENOENT)
        if found is not None and flags & OpenFlag.CREAT and flags & OpenFlag.EXCL:
            raise failure(errno.EEXIST)
        keeps = found is not None and not flags & OpenFlag.TRUNC and found.get("size")
        if keeps or flags & OpenFlag.READ:
            return _SpooledFile(self._storage, where, flags, self._room, keeps=bool(keeps))
        return _StreamedFile(self._storage, where)

    def scandir(self, path: str) -> Iterator[Entry]:
        """See :meth:`nacre.Filesystem.scandir`."""
        where = self._path(path)
        if self._info(path)["type"] != "directory":
            raise failure(errno.ENOTDIR)
        found = []
        self._storage.invalidate_cache(where)
        with suppress(FileNotFoundError):  # an object store has no empty directories
            found = self._storage.ls(where, detail=True)
        return self._entries(where, found)

    @staticmethod
    def _entries(where: str, found: list[Mapping[str, Any]]) -> Iterator[Entry]:
        for name in (".", ".."):
            yield Entry(name, "", Attributes(permissions=stat.S_IFDIR | 0o755))
        for info in found:
            if info["name"].rstrip("/") != where.rstrip("/"):
                name = info["name"].rstrip("/").rpartition("/")[2]
                yield Entry(name, "", _attributes(info))

    def stat(self, path: str) -> Attributes:
        """See :meth:`nacre.Filesystem.stat`."""
        return _attributes(self._info(path))

    def set_attributes(
        self, path: str, attributes: Attributes, *, follow_symlinks: bool = True
    ) -> None:
        """See :meth:`nacre.Filesystem.set_attributes`."""
        found = self._info(path)
        if attributes.size is not None and attributes.size != found.get("size"):
            file = self.open(path, OpenFlag.READ | OpenFlag.WRITE, Attributes())
            try:
                file.set_attributes(attributes)
            finally:
                file.close()

    def remove(self, path: str) -> None:
        """See :meth:`nacre.Filesystem.remove`."""
        if self._info(path)["type"] == "directory":
            raise failure(errno.EISDIR)
        self._storage.rm_file(self._path(path))
        self._keep_parent(path)

    def mkdir(self, path: str, attributes: Attributes) -> None:
        """See :meth:`nacre.Filesystem.mkdir`."""
        if self._exists(path):
            raise failure(errno.EEXIST)
        self._check_parent(path)
        self._make_directory(self._path(path))

    def _make_directory(self, where: str) -> None:
        """Make a directory, or its marker where the storage has no directories.

        :raises OSError: the storage can keep neither.
        """
        storage = self._storage
        storage.mkdir(where, create_parents=False)
        if self._is_directory(where):
            return
        storage.pipe_file(f"{where}/", b"")
        if not self._is_directory(where):
            with suppress(FileNotFoundError):
                storage.rm_file(where)  # the slash was dropped: a file was made
            raise OSError(errno.EOPNOTSUPP, "the storage keeps no empty directories")

    def _is_directory(self, where: str) -> bool:
        self._storage.invalidate_cache(where)
        with suppress(FileNotFoundError):
            return bool(self._storage.info(where)["type"] == "directory")
        return False

    def _keep_parent(self, path: str) -> None:
        """Mark the directory of a name that is gone, if it was there because of that name alone."""
        parent = self._path(f"{normalise(path)}/..")
        if parent != self._root and not self._is_directory(parent):
            self._try_directory(parent)

    def _try_directory(self, where: str) -> None:
        """Make a directory that need not be kept when it is empty."""
        try:
            self._make_directory(where)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise

    def _exists(self, path: str) -> bool:
        with suppress(FileNotFoundError):
            self._info(path)
            return True
        return False

    def _check_parent(self, path: str) -> None:
        parent = normalise(join(normalise(path), ".."))
        if self._info(parent)["type"] != "directory":
            raise failure(errno.ENOTDIR)

    def rmdir(self, path: str) -> None:
        """See :meth:`nacre.Filesystem.rmdir`."""
        if self._path(path) == self._root:
            raise failure(errno.EBUSY)
        if self._info(path)["type"] != "directory":
            raise failure(errno.ENOTDIR)
        if any(entry.name not in (".", "..") for entry in self.scandir(path)):
            raise failure(errno.ENOTEMPTY)
        self._remove_directory(self._path(path))
        self._keep_parent(path)

    def _remove_directory(self, where: str) -> None:
        """Remove an empty directory, or its marker."""
        found = self._storage.ls(where, detail=True)
        if markers := [info["name"] for info in found if info["name"] == f"{where}/"]:
            self._storage.rm_file(markers[0])
        else:
            self._storage.rmdir(where)

    def rename(self, old: str, new: str, *, replace: bool) -> None:
        """See :meth:`nacre.Filesystem.rename`; a storage may copy, which is not atomic."""
        source, target = self._path(old), self._path(new)
        directory = self._info(old)["type"] == "directory"
        if source == self._root or target.startswith(source + "/"):
            raise failure(errno.EINVAL)
        if self._exists(new):
            if not replace or directory:
                raise failure(errno.EEXIST)
            if self._info(new)["type"] == "directory":
                raise failure(errno.EISDIR)
        self._check_parent(new)
        if source == target:
            return
        if directory and not _moves(self._storage):
            self._move_directory(source, target)
        else:
            self._storage.mv(source, target, recursive=directory)
        self._keep_parent(old)

    def _move_directory(self, source: str, target: str) -> None:
        """Copy a directory object by object, then delete the old one likewise."""
        storage = self._storage
        storage.invalidate_cache()
        below = storage.find(source, withdirs=True, detail=True)
        names = sorted(name for name in below if name.rstrip("/") != source.rstrip("/"))
        directories = [name for name in names if below[name]["type"] == "directory"]
        files = [name for name in names if name not in set(directories) and not name.endswith("/")]
        made: list[str] = []
        try:
            for name in ["", *(name[len(source) :] for name in directories)]:
                made.append(target + name)
                self._try_directory(target + name)
            for name in files:
                made.append(target + name[len(source) :])
                storage.cp_file(name, made[-1])
        except BaseException:
            self._delete(made[len(directories) + 1 :], made[: len(directories) + 1])
            raise
        self._delete(files, [source, *directories], strictly=True)

    def _delete(self, files: list[str], directories: list[str], *, strictly: bool = False) -> None:
        """Delete files, then the directories that held them, parents last.

        :param strictly: raise what goes wrong; otherwise delete what can be deleted.
        """
        tolerated = () if strictly else (OSError, NotImplementedError)
        for name in files:
            with suppress(*tolerated):
                self._storage.rm_file(name)
        for name in reversed(directories):
            self._storage.invalidate_cache(name)
            # Without a marker, a directory of an object store goes with its last object.
            with suppress(FileNotFoundError, *tolerated):
                self._remove_directory(name)


def _without_prefixes(storage: Any, root: str) -> tuple[Any, str]:
    """Return the storage behind ``dir::…`` and the root there: it takes no markers itself."""
    from fsspec.implementations.dirfs import DirFileSystem

    while isinstance(storage, DirFileSystem):
        storage, root = storage.fs, f"{storage.path}/{root.lstrip('/')}".rstrip("/")
    return storage, root


def _moves(storage: Any) -> bool:
    """Return whether a storage moves directories by itself, and not by copying what they hold."""
    from fsspec import AbstractFileSystem

    return getattr(type(storage), "mv", None) is not AbstractFileSystem.mv


def _too_large(text: str) -> OSError:
    return OSError(errno.EFBIG, text)


def _check_gap(end: int, size: int) -> None:
    """Refuse to add more zeros than a client can have use for: they would be stored, and paid for.

    :param end: where a file of ``size`` bytes is to end, or the next bytes are to be.
    """
    if end - size > _GAP:
        raise _too_large(f"more than {_GAP} zeros are not added at once")


def _attributes(info: Mapping[str, Any]) -> Attributes:
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


class _ReadFile(File):
    def __init__(self, file: IO[bytes], info: Mapping[str, Any]) -> None:
        self._file = file
        self._info = info

    def pread(self, size: int, offset: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(size)

    def stat(self) -> Attributes:
        return _attributes(self._info)

    def close(self) -> None:
        self._file.close()


class _StreamedFile(File):
    """A new file that is sent to the storage as it is written, which must be in order."""

    def __init__(self, storage: Any, path: str) -> None:
        self._file = storage.open(path, "wb")
        self._at = 0
        self._zeros = 0

    def pwrite(self, data: Buffer, offset: int) -> None:
        if offset < self._at:
            raise failure(errno.ESPIPE)
        _check_gap(offset, self._at - self._zeros)
        self._zeros += offset - self._at
        while offset > self._at:
            self._put(bytes(min(offset - self._at, MIB)))
        self._put(bytes(data))

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._at += len(data)

    def stat(self) -> Attributes:
        return Attributes(size=self._at, permissions=stat.S_IFREG | 0o644)

    def set_attributes(self, attributes: Attributes) -> None:
        if attributes.size is not None and attributes.size < self._at:
            raise failure(errno.EOPNOTSUPP)
        if attributes.size is not None:
            self.pwrite(b"", attributes.size)

    def close(self) -> None:
        self._file.close()

    def abort(self) -> None:
        """Discard what was written, if the storage can."""
        if hasattr(self._file, "discard"):
            with suppress(NotImplementedError):
                self._file.discard()
        # Garbage collection closes an open file, and closing commits it.
        with suppress(AttributeError):
            self._file.closed = True


class _SpoolRoom:
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


class _SpooledFile(File):
    """A file that is changed in a local copy, which replaces the stored file when it is closed."""

    def __init__(
        self, storage: Any, path: str, flags: OpenFlag, room: _SpoolRoom, *, keeps: bool
    ) -> None:
        self._storage = storage
        self._path = path
        self._room = room
        self._size = 0
        self._append = bool(flags & OpenFlag.APPEND)
        self._file = tempfile.SpooledTemporaryFile(_SPOOLED)  # noqa: SIM115
        if keeps:
            try:
                with storage.open(path, "rb") as there:
                    while block := there.read(MIB):
                        self._write(block, self._size)
            except BaseException:
                self.abort()
                raise

    def pread(self, size: int, offset: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(size)

    def pwrite(self, data: Buffer, offset: int) -> None:
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
        return Attributes(size=self._size, permissions=stat.S_IFREG | 0o644)

    def set_attributes(self, attributes: Attributes) -> None:
        if attributes.size is None:
            return
        self._fill(attributes.size)
        if attributes.size < self._size:
            self._file.truncate(attributes.size)
            self._room.take(attributes.size - self._size)
            self._size = attributes.size

    def close(self) -> None:
        self._file.seek(0)
        try:
            with self._storage.open(self._path, "wb") as there:
                while block := self._file.read(MIB):
                    there.write(block)
        finally:
            self.abort()

    def abort(self) -> None:
        self._file.close()
        self._room.take(-self._size)
        self._size = 0
