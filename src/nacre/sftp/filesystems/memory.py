"""A filesystem in memory: for tests, and for programs that exchange files without storing them."""

from __future__ import annotations

import errno
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from nacre.limits import MIB
from nacre.sftp.filesystems.base import File, Filesystem
from nacre.sftp.filesystems.walk import encoded, failure
from nacre.sftp.protocol.attributes import Attributes, Entry
from nacre.sftp.protocol.extensions import FileSystemStatus
from nacre.sftp.protocol.messages import OpenFlag
from nacre.wire.codec import Buffer

_LINKS = 40
_BLOCK = 4096
_U32_MAX = 0xFFFFFFFF


@dataclass(slots=True, eq=False)
class _Node:
    """An inode: a file's bytes, a directory's names, or a link's target."""

    mode: int
    data: bytearray = field(default_factory=bytearray)
    names: dict[str, _Node] = field(default_factory=dict)
    target: str = ""
    uid: int = 0
    gid: int = 0
    times: tuple[int, int] = field(default_factory=lambda: (int(time.time()),) * 2)

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)

    def attributes(self) -> Attributes:
        size = len(self.target.encode("utf-8", "surrogateescape")) if self.is_link else 0
        return Attributes(
            size or len(self.data), self.uid, self.gid, self.mode, self.times[0], self.times[1]
        )

    def stamp(self) -> None:
        self.times = self.times[0], int(time.time())


