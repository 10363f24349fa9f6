"""What each call of an SFTP server asks of a filesystem, and how the outcome is answered.

The operations are coroutines. Over a filesystem whose methods are plain they never wait for
anything, so :func:`carried_out` runs them in any thread and without an event loop.
"""

from __future__ import annotations

import errno
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, TypeAlias, TypeVar, cast

from nacre.sftp.filesystems.base import WRITING, File, Filesystem, Maybe, Upload, unsupported
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes, Entry, longname
from nacre.sftp.protocol.messages import FXP, OpenFlag
from nacre.sftp.protocol.server import DATA_ROOM, Call, SFTPServerProtocol
from nacre.value import replace
from nacre.wire.blocks import BLOCK
from nacre.wire.codec import Buffer

T = TypeVar("T")

ENTRIES = 256
"""Entries of a directory that are looked up for one READDIR."""

_SMALLEST_BLOCK = 256
_WRITING = int(WRITING)
_ATTRS, _STATUS = int(FXP.ATTRS), int(FXP.STATUS)


async def settled(value: Maybe[T]) -> T:
    """Return what a method of a filesystem said, whether it is a coroutine or not."""
    if hasattr(value, "__await__"):
        return await cast(Awaitable[T], value)
    return value


def carried_out(work: Coroutine[Any, Any, T]) -> T:
    """Return what ``work`` does, which must wait for nothing.

    :raises TypeError: it waits.
    """
    try:
        work.send(None)
    except StopIteration as done:
        return cast(T, done.value)
    work.close()
    raise TypeError("a filesystem whose methods are coroutines must say `blocking = False`")


class OpenedFile:
    """What a file handle stands for.

    :ivar failed: a write, or bringing it to the disk, did not succeed.
    :ivar abandoned: the session is over: long work on the file stops.
    """

    __slots__ = ("abandoned", "failed", "file", "filesystem", "path", "writable")

    def __init__(self, filesystem: Filesystem, path: str, file: File, writable: bool) -> None:
        self.filesystem = filesystem
        self.path = path
        self.file = file
        self.writable = writable
        self.failed = False
        self.abandoned = False

    async def read_into(
        self, buffer: memoryview, lengths: Sequence[int], offset: int, *, wait: bool
    ) -> int:
        """Read ``lengths`` bytes in a row, each behind room for its header; return how many."""
        views, at = [], 0
        for length in lengths:
            views.append(buffer[at + DATA_ROOM : at + DATA_ROOM + length])
            at += DATA_ROOM + length
        return self.file.preadv(views, offset, wait=wait)

    async def write(self, row: Sequence[Buffer | msg.Pieces], offset: int) -> None:
        """Write the data of requests one behind the other."""
        if not self.writable:
            raise OSError(errno.EBADF, "the file is open for reading")
        self.failed, before = True, self.failed
        if self.file.vectors:
            pieces: list[Buffer] = []
            for data in row:
                pieces += data.parts if isinstance(data, msg.Pieces) else [data]
            self.file.pwritev(pieces, offset)
        else:
            for data in row:
                whole = bytes(data) if isinstance(data, msg.Pieces) else data
                await settled(self.file.pwrite(whole, offset))
                offset += len(whole)
        self.failed = before

    async def end(self, *, complete: bool) -> None:
        """Close the file, and say how the upload ended if it was one."""
        size = 0
        told = self.writable and _wants_uploads(self.filesystem)
        if told:
            with suppress(OSError):
                size = (await settled(self.file.stat())).size or 0
        try:
            await settled(self.file.close() if complete else self.file.abort())
        except OSError:
            self.failed = True
            raise
        finally:
            if told:
                upload = Upload(self.path, size, complete and not self.failed)
                await settled(self.filesystem.upload_ended(upload))


def _wants_uploads(filesystem: Filesystem) -> bool:
    method = getattr(filesystem.upload_ended, "__func__", None)
    return method is not Filesystem.upload_ended


