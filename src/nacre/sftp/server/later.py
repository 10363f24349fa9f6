"""What sessions of versions 4 to 6 do in addition: owners by name, text files, checked paths."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from nacre.aio.maybe import Maybe, settled
from nacre.sftp.filesystems.base import File, Filesystem, WrappedFile, unsupported
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes, Entry
from nacre.sftp.protocol.details import number_of
from nacre.sftp.protocol.later import CHECK_ALWAYS, NO_CHECK, TEXT
from nacre.sftp.protocol.paths import normalise
from nacre.sftp.server.calls import BASIC, Operation, Operations
from nacre.sftp.server.opened import OpenedDirectory, OpenedFile, pread, with_names
from nacre.value import replace
from nacre.wire.blocks import BLOCK
from nacre.wire.codec import Buffer

# --- owners by name ---


async def _named(fs: Filesystem, found: Attributes) -> Attributes:
    """Return attributes with the names of owner and group."""
    if found.uid is None or found.gid is None or found.details.owner is not None:
        return found
    (user,), (group,) = await settled(fs.names((found.uid,), (found.gid,)))
    return with_names(found, user, group)


def _names_owner(look: Operation) -> Operation:
    async def operation(fs: Filesystem, request: Any, files: tuple[Any, ...]) -> Attributes:
        return await _named(fs, await look(fs, request, files))

    return operation


async def _read_directory(
    fs: Filesystem, request: msg.ReadDir, files: tuple[OpenedDirectory]
) -> list[Entry]:
    return await files[0].read_named()


# --- attributes to be set ---


def _completes(change: Operation, look: Operation) -> Operation:
    """Return an operation that sets attributes as version 3 has them: numbers, and both times.

    :param look: returns the file's attributes, where a part of what is to be set is left as it is.
    """

    async def operation(fs: Filesystem, request: Any, files: tuple[Any, ...]) -> None:
        async def now() -> Attributes:
            found: Attributes = await look(fs, request, files)
            return found

        wanted = await _completed(fs, request.attributes, now)
        await change(fs, replace(request, attributes=wanted), files)

    return operation


async def _completed(fs: Filesystem, wanted: Attributes, now: Callable[[], Any]) -> Attributes:
    """Return attributes with numbers for owners, and with both times or none.

    :raises OSError: with ``EINVAL``, there is no such owner; with ``EOPNOTSUPP``, an access control
        list is among them, which would not be set.
    """
    details = wanted.details
    if details.acl is not None:
        raise unsupported()
    if details.owner is not None and wanted.uid is None:
        uid, gid = await _numbers(fs, details.owner, details.group or "", now)
        wanted = wanted._replace(uid=uid, gid=gid)
    if (wanted.atime is None) != (wanted.mtime is None):
        found = await now()
        if wanted.atime is None:
            kept = {"atime_ns": found.details.atime_ns}
            wanted = wanted._replace(atime=found.atime, details=details._replace(**kept))
        else:
            kept = {"mtime_ns": found.details.mtime_ns}
            wanted = wanted._replace(mtime=found.mtime, details=details._replace(**kept))
    return wanted


async def _numbers(
    fs: Filesystem, owner: str, group: str, now: Callable[[], Any]
) -> tuple[int | None, int | None]:
    """Return the numbers of an owner and a group; an empty name leaves the one that there is."""
    uid, gid = number_of(owner), number_of(group)
    if not owner or not group:
        found = await now()
        uid = uid if owner else found.uid
        gid = gid if group else found.gid
    users = (owner,) if uid is None else ()
    groups = (group,) if gid is None else ()
    if users or groups:
        found_users, found_groups = await settled(fs.numbers(users, groups))
        uid = found_users[0] if users else uid
        gid = found_groups[0] if groups else gid
    return uid, gid


# --- files opened as text ---


class TextFile(WrappedFile):
    """A file of which requests do not say the place: each goes on where the one before ended.

    Lines end as the server's own do, so that bytes are not changed (``newline``).
    """

    def __init__(self, file: File) -> None:
        super().__init__(file)
        self._at = 0

    async def pread(self, size: int, offset: int) -> Buffer:
        """See :meth:`nacre.File.pread`."""
        data = await pread(self.inner, size, self._at)
        self._at += len(data)
        return data

    async def pwrite(self, data: Buffer, offset: int) -> None:
        """See :meth:`nacre.File.pwrite`."""
        await settled(self.inner.pwrite(data, self._at))
        self._at += len(data)

    async def seek(self, line: int, abandoned: Callable[[], bool]) -> None:
        """Move to the beginning of a line, counted from 0.

        :raises OSError: with ``ENODATA``, the file has fewer lines.
        """
        at = 0
        while line and not abandoned():
            data = bytes(await pread(self.inner, BLOCK, at))
            if not data:
                raise OSError(errno.ENODATA, "the file has fewer lines")
            lines = data.count(b"\n")
            if lines < line:
                line, at = line - lines, at + len(data)
                continue
            end = -1
            for _ in range(line):
                end = data.index(b"\n", end + 1)
            line, at = 0, at + end + 1
        self._at = at

    def set_attributes(self, attributes: Attributes) -> Maybe[None]:
        """See :meth:`nacre.File.set_attributes`."""
        return self.inner.set_attributes(attributes)


_open_plainly = BASIC.others[msg.Open]


async def _open(fs: Filesystem, request: msg.Open, files: tuple[Any, ...]) -> OpenedFile:
    if request.options & ~TEXT:
        raise unsupported()
    opened: OpenedFile = await _open_plainly(fs, request, files)
    if request.options:
        opened.file = TextFile(opened.file)
    return opened


async def _seek(fs: Filesystem, request: ext.TextSeek, files: tuple[OpenedFile]) -> None:
    opened = files[0]
    if not isinstance(opened.file, TextFile):
        raise OSError(errno.EINVAL, "the file is not opened as text")
    await opened.file.seek(request.line, lambda: opened.abandoned)


# --- paths ---


async def _real_path(fs: Filesystem, request: msg.RealPath, files: tuple[Any, ...]) -> Entry:
    """Return the absolute path, and the file's attributes if they are asked for."""
    try:
        path = await settled(fs.realpath(request.path))
    except FileNotFoundError:
        if request.check == CHECK_ALWAYS:
            raise
        return Entry(normalise(request.path, fs.start))
    if request.check in (0, NO_CHECK):
        return Entry(path)
    try:
        return Entry(path, "", await _named(fs, await settled(fs.stat(path))))
    except OSError:
        if request.check == CHECK_ALWAYS:
            raise
        return Entry(path)


