"""The scp protocol between local files and a remote ``scp -t`` (sink) or ``scp -f`` (source).

The protocol itself, without I/O, is :mod:`nacre.scp.protocol`.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from nacre.cli.scp.remotes import RemoteCommand
from nacre.errors import RemoteProtocolError, StreamClosed
from nacre.limits import MIB
from nacre.scp.protocol import (
    Aborted,
    Accepted,
    DirectoryEnd,
    DirectoryStart,
    FileEnd,
    FileStart,
    ScpSink,
    ScpSource,
    SourceEvent,
    Times,
    Warned,
)
from nacre.sftp.client.disk import Disk
from nacre.sftp.client.options import Progress
from nacre.sftp.client.places import PERMISSIONS
from nacre.sftp.protocol.paths import join
from nacre.wire.text import safe

BLOCK = 1 * MIB
"""Bytes that are read at a time."""


@dataclass(frozen=True, slots=True)
class How:
    """How to copy.

    :ivar progress: see :data:`nacre.sftp.client.options.Progress`.
    :ivar complain: gets a message for each file that can't be copied; the copy continues.
    """

    recursive: bool
    preserve: bool
    progress: Progress | None
    complain: Callable[[str], None]


class Receiver:
    """Writes what a source sends into a local directory, or under one local name."""

    def __init__(
        self, process: RemoteCommand, disk: Disk, requested: Sequence[str], how: How
    ) -> None:
        """Receive nothing yet.

        :param process: the remote ``scp -f``.
        :param requested: the remote paths of its command line; files of other names are refused.
        """
        self._process = process
        self._disk = disk
        self._how = how
        self._sink = ScpSink(requested=requested, recursive=how.recursive, preserve=how.preserve)
        self._kept: list[tuple[str, int, Times | None]] = []
        self._file = -1
        self._start: FileStart | None = None
        self._path = ""
        self._done = 0
        self._problem: str | None = None

    async def run(self, target: str, *, into: bool) -> None:
        """Receive until the source ends.

        :param into: whether ``target`` is a directory to copy into, or the copy's own name.
        :raises RemoteProtocolError: the source violated the protocol, or sent a file that was not
            requested.
        """
        try:
            await self._send()
            while data := await self._process.stdout.read(BLOCK):
                self._sink.receive(data)
                try:
                    while (event := self._sink.next_event()) is not None:
                        await self._take(event, target, into=into)
                        await self._send()
                finally:
                    await self._send()
                if not self._sink.wants_input:
                    return
            self._sink.receive_eof()
        finally:
            self._close()

    async def _send(self) -> None:
        if data := self._sink.data_to_send():
            # A source that has ended reads no answer; the data it sent before still counts.
            with contextlib.suppress(StreamClosed):
                await self._process.stdin.write(data)

    async def _take(self, event: object, target: str, *, into: bool) -> None:
        if isinstance(event, memoryview):
            await self._write(event)
        elif isinstance(event, FileStart):
            self._path = _place(target, event.path, into=into)
            await self._guarded(partial(self._open, event))
        elif isinstance(event, FileEnd):
            await self._guarded(partial(self._finish, event))
        elif isinstance(event, DirectoryStart):
            self._path = _place(target, event.path, into=into)
            await self._guarded(partial(self._make_directory, event))
        elif isinstance(event, DirectoryEnd):
            path, mode, times = self._kept.pop()
            if self._how.preserve or mode & 0o700 != 0o700:
                await self._disk.run(partial(_set, path, mode, times))
        elif isinstance(event, (Warned, Aborted)):
            self._how.complain(event.text)

    async def _guarded(self, work: Callable[[], None]) -> None:
        try:
            await self._disk.run(work)
        except OSError as error:
            text = f"{safe(self._path)}: {os.strerror(error.errno or 0)}"
            self._how.complain(text)
            self._sink.refuse(text)
        else:
            self._sink.accept()

    def _open(self, event: FileStart) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        self._file = os.open(self._path, flags, event.mode & PERMISSIONS | stat.S_IWUSR)
        self._start = event
        self._done = 0
        self._problem = None
        if self._how.progress is not None and not event.size:
            self._how.progress(self._path, 0, 0)

    async def _write(self, data: memoryview) -> None:
        if self._problem is None:
            try:
                await self._disk.run(partial(_write, self._file, data))
            except OSError as error:
                # The rest of the file is still in the stream, and is discarded.
                self._problem = f"{safe(self._path)}: {os.strerror(error.errno or 0)}"
        self._done += len(data)
        if self._how.progress is not None and self._start is not None:
            self._how.progress(self._path, self._done, self._start.size)

    def _finish(self, event: FileEnd) -> None:
        start = self._start
        assert start is not None
        try:
            # Not before: a file that is copied onto itself keeps its bytes.
            if stat.S_ISREG(os.fstat(self._file).st_mode):
                os.ftruncate(self._file, self._done)
            if self._how.preserve:
                _set(self._file, start.mode, start.times)
        finally:
            self._close()
        if event.error is not None:
            self._how.complain(event.error)
        if self._problem is not None:
            problem, self._problem = self._problem, None
            self._how.complain(problem)

    def _make_directory(self, event: DirectoryStart) -> None:
        try:
            os.mkdir(self._path, event.mode & PERMISSIONS | stat.S_IRWXU)
        except FileExistsError:
            if not os.path.isdir(self._path):
                raise
        self._kept.append((self._path, event.mode, event.times))

    def _close(self) -> None:
        if self._file >= 0:
            descriptor, self._file = self._file, -1
            os.close(descriptor)


def _place(target: str, path: tuple[str, ...], *, into: bool) -> str:
    return os.path.join(target, *(path if into else path[1:]))


def _write(descriptor: int, data: memoryview) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _set(path: str | int, mode: int, times: Times | None) -> None:
    os.chmod(path, mode & PERMISSIONS)
    if times is not None:
        os.utime(path, (times.atime, times.mtime))


class Sender:
    """Sends local files and directories to a sink, the remote ``scp -t``."""

    def __init__(self, process: RemoteCommand, disk: Disk, how: How) -> None:
        self._process = process
        self._disk = disk
        self._how = how
        self._source = ScpSource()
        self._answers: list[SourceEvent] = []

    async def run(self, paths: Sequence[str]) -> None:
        """Send ``paths``, one after another.

        :raises RemoteProtocolError: the sink aborted, ended early, or violated the protocol.
        """
        while not self._source.ready:
            await self._receive()
        for path in paths:
            await self._send_path(path)
        self._process.stdin.write_eof()

    async def _send_path(self, path: str) -> None:
        try:
            status = await self._disk.run(partial(os.stat, path))
            if stat.S_ISDIR(status.st_mode):
                await self._send_directory(path, status)
            elif stat.S_ISREG(status.st_mode):
                await self._send_file(path)
            else:
                self._how.complain(f"{safe(path)}: not a regular file")
        except OSError as error:
            if isinstance(error, ConnectionError):
                raise
            self._how.complain(f"{safe(path)}: {os.strerror(error.errno or 0)}")

    async def _send_directory(self, path: str, status: os.stat_result) -> None:
        if not self._how.recursive:
            self._how.complain(f"{safe(path)}: not a regular file")
            return
        names = await self._disk.run(partial(os.listdir, path))
        self._source.send_directory(path, status.st_mode & 0o7777, self._times(status))
        if not await self._accepted():
            return
        for below in sorted(names):
            await self._send_path(join(path, below))
        self._source.leave_directory()
        await self._accepted()

    async def _send_file(self, path: str) -> None:
        flags = os.O_RDONLY | os.O_CLOEXEC
        descriptor = await self._disk.run(partial(os.open, path, flags))
        try:
            status = os.fstat(descriptor)
            size = status.st_size
            self._source.send_file(path, status.st_mode & 0o7777, size, self._times(status))
            if not await self._accepted():
                return
            problem = await self._send_data(path, descriptor, size)
            if self._source.finish_file(problem) is None:
                await self._accepted()
            else:
                await self._send()
        finally:
            os.close(descriptor)

    async def _send_data(self, path: str, descriptor: int, size: int) -> str | None:
        problem = None
        progress = self._how.progress
        if progress is not None and not size:
            progress(path, 0, 0)
        while self._source.remaining:
            wanted = min(BLOCK, self._source.remaining)
            data = b""
            if problem is None:
                try:
                    data = await self._disk.run(partial(os.read, descriptor, wanted))
                except OSError as error:
                    problem = f"{safe(path)}: {os.strerror(error.errno or 0)}"
                if not data and problem is None:
                    problem = f"{safe(path)}: the file became shorter while it was copied"
            # The size was announced, so missing data is sent as zeros.
            self._source.send_data(data or bytes(wanted))
            await self._send()
            if progress is not None:
                progress(path, size - self._source.remaining, size)
        return problem

    def _times(self, status: os.stat_result) -> Times | None:
        return Times(int(status.st_mtime), int(status.st_atime)) if self._how.preserve else None

    async def _send(self) -> None:
        try:
            for piece in self._source.data_to_send():
                await self._process.stdin.write(piece)
        except StreamClosed as error:
            raise RemoteProtocolError(
                "the remote scp ended before the copy was complete"
            ) from error

    async def _accepted(self) -> bool:
        """Send, and return whether the sink accepts."""
        await self._send()
        while not self._answers:
            await self._receive()
            await self._send()
        answer = self._answers.pop(0)
        if isinstance(answer, Accepted):
            return True
        self._how.complain(answer.text)
        if isinstance(answer, Aborted):
            raise RemoteProtocolError("the remote scp aborted the copy")
        return False

    async def _receive(self) -> None:
        data = await self._process.stdout.read(4096)
        if not data:
            self._source.receive_eof()
            raise RemoteProtocolError("the remote scp ended before the copy was complete")
        self._answers += self._source.receive(data)
        aborted = [answer for answer in self._answers if isinstance(answer, Aborted)]
        if aborted:
            self._how.complain(aborted[0].text)
            raise RemoteProtocolError("the remote scp aborted the copy")