class OpenedDirectory:
    """What a directory handle stands for. ``ahead`` are entries that found no room in an answer."""

    __slots__ = ("_entries", "_names", "ahead", "filesystem", "path")

    def __init__(self, filesystem: Filesystem, path: str, entries: Any) -> None:
        self.filesystem = filesystem
        self.path = path
        self.ahead: list[Entry] = []
        self._names: tuple[dict[int, str], dict[int, str]] = ({}, {})
        several = hasattr(entries, "__aiter__")
        self._entries: Iterator[Entry] | AsyncIterator[Entry]
        self._entries = aiter(entries) if several else iter(entries)

    async def read(self) -> list[Entry]:
        """Return the next entries."""
        if self.ahead:
            taken, self.ahead = self.ahead, []
            return taken
        if isinstance(self._entries, AsyncIterator):
            taken = []
            async for entry in self._entries:
                taken.append(entry)
                if len(taken) == ENTRIES:
                    break
        else:
            taken = list(islice(self._entries, ENTRIES))
        if any(not entry.longname for entry in taken):
            await self._look_up(taken)
            taken = [entry if entry.longname else self._shown(entry) for entry in taken]
        return taken

    async def _look_up(self, entries: list[Entry]) -> None:
        users, groups = self._names
        found = [entry.attributes for entry in entries]
        uids = tuple({a.uid for a in found if a.uid is not None} - users.keys())
        gids = tuple({a.gid for a in found if a.gid is not None} - groups.keys())
        if uids or gids:
            user_names, group_names = await settled(self.filesystem.names(uids, gids))
            users.update(zip(uids, user_names, strict=True))
            groups.update(zip(gids, group_names, strict=True))

    def _shown(self, entry: Entry) -> Entry:
        users, groups = self._names
        found = entry.attributes
        line = longname(
            entry.name,
            found,
            now=time.time(),
            user=users.get(found.uid or 0),
            group=groups.get(found.gid or 0),
        )
        return replace(entry, longname=line)

    async def end(self) -> None:
        """Close the directory."""
        close = getattr(self._entries, "aclose", None) or getattr(self._entries, "close", None)
        if close is not None:
            await settled(close())


Operation: TypeAlias = Callable[[Filesystem, Any, tuple[Any, ...]], Coroutine[Any, Any, Any]]
"""Takes the filesystem, the request, and what its handles stand for."""


async def perform(filesystem: Filesystem, call: Call) -> Any:
    """Do what a call asks for, and return the value of the answer.

    :raises OSError: it failed.
    """
    _check_change(filesystem, call.request)
    return await _OPERATIONS[type(call.request)](filesystem, call.request, call.files)


def _check_change(filesystem: Filesystem, request: Any) -> None:
    if filesystem.read_only and _changes(request):
        raise OSError(errno.EROFS, "the filesystem is read-only")


def _changes(request: Any) -> bool:
    if isinstance(request, msg.Open):
        return bool(request.flags & _WRITING)
    return type(request) not in _LOOKS


async def outcome_of(filesystem: Filesystem, call: Call) -> tuple[Any, OSError | None]:
    """Return the value of the answer, or the failure; what no filesystem should raise is EIO."""
    try:
        return await perform(filesystem, call), None
    except OSError as error:
        return None, numbered(error)
    except Exception as error:
        return None, internal(error)


def outcome_now(filesystem: Filesystem, call: Call) -> tuple[Any, OSError | None]:
    """Return what :func:`outcome_of` does, over a filesystem whose methods are plain."""
    if (method := PLAIN.get(type(call.request))) is None:
        return carried_out(outcome_of(filesystem, call))
    try:
        _check_change(filesystem, call.request)
        value = method(filesystem, call.request)
        return carried_out(settled(value)) if hasattr(value, "__await__") else value, None
    except OSError as error:
        return None, numbered(error)
    except Exception as error:
        return None, internal(error)


_NUMBERS: dict[type[OSError], int] = {
    FileNotFoundError: errno.ENOENT,
    FileExistsError: errno.EEXIST,
    PermissionError: errno.EACCES,
    NotADirectoryError: errno.ENOTDIR,
    IsADirectoryError: errno.EISDIR,
    TimeoutError: errno.ETIMEDOUT,
}


def numbered(error: OSError) -> OSError:
    """Return a failure that has an ``errno``: many are raised with a text alone."""
    if error.errno is not None:
        return error
    return OSError(_NUMBERS.get(type(error), errno.EIO), str(error))


