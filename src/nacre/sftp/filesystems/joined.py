"""Several filesystems as one: a root, and others at points below it.

The text of a path, without ``..``, says which filesystem it is for; that one finds its way in its
own. So no link leads from one to another, and an absolute link in a folder starts at that folder.
What the root has at a point is hidden by the folder there.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import suppress

from nacre.aio.maybe import Maybe, settled
from nacre.sftp.filesystems.base import WRITING, File, Filesystem, Upload, WrappedFile, unsupported
from nacre.sftp.filesystems.walk import failure
from nacre.sftp.protocol.attributes import Attributes, Entry
from nacre.sftp.protocol.extensions import FileSystemStatus
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.protocol.paths import normalise
from nacre.value import value
from nacre.wire.codec import Buffer

_MADE_UP = Attributes(size=0, permissions=stat.S_IFDIR | 0o755)
"""The attributes of a directory that is there only because a folder is below it."""


@value
class _Where:
    """What a path is for.

    :ivar files: the filesystem.
    :ivar inside: the path there.
    :ivar point: where the filesystem is; "" for the root.
    :ivar whole: the path from the root on, without ``..``.
    """

    files: Filesystem
    inside: str
    point: str
    whole: str

    @property
    def is_point(self) -> bool:
        return self.whole == self.point


class JoinedFilesystem(Filesystem):
    """A root, and folders at points below it."""

    def __init__(self, root: Filesystem, folders: Mapping[str, Filesystem]) -> None:
        """Join filesystems, which are this object's own from now on.

        :param folders: the filesystems by their points: absolute paths without ``..``.
        :raises ValueError: some of them block, and others do not.
        """
        if any(files.blocking != root.blocking for files in folders.values()):
            raise ValueError("filesystems that block can't be joined with others")
        self._root = root
        # The longest point first: a folder may be in another one.
        self._folders = dict(sorted(folders.items(), reverse=True))
        self._ways = {way for point in folders for way in _above(point)}
        self.blocking = root.blocking
        self.read_only = root.read_only and all(one.read_only for one in folders.values())
        self.start = root.start

    @property
    def _all(self) -> list[Filesystem]:
        return [self._root, *self._folders.values()]

    def _where(self, path: str) -> _Where:
        whole = normalise(path, self.start)
        # A slash at the end has a link followed.
        end = "/" if path.endswith(("/", "/.")) and whole != "/" else ""
        for point, files in self._folders.items():
            if whole == point or whole.startswith(point + "/"):
                inside = whole[len(point) :]
                return _Where(files, inside + end if inside else "/", point, whole)
        return _Where(self._root, whole + end, "", whole)

    def _changed(self, path: str) -> _Where:
        """Return what a path is for that is to be changed.

        :raises OSError: the folder is only read, or a folder is here or below.
        """
        where = self._where(path)
        if where.is_point or where.whole in self._ways:
            raise OSError(errno.EBUSY, f"{where.whole} is a folder, or holds one: it stays")
        if where.files.read_only:
            raise OSError(errno.EROFS, f"the folder {where.point or '/'} is read-only")
        return where

    def _pair(self, old: str, new: str) -> tuple[_Where, _Where]:
        source, target = self._changed(old), self._changed(new)
        if source.files is not target.files:
            raise OSError(
                errno.EXDEV,
                f"{source.whole} and {target.whole} are in different folders: copy the file",
            )
        return source, target

    # --- the session ---

    def speak(self, version: int) -> None:
        """See :meth:`nacre.Filesystem.speak`."""
        for files in self._all:
            files.speak(version)

    def keep_to_real_paths(self) -> None:
        """See :meth:`nacre.Filesystem.keep_to_real_paths`."""
        for files in self._all:
            files.keep_to_real_paths()

    async def start_at(self, directory: str) -> None:
        """See :meth:`nacre.Filesystem.start_at`."""
        start = await self.realpath(directory)
        if not (await self.stat(start)).is_directory:
            raise failure(errno.ENOTDIR)
        self.start = start

    @property
    def prompt(self) -> bool:
        """Whether all of them are."""
        return all(files.prompt for files in self._all)

    # --- files ---

    async def open(self, path: str, flags: OpenFlag, attributes: Attributes) -> File:
        """See :meth:`nacre.Filesystem.open`."""
        where = self._where(path)
        if where.files.read_only and flags & WRITING:
            raise OSError(errno.EROFS, f"the folder {where.point or '/'} is read-only")
        if where.is_point or where.whole in self._ways:
            raise failure(errno.EISDIR)
        file = await settled(where.files.open(where.inside, flags, attributes))
        return _UnchangedFile(file) if where.files.read_only else file

    async def scandir(self, path: str) -> Iterable[Entry] | AsyncIterable[Entry]:
        """See :meth:`nacre.Filesystem.scandir`; the points below the directory are among it."""
        where = self._where(path)
        if where.whole not in self._ways:
            return await settled(where.files.scandir(where.inside))
        own = await self._points(where.whole)
        try:
            found: Iterable[Entry] | AsyncIterable[Entry]
            found = await settled(where.files.scandir(where.inside))
        except FileNotFoundError:
            found = [Entry(".", "", _MADE_UP), Entry("..", "", _MADE_UP)]
        if isinstance(found, AsyncIterable):
            return _WithPointsLater(found, own)
        return _WithPoints(found, own)

    async def _points(self, directory: str) -> dict[str, Entry]:
        """Return the entries of a directory that are folders, or on the way to one."""
        below = directory.rstrip("/") + "/"
        found: dict[str, Entry] = {}
        for point in {*self._folders, *self._ways}:
            name = point.removeprefix(below)
            if point.startswith(below) and name and "/" not in name:
                attributes = _MADE_UP
                # A folder that is not there now is listed; to enter it fails.
                with suppress(OSError):
                    attributes = await self.stat(point)
                found[name] = Entry(name, "", attributes)
        return found

    async def stat(self, path: str) -> Attributes:
        """See :meth:`nacre.Filesystem.stat`."""
        where = self._where(path)
        try:
            return await settled(where.files.stat(where.inside))
        except FileNotFoundError:
            if where.whole in self._ways:
                return _MADE_UP
            raise

    async def lstat(self, path: str) -> Attributes:
        """See :meth:`nacre.Filesystem.lstat`; what is on the way to a folder is no link."""
        where = self._where(path)
        if where.is_point or where.whole in self._ways:
            return await self.stat(path)
        return await settled(where.files.lstat(where.inside))

    async def set_attributes(
        self, path: str, attributes: Attributes, *, follow_symlinks: bool = True
    ) -> None:
        """See :meth:`nacre.Filesystem.set_attributes`."""
        where = self._changed(path)
        await settled(
            where.files.set_attributes(where.inside, attributes, follow_symlinks=follow_symlinks)
        )

    async def remove(self, path: str) -> None:
        """See :meth:`nacre.Filesystem.remove`."""
        where = self._changed(path)
        await settled(where.files.remove(where.inside))

    async def mkdir(self, path: str, attributes: Attributes) -> None:
        """See :meth:`nacre.Filesystem.mkdir`."""
        where = self._where(path)
        if where.is_point or where.whole in self._ways:
            raise failure(errno.EEXIST)
        where = self._changed(path)
        await settled(where.files.mkdir(where.inside, attributes))

    async def rmdir(self, path: str) -> None:
        """See :meth:`nacre.Filesystem.rmdir`."""
        where = self._changed(path)
        await settled(where.files.rmdir(where.inside))

    async def rename(self, old: str, new: str, *, replace: bool) -> None:
        """See :meth:`nacre.Filesystem.rename`; from one folder to another it fails with EXDEV."""
        source, target = self._pair(old, new)
        await settled(source.files.rename(source.inside, target.inside, replace=replace))

    async def link(self, old: str, new: str) -> None:
        """See :meth:`nacre.Filesystem.link`; from one folder to another it fails with EXDEV."""
        source, target = self._pair(old, new)
        await settled(source.files.link(source.inside, target.inside))

    async def symlink(self, target: str, link: str) -> None:
        """See :meth:`nacre.Filesystem.symlink`."""
        where = self._changed(link)
        await settled(where.files.symlink(target, where.inside))

    async def readlink(self, path: str) -> str:
        """See :meth:`nacre.Filesystem.readlink`."""
        where = self._where(path)
        if where.is_point or where.whole in self._ways:
            raise failure(errno.EINVAL)
        return await settled(where.files.readlink(where.inside))

    async def realpath(self, path: str) -> str:
        """See :meth:`nacre.Filesystem.realpath`."""
        where = self._where(path)
        if where.is_point or where.whole in self._ways:
            return where.whole
        real = await settled(where.files.realpath(where.inside))
        return where.point + real if real != "/" else where.point or "/"

    def home(self, user: str) -> Maybe[str]:
        """See :meth:`nacre.Filesystem.home`."""
        return self._root.home(user)

    async def statvfs(self, path: str) -> FileSystemStatus:
        """See :meth:`nacre.Filesystem.statvfs`; the state is that of the folder."""
        where = self._where(path)
        try:
            return await settled(where.files.statvfs(where.inside))
        except FileNotFoundError:
            if where.whole in self._ways:
                return await settled(self._root.statvfs("/"))
            raise

    def names(
        self, uids: tuple[int, ...], gids: tuple[int, ...]
    ) -> Maybe[tuple[tuple[str, ...], tuple[str, ...]]]:
        """See :meth:`nacre.Filesystem.names`."""
        return self._root.names(uids, gids)

    def numbers(
        self, users: tuple[str, ...], groups: tuple[str, ...]
    ) -> Maybe[tuple[tuple[int, ...], tuple[int, ...]]]:
        """See :meth:`nacre.Filesystem.numbers`."""
        return self._root.numbers(users, groups)

    def upload_ended(self, upload: Upload) -> Maybe[None]:
        """See :meth:`nacre.Filesystem.upload_ended`."""
        where = self._where(upload.path)
        return where.files.upload_ended(Upload(where.inside, upload.size, upload.complete))

    def close(self) -> Maybe[None]:
        """See :meth:`nacre.Filesystem.close`; plain where those of the filesystems are."""
        problem: OSError | None = None
        waiting: list[Awaitable[None]] = []
        for files in self._all:
            try:
                closing = files.close()
            except OSError as error:
                problem = error
            else:
                if closing is not None:
                    waiting.append(closing)
        if waiting:
            return _all_closed(waiting, problem)
        if problem is not None:
            raise problem
        return None


async def _all_closed(waiting: list[Awaitable[None]], problem: OSError | None) -> None:
    for closing in waiting:
        try:
            await closing
        except OSError as error:
            problem = error
    if problem is not None:
        raise problem


def _above(point: str) -> list[str]:
    """Return the directories on the way to a point, the root among them."""
    names = point.split("/")[1:-1]
    return ["/" + "/".join(names[:count]) for count in range(len(names) + 1)]


class _WithPoints:
    """The entries of a directory, and the folders in it in place of what has their names."""

    def __init__(self, entries: Iterable[Entry], own: Mapping[str, Entry]) -> None:
        self._entries = entries
        self._own = own

    def __iter__(self) -> Iterator[Entry]:
        for entry in self._entries:
            if entry.name not in self._own:
                yield entry
        yield from self._own.values()

    def close(self) -> None:
        if hasattr(self._entries, "close"):
            self._entries.close()


class _WithPointsLater:
    """The same of a filesystem with coroutines."""

    def __init__(self, entries: AsyncIterable[Entry], own: Mapping[str, Entry]) -> None:
        self._entries = entries
        self._own = own

    async def __aiter__(self) -> AsyncIterator[Entry]:
        async for entry in self._entries:
            if entry.name not in self._own:
                yield entry
        for entry in self._own.values():
            yield entry

    async def aclose(self) -> None:
        if hasattr(self._entries, "aclose"):
            await self._entries.aclose()


class _UnchangedFile(WrappedFile):
    """A file of a folder that is only read: its attributes can't be changed either."""

    def __init__(self, file: File) -> None:
        super().__init__(file)
        self.vectors = file.vectors

    def pread(self, size: int, offset: int) -> Maybe[Buffer]:
        return self.inner.pread(size, offset)

    def preadv(self, buffers: Sequence[memoryview], offset: int, *, wait: bool = True) -> int:
        return self.inner.preadv(buffers, offset, wait=wait)

    def set_attributes(self, attributes: Attributes) -> Maybe[None]:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def fsync(self) -> Maybe[None]:
        raise unsupported()
