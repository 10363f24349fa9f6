"""One file from one place to another, with as few round trips as the size of the file allows.

A small file is one READ or WRITE, sent together with what opens and closes it; a large one is
pumped (see :mod:`nacre.sftp.client.pumps`); a copy on one server is left to the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from nacre.errors import NacreError
from nacre.sftp.client.file import SFTPFile
from nacre.sftp.client.places import data_parts, kept, set_attributes
from nacre.sftp.client.pumps import DownloadPump, Moved, UploadPump, write_all
from nacre.sftp.client.session import SFTPSession
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.messages import OpenFlag
from nacre.value import value
from nacre.wire.codec import Buffer

if TYPE_CHECKING:
    from nacre.sftp.client.options import CopyOptions

_WRITABLE = 0o200
_DEFAULT_MODE = 0o666

_RELAYED = 1 << 20
"""Bytes that a copy between two servers reads before it writes them."""

_LEAST_READ = 4096
"""Bytes that are read of a file whose size is unknown, such as one in ``/proc``."""


@value
class Copy:
    """One file that is copied.

    :ivar source: its path, in the place that is copied from.
    :ivar target: the copy's path.
    :ivar attributes: those of the source.
    :ivar start: the offset to start from; the copy has the bytes before it.
    :ivar options: how to copy.
    :ivar moved: called with the number of bytes after each portion.
    """

    source: str
    target: str
    attributes: Attributes
    start: int
    options: CopyOptions
    moved: Moved


class Mover(Protocol):
    """Copies the bytes of one file."""

    @property
    def alone(self) -> bool:
        """Whether one file is copied at a time, because a server gives several of them one handle.

        A file that failed while this changed may have another one's bytes: it is copied again.
        """

    async def move(self, copy: Copy) -> int:
        """Copy what follows ``copy.start``; return the size of the copy."""


def _new_mode(attributes: Attributes) -> int:
    """Return the permissions that a copy is created with."""
    mode = _DEFAULT_MODE if attributes.permissions is None else attributes.permissions
    return mode & 0o777


class _LocalTarget:
    """A local file that is written in threads; the first write opens it, or :meth:`finish`.

    All writes append to what the file holds, so zeros can be left out as holes.
    """

    def __init__(self, copy: Copy) -> None:
        self._path = copy.target
        self._start = copy.start
        self._mode = _new_mode(copy.attributes) | _WRITABLE
        self._kept = kept(copy.attributes) if copy.options.preserve else None
        self._fsync = copy.options.fsync
        self._descriptor = -1
        self._regular = True

    @property
    def quick(self) -> bool:
        """Whether writes are quick as a rule: those to a pipe or a device may block for ever."""
        try:
            return stat.S_ISREG(os.stat(self._path).st_mode)
        except OSError:
            return True

    def write(self, chunks: list[Buffer], offset: int) -> None:
        """Write chunks one after the other."""
        self._open()
        write_all(self._descriptor, chunks, offset, holes=self._regular)

    def finish(self, size: int) -> None:
        """Give the file its size and its attributes, and close it."""
        self._open()
        try:
            if self._regular:
                os.ftruncate(self._descriptor, size)
            if self._kept is not None:
                set_attributes(self._descriptor, self._kept)
            if self._fsync:
                os.fsync(self._descriptor)
        finally:
            self.close()

    def write_whole(self, data: list[Buffer]) -> None:
        """Write a small file in one call."""
        try:
            self.write(data, 0)
            self.finish(sum(map(len, data)))
        finally:
            self.close()

    def abandon(self, size: int) -> None:
        """Keep the first ``size`` bytes, which have no gap, so that a later copy can resume."""
        if self._descriptor >= 0:
            try:
                if self._regular:
                    os.ftruncate(self._descriptor, size)
            finally:
                self.close()

    def close(self) -> None:
        """Close the descriptor, if it is open."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def _open(self) -> None:
        if self._descriptor < 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
            flags |= 0 if self._start else os.O_TRUNC
            self._descriptor = os.open(self._path, flags, self._mode)
            self._regular = stat.S_ISREG(os.fstat(self._descriptor).st_mode)