async def _nothing(fs: Filesystem, request: Any, files: tuple[Any, ...]) -> None:
    """Carry out a request that asks for what is the case anyway."""


# --- the table ---


def _plainly(kind: type[Any]) -> Operation:
    """Return the plain operation for a kind of request as a coroutine."""
    method = BASIC.plain[kind]

    async def operation(fs: Filesystem, request: Any, files: tuple[Any, ...]) -> Any:
        return await settled(method(fs, request))

    return operation


_stat, _lstat, _fstat = _plainly(msg.Stat), _plainly(msg.LStat), BASIC.others[msg.FStat]

_LATER: dict[type[Any], Operation] = {
    msg.Stat: _names_owner(_stat),
    msg.LStat: _names_owner(_lstat),
    msg.FStat: _names_owner(_fstat),
    msg.ReadDir: _read_directory,
    msg.SetStat: _completes(_plainly(msg.SetStat), _stat),
    ext.LSetStat: _completes(_plainly(ext.LSetStat), _lstat),
    msg.FSetStat: _completes(BASIC.others[msg.FSetStat], _fstat),
    msg.Open: _open,
    msg.RealPath: _real_path,
    ext.TextSeek: _seek,
    ext.FilenameTranslationControl: _nothing,  # names are UTF-8, or bytes that nothing translates
}

LATER = Operations(
    {kind: method for kind, method in BASIC.plain.items() if kind not in _LATER},
    {**BASIC.others, **_LATER},
    BASIC.opening,
    BASIC.looks | set(ext.LATER_EXTENSIONS.values()),
)
"""What a session of version 4, 5 or 6 does."""