def internal(error: Exception) -> OSError:
    """Return the failure that a client sees when a filesystem has a bug: the cause is its own."""
    failed = OSError(errno.EIO, "the filesystem failed")
    failed.__cause__ = error
    return failed


def answer(server: SFTPServerProtocol, call: Call, value: Any, error: OSError | None) -> None:
    """Answer a call."""
    kind = call.request.ANSWER
    if error is not None:
        server.send_error(call.id, error)
    elif kind == _ATTRS:
        server.send_attributes(call.id, value)
    elif kind == _STATUS:
        server.send_ok(call.id)
    elif kind == FXP.HANDLE:
        server.send_handle(call.id, value)
    elif kind == FXP.DATA:
        server.send_data(call.id, value)
    elif isinstance(call.request, msg.ReadDir):
        sent = server.send_names(call.id, value)
        call.files[0].ahead = value[sent:]  # type: ignore[attr-defined]
    elif kind == FXP.NAME:
        server.send_path(call.id, value)
    else:
        server.send_reply(call.id, value)


# Operations. An opened directory is asked by its path where an opened file is asked itself.


async def _open(fs: Filesystem, request: msg.Open, files: tuple[Any, ...]) -> OpenedFile:
    flags = OpenFlag(request.flags & 0x3F)
    file = await settled(fs.open(request.path, flags, request.attributes))
    return OpenedFile(fs, request.path, file, bool(request.flags & _WRITING))


async def _open_directory(
    fs: Filesystem, request: msg.OpenDir, files: tuple[Any, ...]
) -> OpenedDirectory:
    return OpenedDirectory(fs, request.path, await settled(fs.scandir(request.path)))


async def _close(
    fs: Filesystem, request: msg.Close, files: tuple[OpenedFile | OpenedDirectory]
) -> None:
    opened = files[0]
    if isinstance(opened, OpenedFile):
        await opened.end(complete=True)
    else:
        await opened.end()


async def _read(fs: Filesystem, request: msg.Read, files: tuple[OpenedFile]) -> Buffer:
    return await pread(files[0].file, request.length, request.offset)


async def pread(file: File, size: int, offset: int) -> Buffer:
    """Return at most ``size`` bytes of a file in memory of their own."""
    if not file.vectors:
        return await settled(file.pread(size, offset))
    buffer = memoryview(bytearray(size))
    return buffer[: file.preadv([buffer], offset)]


async def _write(fs: Filesystem, request: msg.Write, files: tuple[OpenedFile]) -> None:
    await files[0].write([request.data], request.offset)


async def _read_directory(
    fs: Filesystem, request: msg.ReadDir, files: tuple[OpenedDirectory]
) -> list[Entry]:
    return await files[0].read()


async def _fstat(
    fs: Filesystem, request: msg.FStat, files: tuple[OpenedFile | OpenedDirectory]
) -> Attributes:
    opened = files[0]
    if isinstance(opened, OpenedFile):
        return await settled(opened.file.stat())
    return await settled(fs.stat(opened.path))


async def _fsetstat(
    fs: Filesystem, request: msg.FSetStat, files: tuple[OpenedFile | OpenedDirectory]
) -> None:
    opened = files[0]
    if isinstance(opened, OpenedFile):
        await settled(opened.file.set_attributes(request.attributes))
    else:
        await settled(fs.set_attributes(opened.path, request.attributes))


async def _fstatvfs(
    fs: Filesystem, request: ext.FStatVFS, files: tuple[OpenedFile | OpenedDirectory]
) -> ext.FileSystemStatus:
    opened = files[0]
    if isinstance(opened, OpenedFile):
        return await settled(opened.file.statvfs())
    return await settled(fs.statvfs(opened.path))


async def _fsync(fs: Filesystem, request: ext.FSync, files: tuple[OpenedFile]) -> None:
    opened = files[0]
    opened.failed, before = True, opened.failed
    await settled(opened.file.fsync())
    opened.failed = before


async def _expand(fs: Filesystem, request: ext.ExpandPath, files: tuple[Any, ...]) -> str:
    path = request.path
    if path.startswith("~"):
        user, slash, rest = path[1:].partition("/")
        path = await settled(fs.home(user)) + slash + rest
    return await settled(fs.realpath(path))


