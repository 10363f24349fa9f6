"""One file from one place to another, by the shortest way there is."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from functools import partial
from typing import TYPE_CHECKING, Protocol

from nacre.errors import NacreError
from nacre.sftp.client.file import SFTPFile
from nacre.sftp.client.places import data_parts, set_attributes
from nacre.sftp.client.pumps import DownloadPump, Moved, UploadPump, write_all
from nacre.sftp.client.session import SFTPSession
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.messages import OpenFlag
from nacre.wire.codec import Buffer

if TYPE_CHECKING:
    from nacre.sftp.client.options import CopyOptions

_WRITABLE = 0o200
_DEFAULT_MODE = 0o666
_RELAYED = 1 << 20
_LEAST_READ = 4096


class Mover(Protocol):
    """Copies the bytes of one file."""

    async def move(
        self,
        source: str,
        target: str,
        attributes: Attributes,
        start: int,
        options: CopyOptions,
        moved: Moved,
    ) -> int:
        """Copy what is behind ``start``; return the size that the copy has.

        :param attributes: those of the source.
        :param moved: told of each portion.
        """


def _kept(attributes: Attributes) -> Attributes:
    return Attributes(
        permissions=attributes.permissions and stat.S_IMODE(attributes.permissions),
        atime=attributes.atime,
        mtime=attributes.mtime,
    )


def _new_mode(attributes: Attributes) -> int:
    mode = _DEFAULT_MODE if attributes.permissions is None else attributes.permissions
    return mode & 0o777


class _LocalTarget:
    """A local file that is written, in threads: opened by the first write, or at the end.

    All writes are behind what the file holds, so zeros can be left out.
    """

    def __init__(self, path: str, start: int, mode: int) -> None:
        self._path = path
        self._start = start
        self._mode = mode | _WRITABLE
        self._descriptor = -1
        self._regular = True

    def write(self, chunks: list[Buffer], offset: int) -> None:
        """Write chunks that follow one another."""
        self._open()
        write_all(self._descriptor, chunks, offset, holes=self._regular)

    def finish(self, size: int, attributes: Attributes | None, fsync: bool) -> None:
        """Give the file its size and its attributes, and close it."""
        self._open()
        try:
            if self._regular:
                os.ftruncate(self._descriptor, size)
            if attributes is not None:
                set_attributes(self._descriptor, attributes)
            if fsync:
                os.fsync(self._descriptor)
        finally:
            self.close()

    @property
    def quick(self) -> bool:
        """Whether writing it is quick as a rule: a pipe or a device may let us wait for ever."""
        try:
            return stat.S_ISREG(os.stat(self._path).st_mode)
        except OSError:
            return True

    def write_whole(self, data: list[Buffer], attributes: Attributes | None, fsync: bool) -> None:
        """Write a small file in one go."""
        try:
            self.write(data, 0)
            self.finish(sum(map(len, data)), attributes, fsync)
        finally:
            self.close()

    def abandon(self, size: int) -> None:
        """Keep what is whole, so that a later copy can go on there."""
        if self._descriptor >= 0:
            try:
                if self._regular:
                    os.ftruncate(self._descriptor, size)
            finally:
                self.close()

    def close(self) -> None:
        """Close the descriptor, if there is one."""
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
    """Opens files of a server, ahead of who needs them where they are expected."""

    def __init__(self, session: SFTPSession) -> None:
        self._session = session
        self._expected: dict[str, asyncio.Future[bytes | NacreError]] = {}

    def _expect(self, request: msg.Open) -> None:
        if self._session.room:
            self._expected[request.path] = self._session.start(request)

    def forget(self) -> None:
        """Close what was expected and not moved."""
        for opening in self._expected.values():
            if not opening.done():
                opening.cancel()  # The session closes a handle that comes too late.
            elif not opening.cancelled() and isinstance(handle := opening.result(), bytes):
                self._session.close_handle(handle)
        self._expected.clear()

    async def _open(self, request: msg.Open) -> bytes:
        if (opening := self._expected.get(request.path)) is None:
            return await self._session.request(request)
        handle = await self._session.result(opening)
        del self._expected[request.path]
        return handle


class Downloader(_Opener):
    """From a server to this machine."""

    def expect(self, source: str) -> None:
        """Have ``source`` opened while others find out what it is; :meth:`forget` follows."""
        self._expect(msg.Open(source, OpenFlag.READ))

    async def move(
        self,
        source: str,
        target: str,
        attributes: Attributes,
        start: int,
        options: CopyOptions,
        moved: Moved,
    ) -> int:
        """See :class:`Mover`."""
        session = self._session
        handle = await self._open(msg.Open(source, OpenFlag.READ))
        try:
            file = _LocalTarget(target, start, _new_mode(attributes))
            kept = _kept(attributes) if options.preserve else None
            size = attributes.size
            if start == 0 and (not size or size <= session.read_size):
                reading = session.start_read(handle, 0, size or session.read_size)
                first: list[Buffer] = [*(await session.result(reading) or ())]
                got = sum(map(len, first))
                if got == size or not first:
                    work = partial(file.write_whole, first, kept, options.fsync)
                    quick = file.quick and not options.fsync
                    await (session.disk.run_quick if quick else session.disk.run)(work)
                    moved(got)
                    return got
            return await self._pump(handle, file, start, size or None, kept, options, moved)
        finally:
            session.close_handle(handle)

    async def _pump(
        self,
        handle: bytes,
        file: _LocalTarget,
        start: int,
        end: int | None,
        kept: Attributes | None,
        options: CopyOptions,
        moved: Moved,
    ) -> int:
        session = self._session
        pump = DownloadPump(session, handle, file.write, start, end, moved, quick=file.quick)
        try:
            await pump.run()
            await session.disk.run(partial(file.finish, pump.position, kept, options.fsync))
        except BaseException:
            # No thread is at work on it any more, and a closed session has no threads.
            with contextlib.suppress(OSError):
                file.abandon(pump.position)
            raise
        return pump.position


class _LocalSource:
    """A local file that is read; a small one is read when it is opened.

    :ivar whole: what a small file holds, or None.
    """

    def __init__(self, path: str, start: int, small: int) -> None:
        """Name a file; ``small`` is less than so many bytes."""
        self._path = path
        self._start = start
        self._small = small
        self.descriptor = -1
        self.attributes = Attributes()
        self.parts: list[tuple[int, int | None]] = []
        self.whole: bytes | None = None

    def open(self) -> None:
        """Open it, and read and close it when it is small."""
        self.descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        status = os.fstat(self.descriptor)
        self.attributes = Attributes.of(status)
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
        if status.st_size:
            self.parts = data_parts(self.descriptor, status.st_size, self._start)

    def close(self) -> None:
        """Close the descriptor, if there is one."""
        if self.descriptor >= 0:
            descriptor, self.descriptor = self.descriptor, -1
            os.close(descriptor)


class Uploader(_Opener):
    """From this machine to a server."""

    async def expect(self, source: str, target: str) -> None:
        """Have ``target`` opened while others find out whether it is a directory.

        Only where ``source`` is a file that can be read: what stood there is lost.
        :meth:`forget` follows.
        """
        with contextlib.suppress(OSError):
            attributes = await self._session.disk.run_quick(partial(_readable_file, source))
            if attributes is not None:
                self._expect(_open_target(target, attributes, 0))

    async def move(
        self,
        source: str,
        target: str,
        attributes: Attributes,
        start: int,
        options: CopyOptions,
        moved: Moved,
    ) -> int:
        """See :class:`Mover`."""
        session = self._session
        file = _LocalSource(source, start, session.write_size)
        try:
            quick = attributes.is_file
            await (session.disk.run_quick if quick else session.disk.run)(file.open)
            handle = await self._open(_open_target(target, file.attributes, start))
            if file.whole is None:
                return await self._pump(handle, file, target, start, options, moved)
            size = len(file.whole)
            asked: list[asyncio.Future[NacreError | None]] = []
            if file.whole:
                asked.append(session.start_write(handle, 0, file.whole))
            asked += self._complete(handle, file, size, options)
            for future in asked:
                await session.result(future)
            if file.whole:
                moved(size)
        finally:
            file.close()
        return size

    async def _pump(
        self,
        handle: bytes,
        file: _LocalSource,
        target: str,
        start: int,
        options: CopyOptions,
        moved: Moved,
    ) -> int:
        session = self._session
        asked: list[asyncio.Future[NacreError | None]] = []

        def size() -> int:
            return pump.end if pump.end is not None else file.attributes.size or 0

        def complete() -> None:
            asked.extend(self._complete(handle, file, size(), options))

        pump = UploadPump(
            session,
            handle,
            file.descriptor,
            file.parts,
            moved,
            quick=file.attributes.is_file,
            all_sent=complete,
        )
        try:
            await pump.run()
        except BaseException:
            cut = Attributes(size=max(pump.watermark, start))
            # Nothing names the handle any more once it is closed: it may be another file's by then.
            session.post(msg.SetStat(target, cut) if asked else msg.FSetStat(handle, cut))
            if not asked:
                session.close_handle(handle)
            raise
        for future in asked:
            await session.result(future)
        return size()

    def _complete(
        self, handle: bytes, file: _LocalSource, size: int, options: CopyOptions
    ) -> list[asyncio.Future[NacreError | None]]:
        """Ask for all that the copy needs beside its bytes, without waiting for these.

        A server does what concerns one file in the order it is asked.
        """
        session = self._session
        requests: list[msg.SFTPRequest[None]] = []
        if file.whole is None and (not file.parts or file.parts[-1][1] != size):
            # A hole at the end: nothing was written there that would have made the file so long.
            requests.append(msg.FSetStat(handle, Attributes(size=size)))
        if options.fsync and session.client.offers(ext.FSync.EXTENSION):
            requests.append(ext.FSync(handle))
        if options.preserve:
            requests.append(msg.FSetStat(handle, _kept(file.attributes)))
        return [session.start(request) for request in (*requests, msg.Close(handle))]


def _readable_file(path: str) -> Attributes | None:
    """Return the attributes of a regular file, None of any other.

    :raises OSError: it can't be read.
    """
    # A pipe would let us wait for who writes to it.
    if not stat.S_ISREG(os.stat(path).st_mode):
        return None
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return Attributes.of(os.fstat(descriptor))
    finally:
        os.close(descriptor)


def _open_target(path: str, attributes: Attributes, start: int) -> msg.Open:
    flags = OpenFlag.WRITE | OpenFlag.CREAT
    if not start:
        flags |= OpenFlag.TRUNC
    return msg.Open(path, flags, Attributes(permissions=_new_mode(attributes)))


class Copier:
    """From a server to the same, or to another: by ``copy-data`` where one server has both."""

    def __init__(self, source: SFTPSession, target: SFTPSession) -> None:
        self._source = source
        self._target = target

    async def move(
        self,
        source: str,
        target: str,
        attributes: Attributes,
        start: int,
        options: CopyOptions,
        moved: Moved,
    ) -> int:
        """See :class:`Mover`."""
        here, there = self._source, self._target
        reading = await here.request(msg.Open(source, OpenFlag.READ))
        try:
            writing = await there.request(_open_target(target, attributes, start))
            try:
                if here is there and here.client.offers(ext.CopyData.EXTENSION):
                    size = attributes.size or 0
                    if start < size:
                        copy = ext.CopyData(reading, start, 0, writing, start)
                        await here.request(copy)
                        moved(size - start)
                else:
                    size = await self._relay(reading, writing, start, moved)
                if options.preserve:
                    await there.request(msg.FSetStat(writing, _kept(attributes)))
                if options.fsync and there.client.offers(ext.FSync.EXTENSION):
                    await there.request(ext.FSync(writing))
            except BaseException:
                there.close_handle(writing)
                raise
            await there.request(msg.Close(writing))
        finally:
            here.close_handle(reading)
        return size

    async def _relay(self, reading: bytes, writing: bytes, start: int, moved: Moved) -> int:
        source = SFTPFile(self._source, reading, "", readable=True)
        target = SFTPFile(self._target, writing, "", writable=True)
        await source.seek(start)
        await target.seek(start)
        while data := await source.read(_RELAYED):
            await target.write(data)
            moved(len(data))
        await target.flush()
        return await target.tell()