class _Opener:
    """Opens files of a server, also before the copy that will need them is certain."""

    def __init__(self, session: SFTPSession) -> None:
        self._session = session
        self._expected: dict[str, asyncio.Future[bytes | NacreError]] = {}

    @property
    def alone(self) -> bool:
        """See :class:`Mover`."""
        return self._session.turns.alone

    def _expect(self, request: msg.Open) -> None:
        if self._session.room and not self.alone:
            self._expected[request.path] = self._session.start(request)

    def forget(self) -> None:
        """Close the files that were opened early and not copied."""
        for opening in self._expected.values():
            if not opening.done():
                opening.cancel()  # The session closes a handle that arrives later.
            elif not opening.cancelled() and isinstance(handle := opening.result(), bytes):
                self._session.close_handle(handle)
        self._expected.clear()

    async def move(self, copy: Copy) -> int:
        """See :class:`Mover`."""
        if self.alone:
            self.forget()
        async with self._session.turns.turn():
            return await self._move(copy)

    async def _move(self, copy: Copy) -> int:
        raise NotImplementedError

    async def _open(self, request: msg.Open) -> bytes:
        if (opening := self._expected.get(request.path)) is None:
            return await self._session.request(request)
        handle = await self._session.result(opening)
        del self._expected[request.path]
        return handle


class Downloader(_Opener):
    """From a server to this machine."""

    def expect(self, source: str) -> None:
        """Open ``source`` while its attributes are still requested; call :meth:`forget` later."""
        self._expect(msg.Open(source, OpenFlag.READ))

    async def _move(self, copy: Copy) -> int:
        session = self._session
        handle = await self._open(msg.Open(copy.source, OpenFlag.READ))
        try:
            file = _LocalTarget(copy)
            size = copy.attributes.size
            if copy.start == 0 and (not size or size <= session.read_size):
                reading = session.start_read(handle, 0, size or session.read_size)
                first: list[Buffer] = [*(await session.result(reading) or ())]
                session.check_handle(handle)
                got = sum(map(len, first))
                if got == size or not first:
                    work = partial(file.write_whole, first)
                    quick = file.quick and not copy.options.fsync
                    await (session.disk.run_quick if quick else session.disk.run)(work)
                    copy.moved(got)
                    return got
            return await self._pump(copy, handle, file)
        finally:
            session.close_handle(handle)

    async def _pump(self, copy: Copy, handle: bytes, file: _LocalTarget) -> int:
        session, end = self._session, copy.attributes.size or None
        pump = DownloadPump(
            session, handle, file.write, copy.start, end, copy.moved, quick=file.quick
        )
        try:
            await pump.run()
            session.check_handle(handle)
            await session.disk.run(partial(file.finish, pump.position))
        except BaseException:
            # No thread uses the file any more, and a session that is closed has no threads.
            with contextlib.suppress(OSError):
                file.abandon(pump.position)
            raise
        return pump.position


