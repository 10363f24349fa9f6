"""What a session's handles refer to: open files and directories.

The operations are coroutines, so that one text serves both kinds of filesystem. Over one whose
methods are plain functions they never wait, and :func:`carried_out` runs them to their end in any
thread, without an event loop.
"""

from __future__ import annotations

import errno
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, TypeVar, cast

from nacre.aio.maybe import settled
from nacre.sftp.filesystems.base import File, Filesystem, Upload
from nacre.sftp.protocol.attributes import Attributes, Entry, longname
from nacre.sftp.protocol.messages import Pieces
from nacre.sftp.protocol.server import DATA_ROOM
from nacre.value import replace
from nacre.wire.blocks import BLOCK
from nacre.wire.codec import Buffer

T = TypeVar("T")

ENTRIES = 256
"""Entries of a directory that are read at once."""


def carried_out(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits for nothing to its end, and return its result.

    :raises TypeError: it waits: the filesystem has coroutines and claims to be ``blocking``.
    """
    try:
        work.send(None)
    except StopIteration as done:
        return cast(T, done.value)
    work.close()
    raise TypeError("a filesystem whose methods are coroutines must set `blocking = False`")


async def pread(file: File, size: int, offset: int) -> Buffer:
    """Return at most ``size`` bytes of a file, in memory of their own."""
    if not file.vectors:
        return await settled(file.pread(size, offset))
    buffer = memoryview(bytearray(size))
    return buffer[: file.preadv([buffer], offset)]


class OpenedFile:
    """What a file handle refers to.

    :ivar path: as the client named it.
    :ivar failed: a write, a copy or an fsync did not succeed: an upload is not complete.
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
        """Read ``lengths`` bytes in a row, each behind room for a header; return the bytes read.

        It waits for nothing; it is a coroutine because all work of a row is.
        """
        views, at = [], 0
        for length in lengths:
            views.append(buffer[at + DATA_ROOM : at + DATA_ROOM + length])
            at += DATA_ROOM + length
        return self.file.preadv(views, offset, wait=wait)

    async def write(self, row: Sequence[Buffer | Pieces], offset: int) -> None:
        """Write the data of requests that follow one another."""
        if not self.writable:
            raise OSError(errno.EBADF, "the file is open for reading")
        self.failed, before = True, self.failed
        if self.file.vectors:
            pieces: list[Buffer] = []
            for data in row:
                pieces += data.parts if isinstance(data, Pieces) else [data]
            self.file.pwritev(pieces, offset)
        else:
            for data in row:
                if self.abandoned:
                    raise OSError(errno.ECANCELED, "the session is over")
                whole = bytes(data) if isinstance(data, Pieces) else data
                await settled(self.file.pwrite(whole, offset))
                offset += len(whole)
        self.failed = before

    async def copy_from(self, source: OpenedFile, start: int, length: int, offset: int) -> int:
        """Copy at most ``length`` bytes of another file; return how many: 0 at its end."""
        self.failed, before = True, self.failed
        try:
            copied = await settled(self.file.copy_from(source.file, start, length, offset))
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            data = await pread(source.file, min(length, BLOCK), start)
            await self.write([data], offset)
            copied = len(data)
        self.failed = before
        return copied

    async def end(self, *, complete: bool) -> None:
        """Close the file, and report how the upload ended if it was one.

        :param complete: the client closed it; False when the session broke off.
        """
        size = 0
        reports = self.writable and _wants_uploads(self.filesystem)
        if reports:
            with suppress(OSError):
                size = (await settled(self.file.stat())).size or 0
        try:
            await settled(self.file.close() if complete else self.file.abort())
        except OSError:
            self.failed = True
            raise
        finally:
            if reports:
                upload = Upload(self.path, size, complete and not self.failed)
                await settled(self.filesystem.upload_ended(upload))


def _wants_uploads(filesystem: Filesystem) -> bool:
    """Return whether ``upload_ended`` does anything; without it a stat is saved."""
    method = getattr(filesystem.upload_ended, "__func__", None)
    return method is not Filesystem.upload_ended


def with_names(found: Attributes, user: str, group: str) -> Attributes:
    """Return attributes with the names of owner and group; of an unknown one, "", the number."""
    owner, owners = user or str(found.uid), group or str(found.gid)
    return found._replace(details=found.details._replace(owner=owner, group=owners))


class OpenedDirectory:
    """What a directory handle refers to.

    :ivar ahead: entries for the next answer: they did not fit into the last one, or were read while
        the client was busy with it.
    """

    __slots__ = ("_entries", "_names", "_problem", "_source", "ahead", "filesystem", "path")

    def __init__(self, filesystem: Filesystem, path: str, entries: Any) -> None:
        self.filesystem = filesystem
        self.path = path
        self.ahead: list[Entry] = []
        self._problem: OSError | None = None
        self._names: tuple[dict[int, str], dict[int, str]] = ({}, {})
        self._source = entries
        several = hasattr(entries, "__aiter__")
        self._entries: Iterator[Entry] | AsyncIterator[Entry]
        self._entries = aiter(entries) if several else iter(entries)

    async def read(self) -> list[Entry]:
        """Return the next entries, at most :data:`ENTRIES`; none at the end."""
        if self.ahead:
            taken, self.ahead = self.ahead, []
            return taken
        if self._problem is not None:
            problem, self._problem = self._problem, None
            raise problem
        return await self._read()

    async def read_named(self) -> list[Entry]:
        """Return what :meth:`read` does, with the names of owners in the attributes."""
        taken = await self.read()
        await self._look_up(taken)
        return [self._named(entry) for entry in taken]

    def _named(self, entry: Entry) -> Entry:
        found = entry.attributes
        if found.uid is None or found.gid is None or found.details.owner is not None:
            return entry
        users, groups = self._names
        named = with_names(found, users[found.uid], groups[found.gid])
        return Entry(entry.name, entry.longname, named)

    async def read_ahead(self) -> None:
        """Read the next entries before the client asks for them; a failure is its next answer."""
        if not self.ahead and self._problem is None:
            try:
                self.ahead = await self._read()
            except OSError as error:
                self._problem = error

    async def _read(self) -> list[Entry]:
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

    async def end(self, *, complete: bool) -> None:
        """Close the directory; ``complete`` is of no account, but :class:`OpenedFile` has it."""
        self.ahead = []
        for one in (self._entries, self._source):
            close = getattr(one, "aclose", None) or getattr(one, "close", None)
            if close is not None:
                await settled(close())