async def _names(
    fs: Filesystem, request: ext.UsersGroupsById, files: tuple[Any, ...]
) -> ext.UsersGroupsAnswer:
    return ext.UsersGroupsAnswer.of(*await settled(fs.names(request.uids, request.gids)))


async def _copy(
    fs: Filesystem, request: ext.CopyData, files: tuple[OpenedFile, OpenedFile]
) -> None:
    source, target = files
    size = (await settled(source.file.stat())).size or 0
    # What the file grows by meanwhile is left out: a copy onto its own end would never be done.
    left = max(0, size - request.read_offset)
    if request.length:
        left = min(left, request.length)
    start, to = request.read_offset, request.write_offset
    if source.file is target.file and start < to + left and to < start + left:
        raise OSError(errno.EINVAL, "the ranges overlap")
    copy = getattr(target.file, "copy_from", None)
    while left and not source.abandoned:
        if copy is not None and type(source.file) is type(target.file):
            copied = copy(source.file, start, min(left, 16 * BLOCK), to)
        else:
            data = await pread(source.file, min(left, BLOCK), start)
            await target.write([data], to)
            copied = len(data)
        if not copied:
            break
        start, to, left = start + copied, to + copied, left - copied


async def _check_name(
    fs: Filesystem, request: ext.CheckFileName, files: tuple[Any, ...]
) -> ext.FileHashes:
    file = await settled(fs.open(request.path, OpenFlag.READ, Attributes()))
    opened = OpenedFile(fs, request.path, file, False)
    try:
        return await _check(fs, request, (opened,))
    finally:
        await opened.end(complete=True)


