"""Any storage that fsspec knows, as a filesystem: ``s3://bucket/prefix``, ``memory://files``."""

from __future__ import annotations

import errno
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from nacre.errors import ConfigurationError
from nacre.sftp.filesystems.base import WRITING, File, Filesystem
from nacre.sftp.filesystems.local import LocalFilesystem
from nacre.sftp.filesystems.moving import (
    MARKER,
    DirectoryMove,
    is_directory,
    make_directory,
    move_file,
    remove_directory,
    try_directory,
)
from nacre.sftp.filesystems.storage import Storage
from nacre.sftp.filesystems.stored import (
    ReadFile,
    SpooledFile,
    SpoolRoom,
    StreamedFile,
    attributes_of,
)
from nacre.sftp.filesystems.walk import encoded, failure
from nacre.sftp.protocol.attributes import Attributes, Entry
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.protocol.paths import join, normalise
from nacre.wire.text import safe


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
    each (:mod:`nacre.sftp.filesystems.moving`).
    """

    def __init__(self, storage: Any, root: str = "", *, read_only: bool = False) -> None:
        """Serve the files below ``root`` in ``storage``, an fsspec ``AbstractFileSystem``."""
        self.read_only = read_only
        storage, root = _without_prefixes(storage, root)
        self._storage = Storage(storage)
        # At the root of a storage, names begin with a slash in some storages and not in others.
        top = root.rstrip("/")
        self._root = top or storage.root_marker
        self._below = f"{top}/" if top else self._root
        self._room = SpoolRoom()
        self._uploads: dict[str, StreamedFile] = {}
        # What another program has stored meanwhile must be found.
        self._storage.forget()

    @property
    def whole_uploads(self) -> bool:
        """See :attr:`nacre.Filesystem.whole_uploads`."""
        return self._storage.whole_uploads

    def keep_to_real_paths(self) -> None:
        """See :meth:`nacre.Filesystem.keep_to_real_paths`.

        fsspec knows no links. Those of a storage that has some are followed there, unseen.
        """

    def _path(self, path: str) -> str:
        encoded(path)
        inside = normalise(path)
        return self._root if inside == "/" else self._below + inside[1:]

    def _info(self, path: str) -> Mapping[str, Any]:
        where = self._path(path)
        if where == self._root:
            return {"name": where, "type": "directory", "size": 0}
        return self._storage.info(where)

    def stored(self, path: str) -> Attributes | None:
        """Return the attributes of what the storage itself has under a name now; None for nothing.

        No listing that was kept is looked at, and no upload of this session that has not ended.
        """
        self._storage.forget(self._path(path))
        with suppress(FileNotFoundError):
            return attributes_of(self._info(path))
        return None

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
            return ReadFile(self._storage, where, found)
        if found is None and not flags & OpenFlag.CREAT:
            raise failure(errno.ENOENT)
        if found is not None and flags & OpenFlag.CREAT and flags & OpenFlag.EXCL:
            raise failure(errno.EEXIST)
        keeps = found is not None and not flags & OpenFlag.TRUNC and found.get("size")
        if keeps or flags & OpenFlag.READ:
            return SpooledFile(self._storage, where, flags, self._room, keeps=bool(keeps))
        for one in [one for one, file in self._uploads.items() if file.ended]:
            self._uploads.pop(one, None)
        self._uploads[where] = file = StreamedFile(self._storage, where)
        return file

    def _uploading(self, path: str) -> StreamedFile | None:
        """Return what a file of this name is that this session has opened, and not closed."""
        file = self._uploads.get(self._path(path))
        return None if file is None or file.ended else file

    def scandir(self, path: str) -> Iterator[Entry]:
        """See :meth:`nacre.Filesystem.scandir`."""
        where = self._path(path)
        if self._info(path)["type"] != "directory":
            raise failure(errno.ENOTDIR)
        found: list[dict[str, Any]] = []
        self._storage.forget(where)
        with suppress(FileNotFoundError):  # an object store has no empty directories
            found = self._storage.ls(where)
        return self._entries(where, found)

    @staticmethod
    def _entries(where: str, found: list[dict[str, Any]]) -> Iterator[Entry]:
        for name in (".", ".."):
            yield Entry(name, "", Attributes(permissions=stat.S_IFDIR | 0o755))
        for info in found:
            if info["name"].rstrip("/") != where.rstrip("/"):
                name = info["name"].rstrip("/").rpartition("/")[2]
                if name == MARKER:
                    continue
                yield Entry(name, "", attributes_of(info))

    def stat(self, path: str) -> Attributes:
        """See :meth:`nacre.Filesystem.stat`."""
        try:
            return attributes_of(self._info(path))
        except FileNotFoundError:
            # Programs look at what they have created before they close it.
            if (file := self._uploading(path)) is None:
                raise
            return file.stat()

    def set_attributes(
        self, path: str, attributes: Attributes, *, follow_symlinks: bool = True
    ) -> None:
        """See :meth:`nacre.Filesystem.set_attributes`."""
        if (uploading := self._uploading(path)) is not None:
            uploading.set_attributes(attributes)
            return
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
        self._storage.remove_file(self._path(path))
        self._keep_parent(path)

    def mkdir(self, path: str, attributes: Attributes) -> None:
        """See :meth:`nacre.Filesystem.mkdir`."""
        if self._exists(path):
            raise failure(errno.EEXIST)
        self._check_parent(path)
        make_directory(self._storage, self._path(path))

    def _keep_parent(self, path: str) -> None:
        """Mark the directory of a name that is gone, if it was there because of that name alone."""
        parent = self._path(f"{normalise(path)}/..")
        if parent != self._root and not is_directory(self._storage, parent):
            try_directory(self._storage, parent)

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
        remove_directory(self._storage, self._path(path))
        self._keep_parent(path)

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
        if self._storage.moves:
            self._storage.move(source, target)
        elif directory:
            DirectoryMove(self._storage, source, target).run()
        else:
            move_file(self._storage, source, target)
        self._keep_parent(old)


def _without_prefixes(storage: Any, root: str) -> tuple[Any, str]:
    """Return the storage behind ``dir::…`` and the root there: it takes no markers itself."""
    from fsspec.implementations.dirfs import DirFileSystem

    while isinstance(storage, DirFileSystem):
        storage, root = storage.fs, f"{storage.path}/{root.lstrip('/')}".rstrip("/")
    return storage, root