class _LocalSource:
    """A local file that is read; a small one is read when it is opened.

    :ivar descriptor: the open file, or -1.
    :ivar attributes: the file's attributes when it was opened.
    :ivar parts: start and end of each part that holds data; an end of None is the file's.
    :ivar whole: the bytes of a small file, or None.
    """

    def __init__(
        self,
        path: str,
        start: int,
        small: int,
        *,
        found: Callable[[os.stat_result], Attributes],
        holes: bool = True,
    ) -> None:
        """Name a file; a small one has less than ``small`` bytes.

        :param found: makes the attributes that the session's version has.
        :param holes: whether parts without data are left out.
        """
        self._found = found
        self._holes = holes
        self._path = path
        self._start = start
        self._small = small
        self.descriptor = -1
        self.attributes = Attributes()
        self.parts: list[tuple[int, int | None]] = []
        self.whole: bytes | None = None

    def open(self) -> None:
        """Open the file; if it is small, read and close it as well."""
        self.descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        status = os.fstat(self.descriptor)
        self.attributes = self._found(status)
        if self._start == 0 and status.st_size < self._small:
            data = os.pread(self.descriptor, max(status.st_size, _LEAST_READ), 0)
            while data and len(data) < self._small:
                if not (more := os.pread(self.descriptor, _LEAST_READ, len(data))):
                    break
                data += more
            if len(data) < self._small:
                self.whole = data
                self.close()
                return
        self.parts = [(self._start, None)]
        if status.st_size and self._start:
            self.parts = [(self._start, max(self._start, status.st_size))]
        elif status.st_size and self._holes:
            self.parts = data_parts(self.descriptor, status.st_size)

    def ends_in_a_hole(self, size: int) -> bool:
        """Tell whether no part of a file of ``size`` bytes reaches its end."""
        return self.whole is None and (not self.parts or self.parts[-1][1] != size)

    def close(self) -> None:
        """Close the descriptor, if it is open."""
        if self.descriptor >= 0:
            descriptor, self.descriptor = self.descriptor, -1
            os.close(descriptor)


class Uploader(_Opener):
    """From this machine to a server."""

    async def expect(self, source: str, target: str) -> None:
        """Open ``target`` while the server is still asked whether it is a directory.

        Only if ``source`` is a file that can be read, since opening truncates ``target``.
        Call :meth:`forget` later.
        """
        with contextlib.suppress(OSError):
            attributes = await self._session.disk.run_quick(partial(_readable_file, source))
            if attributes is not None:
                self._expect(_open_target(target, attributes, 0))

    async def _move(self, copy: Copy) -> int:
        session = self._session
        in_place = copy.options.in_place
        found = session.client.version.found
        file = _LocalSource(
            copy.source, copy.start, session.write_size, found=found, holes=not in_place
        )
        try:
            quick = copy.attributes.is_file
            await (session.disk.run_quick if quick else session.disk.run)(file.open)
            request = _open_target(copy.target, file.attributes, copy.start, in_place=in_place)
            handle = await self._open(request)
            if file.whole is None:
                return await self._pump(copy, handle, file)
            size = len(file.whole)
            asked: list[asyncio.Future[NacreError | None]] = []
            if file.whole:
                asked.append(session.start_write(handle, 0, file.whole))
            asked += self._complete(copy, handle, file, size)
            for future in asked:
                await session.result(future)
            if file.whole:
                copy.moved(size)
        finally:
            file.close()
        return size

    async def _pump(self, copy: Copy, handle: bytes, file: _LocalSource) -> int:
        session = self._session
        asked: list[asyncio.Future[NacreError | None]] = []

        def size() -> int:
            return pump.end if pump.end is not None else file.attributes.size or 0

        def complete() -> None:
            asked.extend(self._complete(copy, handle, file, size()))

        pump = UploadPump(
            session,
            handle,
            file.descriptor,
            file.parts,
            copy.moved,
            quick=file.attributes.is_file,
            all_sent=complete,
        )
        try:
            await pump.run()
        except BaseException:
            cut = Attributes(size=max(pump.watermark, copy.start))
            # After a CLOSE the handle may be another file's, so the file is named by its path.
            session.post(msg.SetStat(copy.target, cut) if asked else msg.FSetStat(handle, cut))
            if not asked:
                session.close_handle(handle)
            raise
        for future in asked:
            await session.result(future)
        return size()

    def _complete(
        self, copy: Copy, handle: bytes, file: _LocalSource, size: int
    ) -> list[asyncio.Future[NacreError | None]]:
        """Send all requests that the copy needs besides its WRITEs, without waiting for those.

        A server handles the requests for one file in the order they are sent.
        """
        requests: list[msg.SFTPRequest[Any]] = []
        if file.ends_in_a_hole(size) or copy.options.in_place:
            # No WRITE reaches the end of the file, so none makes it that long; or the file was
            # longer before.
            requests.append(msg.FSetStat(handle, Attributes(size=size)))
        requests += _last_requests(self._session, handle, file.attributes, copy.options)
        return [self._session.start(request) for request in requests]