async def _check(
    fs: Filesystem,
    request: ext.CheckFile | ext.CheckFileHandle | ext.CheckFileName,
    files: tuple[OpenedFile],
) -> ext.FileHashes:
    opened = files[0]
    algorithm = next((name for name in request.algorithms.split(",") if name in ext.HASHES), None)
    if algorithm is None:
        raise unsupported()
    size = (await settled(opened.file.stat())).size or 0
    left = max(0, size - request.offset)
    if request.length:
        left = min(left, request.length)
    block = request.block_size or max(left, 1)
    if request.block_size and request.block_size < _SMALLEST_BLOCK:
        raise OSError(errno.EINVAL, "the blocks are too small")
    blocks = max(1, -(-left // block))
    if blocks * hashlib.new(algorithm).digest_size > BLOCK // 8:
        raise OSError(errno.EINVAL, "too many blocks for one answer")
    hashes, at = [], request.offset
    for _ in range(blocks):
        hashes.append(await _hash(opened, algorithm, at, min(block, left)))
        at, left = at + block, left - min(block, left)
    return ext.FileHashes(algorithm, b"".join(hashes))


async def _hash(opened: OpenedFile, algorithm: str, offset: int, left: int) -> bytes:
    digest = hashlib.new(algorithm)
    while left and not opened.abandoned:
        data = await pread(opened.file, min(left, BLOCK), offset)
        if not data:
            break
        digest.update(data)
        offset, left = offset + len(data), left - len(data)
    return digest.digest()


def _plainly(method: Callable[[Filesystem, Any], Maybe[Any]]) -> Operation:
    """Make an operation of one call to the filesystem."""

    async def operation(fs: Filesystem, request: Any, files: tuple[Any, ...]) -> Any:
        return await settled(method(fs, request))

    return operation


PLAIN: dict[type[Any], Callable[[Filesystem, Any], Maybe[Any]]] = {
    msg.LStat: lambda fs, r: fs.lstat(r.path),
    msg.SetStat: lambda fs, r: fs.set_attributes(r.path, r.attributes),
    msg.Remove: lambda fs, r: fs.remove(r.path),
    msg.MkDir: lambda fs, r: fs.mkdir(r.path, r.attributes),
    msg.RmDir: lambda fs, r: fs.rmdir(r.path),
    msg.RealPath: lambda fs, r: fs.realpath(r.path),
    msg.Stat: lambda fs, r: fs.stat(r.path),
    msg.Rename: lambda fs, r: fs.rename(r.old, r.new, replace=False),
    msg.ReadLink: lambda fs, r: fs.readlink(r.path),
    msg.SymLink: lambda fs, r: fs.symlink(r.target, r.link),
    ext.PosixRename: lambda fs, r: fs.rename(r.old, r.new, replace=True),
    ext.StatVFS: lambda fs, r: fs.statvfs(r.path),
    ext.HardLink: lambda fs, r: fs.link(r.old, r.new),
    ext.LSetStat: lambda fs, r: fs.set_attributes(r.path, r.attributes, follow_symlinks=False),
    ext.HomeDirectory: lambda fs, r: fs.home(r.user),
}
"""The requests that are one call of the filesystem."""

_OPERATIONS: dict[type[Any], Operation] = {
    **{request: _plainly(method) for request, method in PLAIN.items()},
    msg.Open: _open,
    msg.Close: _close,
    msg.Read: _read,
    msg.Write: _write,
    msg.FStat: _fstat,
    msg.FSetStat: _fsetstat,
    msg.OpenDir: _open_directory,
    msg.ReadDir: _read_directory,
    ext.FStatVFS: _fstatvfs,
    ext.FSync: _fsync,
    ext.ExpandPath: _expand,
    ext.UsersGroupsById: _names,
    ext.CopyData: _copy,
    ext.CheckFileHandle: _check,
    ext.CheckFile: _check,
    ext.CheckFileName: _check_name,
}


_LOOKS = frozenset(
    {
        msg.Close,
        msg.Read,
        msg.LStat,
        msg.FStat,
        msg.OpenDir,
        msg.ReadDir,
        msg.RealPath,
        msg.Stat,
        msg.ReadLink,
        ext.StatVFS,
        ext.FStatVFS,
        ext.ExpandPath,
        ext.HomeDirectory,
        ext.UsersGroupsById,
        ext.CheckFileHandle,
        ext.CheckFile,
        ext.CheckFileName,
    }
)
"""What changes nothing; all else is refused where nothing may be changed."""

# Requests in a row.


def in_a_row(calls: Sequence[Call]) -> int:
    """Return how many calls at the front go together: READs or WRITEs that follow one another.

    Their bytes, and the READs' headers, are no more than :data:`BLOCK`.
    """
    first: Any = calls[0].request
    opened = calls[0].files[0] if calls[0].files else None
    kind = type(first)
    if kind not in (msg.Read, msg.Write) or not isinstance(opened, OpenedFile):
        return 1
    if kind is msg.Read and not opened.file.vectors:
        return 1
    count, end, room = 0, first.offset, BLOCK
    for call in calls:
        request: Any = call.request
        if type(request) is not kind or request.offset != end:
            break
        size = request.length if kind is msg.Read else len(request.data)
        room -= size + DATA_ROOM
        if count and (room < 0 or call.files[0] is not opened):
            break
        count, end = count + 1, end + size
    return count


async def read_row(calls: Sequence[Call], buffer: memoryview, *, wait: bool = True) -> int:
    """Read for calls in a row into ``buffer``; return how many bytes there are.

    :raises BlockingIOError: not without ``wait``.
    """
    first: Any = calls[0].request
    opened: Any = calls[0].files[0]
    lengths = [call.request.length for call in calls]  # type: ignore[attr-defined]
    return await opened.read_into(buffer, lengths, first.offset, wait=wait)  # type: ignore[no-any-return]


async def write_row(calls: Sequence[Call]) -> None:
    """Write for calls in a row."""
    first: Any = calls[0].request
    opened: Any = calls[0].files[0]
    row = [call.request.data for call in calls]  # type: ignore[attr-defined]
    await opened.write(row, first.offset)


def answer_row(
    server: SFTPServerProtocol, calls: Sequence[Call], buffer: memoryview, size: int
) -> None:
    """Answer READs in a row, of which ``size`` bytes are in ``buffer``."""
    filled, empty = [], []
    for call in calls:
        part = min(size, call.request.length)  # type: ignore[attr-defined]
        if part:
            filled.append((call.id, part))
        else:
            empty.append(call.id)
        size -= part
    if filled:
        server.send_filled(filled, buffer)
    # In the order of the requests: PuTTY takes no end of the file before the data in front of it.
    for number in empty:
        server.send_eof(number)
