"""The server's side of the legacy scp protocol, over a filesystem: ``scp -t`` and ``scp -f``."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from nacre.aio.maybe import settled
from nacre.errors import RemoteProtocolError
from nacre.limits import DEFAULT_SFTP_LIMITS
from nacre.scp.command import ScpCommand
from nacre.scp.protocol import (
    Aborted,
    Accepted,
    DirectoryEnd,
    DirectoryStart,
    FileEnd,
    FileStart,
    ScpSink,
    ScpSource,
    Times,
)
from nacre.sftp.filesystems.base import File, Filesystem
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.protocol.paths import components, has_wildcards, join, last_name, literal, matches
from nacre.sftp.protocol.server import Refusal
from nacre.sftp.protocol.status import numbered
from nacre.sftp.server.journal import Journal
from nacre.sftp.server.opened import OpenedDirectory, OpenedFile, pread
from nacre.wire.blocks import BLOCK
from nacre.wire.codec import Buffer

T = TypeVar("T")

_WRITE = OpenFlag.WRITE | OpenFlag.CREAT
_MATCHES = 10_000
"""Files that one pattern may match."""


class ScpLine(Protocol):
    """What carries bytes from and to the client."""

    async def read(self, n: int = -1) -> bytes:
        """Return up to ``n`` bytes; b"" at the end."""

    async def write(self, data: Buffer) -> None:
        """Send ``data``."""


Do = Callable[[Coroutine[Any, Any, T]], Awaitable[T]]
"""Runs work on the filesystem where it may block: in a thread, or on the loop."""


async def serve_scp(
    line: ScpLine,
    do: Do[Any],
    filesystem: Filesystem,
    command: ScpCommand,
    journal: Journal,
) -> int:
    """Carry out ``command``; returns the exit status: 1 if any part of it failed.

    :param journal: records the files that are copied.
    :raises NacreError: the connection ended.
    """
    if command.role == "sink":
        return await _Receiving(line, do, filesystem, command, journal).run()
    return await _Sending(line, do, filesystem, command, journal).run()


class _Receiving:
    """Receives files from a client: ``scp -t``."""

    def __init__(
        self,
        line: ScpLine,
        do: Do[Any],
        fs: Filesystem,
        command: ScpCommand,
        journal: Journal,
    ) -> None:
        self._line = line
        self._do = do
        self._fs = fs
        self._command = command
        self._journal = journal
        self._target = _home(literal(command.paths[0]))
        self._into = False
        self._file: OpenedFile | None = None
        self._start: FileStart | None = None
        self._offset = 0
        self._problem: OSError | None = None
        self._directories: list[DirectoryStart] = []
        self._failed = False

    async def run(self) -> int:
        sink = ScpSink(
            requested=None,
            recursive=self._command.recursive,
            preserve=self._command.preserve,
        )
        if self._fs.read_only:
            sink.data_to_send()
            self._journal.refused([Refusal("scp", "the filesystem is read-only")])
            sink.fail(f"{self._target}: Read-only file system")
            await self._line.write(sink.data_to_send())
            return 1
        self._into = await self._is_directory(self._target)
        if self._command.directory and not self._into:
            sink.data_to_send()
            sink.fail(f"{self._target}: Not a directory")
            await self._line.write(sink.data_to_send())
            return 1
        try:
            await self._loop(sink)
        except RemoteProtocolError as error:
            self._journal.broken(error)
            self._failed = True
            with suppress(OSError):
                await self._line.write(sink.data_to_send())
        finally:
            if self._file is not None:
                file, self._file = self._file, None
                cut = OSError(errno.EPIPE, "the session ended before the file was complete")
                self._journal.copy_ended("upload", cut, file.path, self._offset)
                with suppress(OSError):
                    await self._do(file.end(complete=False))
        return 1 if self._failed else 0

    async def _loop(self, sink: ScpSink) -> None:
        while True:
            while (event := sink.next_event()) is not None:
                if isinstance(event, memoryview):
                    await self._write(event)
                elif isinstance(event, Aborted):
                    self._failed = True
                else:
                    await self._handle(sink, event)
            if output := sink.data_to_send():
                await self._line.write(output)
            if not sink.wants_input:
                return
            data = await self._line.read(BLOCK)
            if not data:
                sink.receive_eof()
                return
            sink.receive(data)

    async def _handle(self, sink: ScpSink, event: object) -> None:
        try:
            if isinstance(event, FileStart):
                await self._begin(event)
            elif isinstance(event, FileEnd):
                await self._end(event)
            elif isinstance(event, DirectoryStart):
                await self._enter(event)
            elif isinstance(event, DirectoryEnd):
                await self._leave()
                return
            else:
                self._failed = True
                return
        except OSError as error:
            self._failed = True
            sink.refuse(_reason(getattr(event, "path", None) or self._name(), error))
        else:
            sink.accept()

    def _name(self) -> tuple[str, ...]:
        return self._start.path if self._start is not None else (self._target,)

    def _place(self, path: tuple[str, ...]) -> str:
        """Return the path of a file: inside the target, or the target itself."""
        return join(self._target, "/".join(path if self._into else path[1:])).rstrip("/")

    async def _is_directory(self, path: str) -> bool:
        async def look() -> bool:
            with suppress(OSError):
                return (await settled(self._fs.stat(path or "."))).is_directory
            return False

        found: bool = await self._do(look())
        return found

    async def _begin(self, event: FileStart) -> None:
        path = self._place(event.path)
        attributes = Attributes(permissions=event.mode | stat.S_IWUSR)
        flags = _WRITE if self._command.in_place else _WRITE | OpenFlag.TRUNC

        async def begin() -> OpenedFile:
            file = await settled(self._fs.open(path, flags, attributes))
            return OpenedFile(self._fs, path, file, True)

        try:
            self._journal.begin()
            self._file = await self._do(begin())
        except OSError as error:
            self._journal.operation("upload", numbered(error), path=path)
            raise
        self._start, self._offset, self._problem = event, 0, None

    async def _write(self, data: memoryview) -> None:
        if self._file is None or self._problem is not None:
            return
        try:
            await self._do(self._file.write([data], self._offset))
        except OSError as error:
            self._problem = numbered(error)
            self._journal.lost("write", self._file.path, self._problem)
        self._journal.copied(data, self._offset, reads=False)
        self._offset += len(data)

    async def _end(self, event: FileEnd) -> None:
        file, start, self._file = self._file, self._start, None
        assert file is not None
        assert start is not None
        whole = event.error is None and self._problem is None
        if self._command.in_place:
            with suppress(OSError):
                await self._do(_cut(file.file, self._offset))
        if whole and self._command.preserve:
            with suppress(OSError):
                await self._do(_set_of(file.file, start.mode, start.times))
        problem = self._problem
        try:
            await self._do(file.end(complete=whole))
        except OSError as error:
            problem = numbered(error)
            self._journal.lost("close", file.path, problem)
            raise
        finally:
            self._journal.copy_ended("upload", problem, file.path, self._offset)
        await self._journal.settled()
        if problem is not None:
            raise OSError(0, os.strerror(problem.errno or errno.EIO))
        self._failed = self._failed or event.error is not None

    async def _enter(self, event: DirectoryStart) -> None:
        path = self._place(event.path)
        if not await self._is_directory(path):
            mode = Attributes(permissions=event.mode | stat.S_IRWXU)

            async def make() -> None:
                await settled(self._fs.mkdir(path, mode))

            try:
                self._journal.begin()
                await self._do(make())
            except OSError as error:
                self._journal.operation("mkdir", numbered(error), path=path)
                raise
            self._journal.operation("mkdir", None, path=path)
            await self._journal.settled()
        self._directories.append(event)

    async def _leave(self) -> None:
        event = self._directories.pop()
        if not self._command.preserve:
            return

        async def restore() -> None:
            wanted = _attributes(event.mode, event.times)
            await settled(self._fs.set_attributes(self._place(event.path), wanted))

        with suppress(OSError):
            await self._do(restore())


class _Sending:
    """Sends files to a client: ``scp -f``."""

    def __init__(
        self,
        line: ScpLine,
        do: Do[Any],
        fs: Filesystem,
        command: ScpCommand,
        journal: Journal,
    ) -> None:
        self._line = line
        self._do = do
        self._fs = fs
        self._command = command
        self._journal = journal
        self._source = ScpSource()
        self._failed = False

    async def run(self) -> int:
        try:
            await self._until_ready()
            for pattern in self._command.paths:
                for path in await self._expand(pattern):
                    await self._send(path, 0)
        except RemoteProtocolError as error:
            self._journal.broken(error)
            return 1
        except _Over:
            return 1
        return 1 if self._failed else 0

    async def _until_ready(self) -> object:
        """Send all output and wait for the client's answer; return it, or None."""
        answer: object = None
        while True:
            for piece in self._source.data_to_send():
                await self._line.write(piece)
            if self._source.ready or self._source.remaining or isinstance(answer, Accepted):
                return answer
            data = await self._line.read(BLOCK)
            if not data:
                self._source.receive_eof()
                raise _Over
            for event in self._source.receive(data):
                answer = event
                if isinstance(event, Aborted):
                    raise _Over

    async def _warn(self, path: str, error: OSError) -> None:
        self._failed = True
        self._journal.operation("download", error, path=path)
        self._source.send_warning(_reason((path,), error))
        for piece in self._source.data_to_send():
            await self._line.write(piece)

    async def _send(self, path: str, depth: int) -> None:
        async def look() -> Attributes:
            return await settled(self._fs.stat(path))

        try:
            found = await self._do(look())
            if found.is_directory:
                await self._send_directory(path, found, depth)
            else:
                await self._send_file(path, found)
        except OSError as error:
            if not self._source.ready:
                raise
            await self._warn(path, error)

    def _times(self, found: Attributes) -> Times | None:
        if not self._command.preserve or found.mtime is None or found.atime is None:
            return None
        return Times(found.mtime, found.atime)

    async def _send_directory(self, path: str, found: Attributes, depth: int) -> None:
        if not self._command.recursive:
            raise OSError(0, "not a regular file")
        if depth >= DEFAULT_SFTP_LIMITS.scp_depth:
            raise OSError(0, "too many directories inside each other")
        name = last_name(path)
        if name in ("", ".", ".."):
            name = last_name(await self._real(path)) or "root"
        names = await self._names(path)
        self._source.send_directory(name, (found.permissions or 0) & 0o7777, self._times(found))
        if not isinstance(await self._until_ready(), Accepted):
            self._failed = True
            return
        for one in names:
            await self._send(join(path, one), depth + 1)
        self._source.leave_directory()
        await self._until_ready()

    async def _real(self, path: str) -> str:
        async def look() -> str:
            return await settled(self._fs.realpath(path))

        real: str = await self._do(look())
        return real

    async def _send_file(self, path: str, found: Attributes) -> None:
        async def begin() -> tuple[OpenedFile, Attributes]:
            file = await settled(self._fs.open(path, OpenFlag.READ, Attributes()))
            opened = OpenedFile(self._fs, path, file, False)
            try:
                return opened, await settled(file.stat())
            except BaseException:
                await opened.end(complete=True)
                raise

        self._journal.begin()
        opened, found = await self._do(begin())
        try:
            size, mode = found.size or 0, (found.permissions or 0) & 0o7777
            self._source.send_file(path, mode, size, self._times(found))
            if not isinstance(await self._until_ready(), Accepted):
                self._failed = True
                return
            await self._send_data(opened)
        finally:
            await self._do(opened.end(complete=True))

    async def _send_data(self, opened: OpenedFile) -> None:
        offset, problem = 0, None
        cause: OSError | None = None
        while left := self._source.remaining:
            data: Buffer = b""
            if problem is None:
                try:
                    data = await self._do(pread(opened.file, min(left, BLOCK), offset))
                    if not len(data):
                        problem = "the file became shorter"
                        cause = OSError(errno.EIO, problem)
                except OSError as error:
                    cause = numbered(error)
                    problem = os.strerror(cause.errno or errno.EIO)
            self._journal.copied(data, offset, reads=True)
            # The size was announced: missing bytes are sent as zeros, and the error after them.
            data = data if len(data) else bytes(min(left, BLOCK))
            offset += len(data)
            self._source.send_data(data)
            for piece in self._source.data_to_send():
                await self._line.write(piece)
        self._failed = self._failed or problem is not None
        self._journal.copy_ended("download", cause, opened.path, offset)
        answer = self._source.finish_file(problem) or await self._until_ready()
        for piece in self._source.data_to_send():
            await self._line.write(piece)
        if not isinstance(answer, Accepted):
            self._failed = True

    async def _names(self, path: str) -> list[str]:
        async def look() -> list[str]:
            listing = OpenedDirectory(self._fs, path, await settled(self._fs.scandir(path)))
            found: list[str] = []
            try:
                while entries := await listing.read():
                    found += [entry.name for entry in entries if entry.name not in (".", "..")]
            finally:
                await listing.end(complete=True)
            return sorted(found)

        names: list[str] = await self._do(look())
        return names

    async def _expand(self, pattern: str) -> list[str]:
        """Return the paths that a pattern matches; if none, the pattern's own text."""
        pattern = _home(pattern)
        if not has_wildcards(pattern):
            return [literal(pattern)]
        start, parts = components(pattern)
        found = [start]
        for part in parts:
            if not has_wildcards(part):
                found = [join(directory, literal(part)) for directory in found]
                continue
            deeper: list[str] = []
            for directory in found:
                with suppress(OSError):
                    names = await self._names(directory or ".")
                    deeper += [join(directory, name) for name in names if matches(name, part)]
            found = deeper[:_MATCHES]
        return found or [literal(pattern)]


class _Over(Exception):
    """The client ended the copy."""


async def _cut(file: File, size: int) -> None:
    await settled(file.set_attributes(Attributes(size=size)))


async def _set_of(file: File, mode: int, times: Times | None) -> None:
    await settled(file.set_attributes(_attributes(mode, times)))


def _attributes(mode: int, times: Times | None) -> Attributes:
    if times is None:
        return Attributes(permissions=mode)
    return Attributes(permissions=mode, atime=times.atime, mtime=times.mtime)


def _home(path: str) -> str:
    """Return a path without ``~/``: relative paths start at the home directory."""
    return path[2:] or "." if path == "~" or path.startswith("~/") else path


def _reason(path: tuple[str, ...], error: OSError) -> str:
    number = numbered(error).errno
    reason = os.strerror(number) if number else error.strerror
    return f"{'/'.join(path)}: {reason}"