class MemoryFilesystem(Filesystem):
    """Files in memory. One object may serve many sessions, which then share the files.

    ``fs["/name"]`` is a file's content; assign to it to write a file.
    """

    blocking = False

    def __init__(self, *, size: int = 256 * MIB, read_only: bool = False) -> None:
        """Make an empty filesystem; ``size`` bounds the bytes of all files together."""
        self.read_only = read_only
        self._root = _Node(stat.S_IFDIR | 0o755)
        self._size = size
        self._left = size

    def __getitem__(self, path: str) -> bytes:
        """Return a file's content.

        :raises OSError: there is no such file.
        """
        node = self._find(path)
        if node.is_directory:
            raise failure(errno.EISDIR)
        return bytes(node.data)

    def __setitem__(self, path: str, content: bytes) -> None:
        """Set a file's content; make the directories of its path."""
        made = ""
        for name in path.strip("/").split("/")[:-1]:
            made += "/" + name
            with suppress(FileExistsError):
                self.mkdir(made, Attributes())
        flags = OpenFlag.WRITE | OpenFlag.CREAT | OpenFlag.TRUNC
        self.open(path, flags, Attributes()).pwrite(content, 0)

    def keep_to_real_paths(self) -> None:
        """See :meth:`nacre.Filesystem.keep_to_real_paths`.

        There is nothing to do: no method waits, so no other session comes in between.
        """

    # --- walking ---

    def _walk(self, path: str, follow: bool) -> tuple[list[tuple[str, _Node]], str]:
        """Return the directories on the way to ``path``, and its last name; "" for the root."""
        encoded(path)  # raises for a path that no system accepts
        way: list[tuple[str, _Node]] = [("", self._root)]
        todo = _names(path)
        links = 0
        while todo:
            name = todo.pop()
            if name == "..":
                del way[max(1, len(way) - 1) :]
                continue
            found = way[-1][1].names.get(name)
            if found is not None and found.is_link and (todo or follow or path.endswith("/")):
                links += 1
                if links > _LINKS:
                    raise failure(errno.ELOOP)
                if found.target.startswith("/"):
                    del way[1:]
                todo += _names(found.target)
            elif not todo:
                return way, name
            elif found is None:
                raise failure(errno.ENOENT)
            elif not found.is_directory:
                raise failure(errno.ENOTDIR)
            else:
                way.append((name, found))
        name, _ = way[-1]
        return (way[:-1], name) if len(way) > 1 else (way, "")

    def _place(self, path: str, follow: bool = False) -> tuple[dict[str, _Node], str]:
        way, name = self._walk(path, follow)
        return way[-1][1].names, name

    def _find(self, path: str, follow: bool = True) -> _Node:
        names, name = self._place(path, follow)
        if not name:
            return self._root
        if (found := names.get(name)) is None:
            raise failure(errno.ENOENT)
        return found

    def _new(self, path: str, node: _Node) -> None:
        names, name = self._place(path)
        if not name or name in names:
            raise failure(errno.EEXIST)
        names[name] = node

    def _take(self, count: int) -> None:
        if count > self._left:
            raise failure(errno.ENOSPC)
        self._left -= count

    # --- the interface ---

    def open(self, path: str, flags: OpenFlag, attributes: Attributes) -> _MemoryFile:
        """See :meth:`nacre.Filesystem.open`."""
        exclusive = bool(flags & OpenFlag.CREAT and flags & OpenFlag.EXCL)
        names, name = self._place(path, not exclusive)
        node = names.get(name) if name else self._root
        if node is None:
            if not flags & OpenFlag.CREAT:
                raise failure(errno.ENOENT)
            mode = 0o644 if attributes.permissions is None else attributes.permissions & 0o777
            node = names[name] = _Node(stat.S_IFREG | mode)
        elif exclusive:
            raise failure(errno.EEXIST)
        elif node.is_directory:
            raise failure(errno.EISDIR)
        elif node.is_link:
            raise failure(errno.ELOOP)
        elif flags & OpenFlag.TRUNC:
            self._resize(node, 0)
        return _MemoryFile(self, node, flags)

    def scandir(self, path: str) -> Iterator[Entry]:
        """See :meth:`nacre.Filesystem.scandir`."""
        node = self._find(path)
        if not node.is_directory:
            raise failure(errno.ENOTDIR)
        here = [(".", node), ("..", node), *node.names.items()]
        return (Entry(name, "", one.attributes()) for name, one in here)

    def stat(self, path: str) -> Attributes:
        """See :meth:`nacre.Filesystem.stat`."""
        return self._find(path).attributes()

    def lstat(self, path: str) -> Attributes:
        """See :meth:`nacre.Filesystem.lstat`."""
        return self._find(path, follow=False).attributes()

    def set_attributes(
        self, path: str, attributes: Attributes, *, follow_symlinks: bool = True
    ) -> None:
        """See :meth:`nacre.Filesystem.set_attributes`."""
        self._set(self._find(path, follow_symlinks), attributes)

    def _set(self, node: _Node, attributes: Attributes) -> None:
        if attributes.size is not None:
            if node.is_directory:
                raise failure(errno.EISDIR)
            self._resize(node, attributes.size)
        if attributes.permissions is not None:
            node.mode = stat.S_IFMT(node.mode) | attributes.permissions & 0o7777
        if attributes.atime is not None and attributes.mtime is not None:
            # A session of version 3, which may share the files, has 32 bits for each.
            given = attributes.atime, attributes.mtime
            atime, mtime = [min(max(seconds, 0), _U32_MAX) for seconds in given]
            node.times = atime, mtime
        if attributes.uid is not None and attributes.gid is not None:
            node.uid, node.gid = attributes.uid, attributes.gid

    def _resize(self, node: _Node, size: int) -> None:
        self._take(size - len(node.data))
        if size < len(node.data):
            del node.data[size:]
        else:
            node.data.extend(bytes(size - len(node.data)))
        node.stamp()

    def write(self, node: _Node, data: Buffer, offset: int) -> None:
        """Write into a file; a gap before ``offset`` is filled with zeros."""
        end = offset + len(data)
        self._take(max(0, end - len(node.data)))
        if offset > len(node.data):
            node.data.extend(bytes(offset - len(node.data)))
        node.data[offset:end] = data
        node.stamp()

    def remove(self, path: str) -> None:
        """See :meth:`nacre.Filesystem.remove`."""
        names, name = self._place(path)
        if self._find(path, follow=False).is_directory:
            raise failure(errno.EISDIR)
        self._forget(names.pop(name))

    def _forget(self, node: _Node) -> None:
        """Count a removed file's bytes as free, even if it has another name or is open."""
        self._left = min(self._size, self._left + len(node.data))

    def mkdir(self, path: str, attributes: Attributes) -> None:
        """See :meth:`nacre.Filesystem.mkdir`."""
        mode = 0o755 if attributes.permissions is None else attributes.permissions & 0o777
        self._new(path.rstrip("/") or "/", _Node(stat.S_IFDIR | mode))

    def rmdir(self, path: str) -> None:
        """See :meth:`nacre.Filesystem.rmdir`."""
        node = self._find(path, follow=False)
        if not node.is_directory:
            raise failure(errno.ENOTDIR)
        if node.names or node is self._root:
            raise failure(errno.ENOTEMPTY)
        names, name = self._place(path)
        del names[name]

    def rename(self, old: str, new: str, *, replace: bool) -> None:
        """See :meth:`nacre.Filesystem.rename`."""
        node = self._find(old, follow=False)
        names, name = self._place(old)
        way, new_name = self._walk(new, False)
        new_names = way[-1][1].names
        if not name or not new_name or any(one is node for _, one in way):
            raise failure(errno.EINVAL)
        there = new_names.get(new_name)
        if there is node:
            return
        if there is not None:
            if not replace:
                raise failure(errno.EEXIST)
            if there.is_directory != node.is_directory:
                raise failure(errno.EISDIR if there.is_directory else errno.ENOTDIR)
            if there.names:
                raise failure(errno.ENOTEMPTY)
            self._forget(there)
        del names[name]
        new_names[new_name] = node

    def link(self, old: str, new: str) -> None:
        """See :meth:`nacre.Filesystem.link`."""
        node = self._find(old, follow=False)
        if node.is_directory:
            raise failure(errno.EPERM)
        self._new(new, node)

    def symlink(self, target: str, link: str) -> None:
        """See :meth:`nacre.Filesystem.symlink`."""
        encoded(target)
        if not target:
            raise failure(errno.ENOENT)
        self._new(link, _Node(stat.S_IFLNK | 0o777, target=target))

    def readlink(self, path: str) -> str:
        """See :meth:`nacre.Filesystem.readlink`."""
        node = self._find(path, follow=False)
        if not node.is_link:
            raise failure(errno.EINVAL)
        return node.target

    def realpath(self, path: str) -> str:
        """See :meth:`nacre.Filesystem.realpath`."""
        way, name = self._walk(path, True)
        return "/" + "/".join([*(one for one, _ in way[1:]), name] if name else [])

    def statvfs(self, path: str) -> FileSystemStatus:
        """See :meth:`nacre.Filesystem.statvfs`."""
        self._find(path)
        blocks, free = self._size // _BLOCK, self._left // _BLOCK
        return FileSystemStatus(
            _BLOCK, _BLOCK, blocks, free, free, 0, 0, 0, 0, int(self.read_only), 255
        )


class _MemoryFile(File):
    def __init__(self, filesystem: MemoryFilesystem, node: _Node, flags: OpenFlag) -> None:
        self._filesystem = filesystem
        self._node = node
        self._flags = flags

    def pread(self, size: int, offset: int) -> bytes:
        if not self._flags & OpenFlag.READ and self._flags & OpenFlag.WRITE:
            raise failure(errno.EBADF)
        with memoryview(self._node.data) as view:
            return bytes(view[offset : offset + size])

    def pwrite(self, data: Buffer, offset: int) -> None:
        if not self._flags & (OpenFlag.WRITE | OpenFlag.APPEND):
            raise failure(errno.EBADF)
        if self._flags & OpenFlag.APPEND:
            offset = len(self._node.data)
        self._filesystem.write(self._node, data, offset)

    def stat(self) -> Attributes:
        return self._node.attributes()

    def set_attributes(self, attributes: Attributes) -> None:
        self._filesystem._set(self._node, attributes)

    def fsync(self) -> None:
        pass

    def statvfs(self) -> FileSystemStatus:
        return self._filesystem.statvfs("/")


def _names(path: str) -> list[str]:
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]