def _readable_file(path: str) -> Attributes | None:
    """Return the attributes of a regular file, None of any other.

    :raises OSError: it can't be read.
    """
    # Opening a pipe would block until there is a writer.
    if not stat.S_ISREG(os.stat(path).st_mode):
        return None
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return Attributes.of(os.fstat(descriptor))
    finally:
        os.close(descriptor)


def _open_target(
    path: str, attributes: Attributes, start: int, *, in_place: bool = False
) -> msg.Open:
    # Some servers truncate what is opened without APPEND. With it, some ignore the offsets of
    # WRITEs: so all bytes after ``start`` are sent in order, those of holes too.
    flags = OpenFlag.WRITE | OpenFlag.CREAT
    if start:
        flags |= OpenFlag.APPEND
    elif not in_place:
        flags |= OpenFlag.TRUNC
    return msg.Open(path, flags, Attributes(permissions=_new_mode(attributes)))


def _last_requests(
    session: SFTPSession, handle: bytes, attributes: Attributes, options: CopyOptions
) -> list[msg.SFTPRequest[Any]]:
    """Return what follows the bytes of a copy on a server, its CLOSE included.

    :param attributes: those of the source.
    """
    requests: list[msg.SFTPRequest[Any]] = []
    if options.fsync and session.client.offers(ext.FSync.EXTENSION):
        requests.append(ext.FSync(handle))
    if options.preserve:
        requests.append(msg.FSetStat(handle, kept(attributes)))
    return [*requests, msg.Close(handle)]


class Copier:
    """From a server to the same one, by ``copy-data`` where it offers that, or to another."""

    def __init__(self, source: SFTPSession, target: SFTPSession) -> None:
        self._source = source
        self._target = target

    @property
    def alone(self) -> bool:
        """See :class:`Mover`."""
        return self._source.turns.alone or self._target.turns.alone

    async def move(self, copy: Copy) -> int:
        """See :class:`Mover`."""
        async with self._source.turns.turn():
            if self._source is self._target:
                return await self._move(copy)
            async with self._target.turns.turn():
                return await self._move(copy)

    async def _move(self, copy: Copy) -> int:
        here, there = self._source, self._target
        reading = await here.request(msg.Open(copy.source, OpenFlag.READ))
        try:
            opening = _open_target(copy.target, copy.attributes, copy.start)
            writing = await there.request(opening)
            *requests, close = _last_requests(there, writing, copy.attributes, copy.options)
            try:
                size = await self._fill(copy, reading, writing)
                here.check_handle(reading)
                for request in requests:
                    await there.request(request)
            except BaseException:
                there.close_handle(writing)
                raise
            await there.request(close)
        finally:
            here.close_handle(reading)
        return size

    async def _fill(self, copy: Copy, reading: bytes, writing: bytes) -> int:
        """Copy the bytes; return the size of the copy."""
        here, start = self._source, copy.start
        if here is not self._target or not here.client.offers(ext.CopyData.EXTENSION):
            return await self._relay(copy, reading, writing)
        size = copy.attributes.size or 0
        if start < size:
            await here.request(ext.CopyData(reading, start, 0, writing, start))
            copy.moved(size - start)
        return size

    async def _relay(self, copy: Copy, reading: bytes, writing: bytes) -> int:
        source = SFTPFile(self._source, reading, "", readable=True)
        target = SFTPFile(self._target, writing, "", writable=True)
        await source.seek(copy.start)
        await target.seek(copy.start)
        while data := await source.read(_RELAYED):
            await target.write(data)
            copy.moved(len(data))
        await target.flush()
        return await target.tell()
