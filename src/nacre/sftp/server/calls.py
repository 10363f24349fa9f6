"""What each call of an SFTP server does with a filesystem, and how its outcome is answered.

An operation takes the filesystem, the request and what the request's handles refer to, and returns
the value of the answer. :class:`Operations` has one for each request; those in ``plain`` are a
single call of the filesystem. :data:`BASIC` is for version 3; :mod:`nacre.sftp.server.later` has
what later versions do in addition.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeAlias

from nacre.aio.maybe import Maybe, settled
from nacre.sftp.filesystems.base import WRITING, Filesystem, unsupported
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes, Entry
from nacre.sftp.protocol.messages import FXP, OpenFlag
from nacre.sftp.protocol.server import Call, SFTPServerProtocol
from nacre.sftp.protocol.status import numbered
from nacre.sftp.server.opened import OpenedDirectory, OpenedFile, carried_out, pread
from nacre.value import value
from nacre.wire.blocks import BLOCK
from nacre.wire.codec import Buffer

_SMALLEST_BLOCK = 256
_COPIED = 16 * BLOCK
"""Bytes that a filesystem copies at once; between two of them a session's end is seen."""

_WRITING = int(WRITING)
_ATTRS, _STATUS = int(FXP.ATTRS), int(FXP.STATUS)


Operation: TypeAlias = Callable[[Filesystem, Any, tuple[Any, ...]], Coroutine[Any, Any, Any]]
"""Takes the filesystem, the request, and what its handles refer to."""


Method: TypeAlias = Callable[[Filesystem, Any], Maybe[Any]]
"""Takes the filesystem and the request, and makes one call."""


@value
class Operations:
    """What a session does for each kind of request.

    :ivar plain: the operations that are one call of the filesystem.
    :ivar others: those with files that are open.
    :ivar opening: those that open a file themselves; meanwhile it is among the files of the call.
    :ivar looks: the requests that change nothing; all others are refused on a read-only filesystem.
    :ivar before: called before each call, or None; it may raise OSError.
    """

    plain: Mapping[type[Any], Method]
    others: Mapping[type[Any], Operation]
    opening: Mapping[type[Any], Callable[[Filesystem, Call], Coroutine[Any, Any, Any]]]
    looks: frozenset[type[Any]]
    before: Callable[[Call], None] | None = None


async def perform(filesystem: Filesystem, call: Call, operations: Operations) -> Any:
    """Do what a call asks for, and return the value of the answer.

    :raises OSError: it failed.
    """
    _admit(filesystem, call, operations)
    kind = type(call.request)
    if (method := operations.plain.get(kind)) is not None:
        return await settled(method(filesystem, call.request))
    if (operation := operations.others.get(kind)) is not None:
        return await operation(filesystem, call.request, call.files)
    return await operations.opening[kind](filesystem, call)


def _admit(filesystem: Filesystem, call: Call, operations: Operations) -> None:
    if operations.before is not None:
        operations.before(call)
    if filesystem.read_only and _changes(call.request, operations):
        raise OSError(errno.EROFS, "the filesystem is read-only")


def _changes(request: Any, operations: Operations) -> bool:
    if isinstance(request, msg.Open):
        return bool(request.flags & _WRITING)
    return type(request) not in operations.looks


async def outcome_of(
    filesystem: Filesystem, call: Call, operations: Operations
) -> tuple[Any, OSError | None]:
    """Return the value of the answer, or the failure: EIO for any exception but OSError."""
    try:
        return await perform(filesystem, call, operations), None
    except OSError as error:
        return None, numbered(error)
    except Exception as error:
        return None, internal(error)


async def outcomes_of(
    filesystem: Filesystem, calls: Sequence[Call], operations: Operations
) -> list[tuple[Any, OSError | None]]:
    """Return what :func:`outcome_of` does for each of several calls, done in their order."""
    return [await outcome_of(filesystem, call, operations) for call in calls]


def outcome_now(
    filesystem: Filesystem, call: Call, operations: Operations
) -> tuple[Any, OSError | None]:
    """Return what :func:`outcome_of` does, over a filesystem whose methods are plain functions."""
    if (method := operations.plain.get(type(call.request))) is None:
        return carried_out(outcome_of(filesystem, call, operations))
    try:
        _admit(filesystem, call, operations)
        value = method(filesystem, call.request)
        return carried_out(settled(value)) if hasattr(value, "__await__") else value, None
    except OSError as error:
        return None, numbered(error)
    except Exception as error:
        return None, internal(error)


def internal(error: Exception) -> OSError:
    """Return the failure that a client sees when a filesystem has a bug; its cause is ``error``.

    What a storage of fsspec does not implement is unsupported, and no bug.
    """
    if isinstance(error, NotImplementedError):
        return unsupported()
    failed = OSError(errno.EIO, "the filesystem failed")
    failed.__cause__ = error
    return failed


def answer(server: SFTPServerProtocol, call: Call, value: Any, error: OSError | None) -> None:
    """Answer a call with its value or its failure, in the form that the request asks for."""
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
    elif isinstance(value, Entry):
        server.send_path(call.id, value.name, value.attributes)
    elif kind == FXP.NAME:
        server.send_path(call.id, value)
    else:
        server.send_reply(call.id, value)


# Operations. For an open directory the filesystem is asked by path; an open file is asked itself.


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
    await files[0].end(complete=True)


async def _read(fs: Filesystem, request: msg.Read, files: tuple[OpenedFile]) -> Buffer:
    return await pread(files[0].file, request.length, request.offset)


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


async def _copy(fs: Filesystem, request: ext.CopyData, files: tuple[OpenedFile, OpenedFile]) -> int:
    """Return how many bytes were copied, for the journal: the answer has no room for it."""
    source, target = files
    size = (await settled(source.file.stat())).size or 0
    # Bytes that are added meanwhile are left out: a copy onto its own end would never finish.
    left = max(0, size - request.read_offset)
    if request.length:
        left = min(left, request.length)
    start, to = request.read_offset, request.write_offset
    if source.file is target.file and start < to + left and to < start + left:
        raise OSError(errno.EINVAL, "the ranges overlap")
    while left and not source.abandoned:
        copied = await target.copy_from(source, start, min(left, _COPIED), to)
        if not copied:
            break
        start, to, left = start + copied, to + copied, left - copied
    return start - request.read_offset


async def _check_name(fs: Filesystem, call: Call) -> ext.FileHashes:
    request: Any = call.request
    file = await settled(fs.open(request.path, OpenFlag.READ, Attributes()))
    opened = OpenedFile(fs, request.path, file, False)
    call.files = (opened,)
    try:
        return await _check(fs, request, (opened,))
    finally:
        call.files = ()
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


_PLAIN: dict[type[Any], Method] = {
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

_OTHERS: dict[type[Any], Operation] = {
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
}

LOOKS = frozenset(
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
        ext.LimitsRequest,
        ext.ExpandPath,
        ext.HomeDirectory,
        ext.UsersGroupsById,
        ext.CheckFileHandle,
        ext.CheckFile,
        ext.CheckFileName,
    }
)
"""The requests that change nothing."""

BASIC = Operations(_PLAIN, _OTHERS, {ext.CheckFileName: _check_name}, LOOKS)
"""What a session of version 3 does."""
