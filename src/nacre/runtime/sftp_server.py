"""Serves SFTP on the streams of a session.

Calls wait in lanes: one for each open file, and one for all that names paths. The calls of a lane
are carried out in order, those of different lanes side by side. What names the path of a file that
is at work goes to that file's lane: nobody sees a file as it was before a write that came first.
A filesystem that blocks works in a few threads of the session's own, so neither the loop nor
another session waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from nacre.errors import NacreError, RemoteProtocolError
from nacre.limits import DEFAULT_SFTP_LIMITS, KIB, MIB, SFTPLimits
from nacre.runtime.filesystem import Filesystem
from nacre.runtime.sftp_calls import (
    BLOCK,
    OpenedDirectory,
    OpenedFile,
    answer,
    answer_row,
    carried_out,
    in_a_row,
    internal,
    numbered,
    outcome_of,
    read_row,
    settled,
    write_row,
)
from nacre.runtime.threads import Threads
from nacre.runtime.waiting import Gate
from nacre.sftp.extensions import CheckFile, CheckFileHandle, CheckFileName, CopyData, FSync
from nacre.sftp.messages import Read, ReadDir, Write
from nacre.sftp.paths import normalise
from nacre.sftp.server import Call, Server
from nacre.wire.codec import Buffer

if TYPE_CHECKING:
    from nacre.runtime.session import Session

THREADS = 4
"""Threads of one session: as many calls of it go on at once over a filesystem that blocks."""

TASKS = 32
"""Calls of one session that go on at once over a filesystem that does not."""

BUFFERS = 3
"""Blocks of READs that are filled or wait to be sent: one is read while another is sealed."""

PORTION = 2 * MIB
"""Octets taken from the client at once."""

UNSENT = 64
"""Answers that wait to be sent at which no more calls are taken."""

TOGETHER = 64
"""Calls of a lane that one thread carries out in one go."""

CLOSING = 30.0
"""Seconds that files have to be closed when the session is over; then the storage hangs."""

_SMALL = 16 * KIB
_SHORT = 256 * KIB
_FEW = 8
_LONG = (ReadDir, FSync, CopyData, CheckFile, CheckFileHandle, CheckFileName)
_logger = logging.getLogger("nacre.server")


class Source(Protocol):
    """Where the client's octets come from; see :class:`nacre.Reader`."""

    async def read(self, n: int = -1) -> bytes:
        """Return up to ``n`` octets; b"" at the end."""


class Target(Protocol):
    """Where the answers go; see :class:`nacre.Writer`."""

    async def write(self, data: Buffer) -> None:
        """Send ``data``."""


class _Lane:
    """The calls of one open file, or all those that name paths.

    :ivar opened: the file, or None.
    :ivar path: where it was opened, absolute; "" without a file.
    """

    __slots__ = ("busy", "calls", "opened", "path")

    def __init__(self, opened: object = None) -> None:
        self.calls: deque[Call] = deque()
        self.busy = False
        self.opened = opened
        self.path = normalise(opened.path) if isinstance(opened, OpenedFile) else ""


class Service:
    """One SFTP session."""

    def __init__(
        self,
        source: Source,
        target: Target,
        filesystem: Filesystem,
        *,
        limits: SFTPLimits = DEFAULT_SFTP_LIMITS,
    ) -> None:
        self._source = source
        self._target = target
        self._filesystem = filesystem
        self._server = Server(limits=limits)
        self._threads = Threads(THREADS) if filesystem.blocking else None
        self._most = THREADS if filesystem.blocking else TASKS
        self._paths = _Lane()
        self._lanes: dict[int, _Lane] = {}
        self._ready: deque[_Lane] = deque()
        self._running = 0
        self._starting = False
        self._alone: Call | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._buffers: list[bytearray] = []
        self._lent: dict[int, bytearray] = {}
        self._unsent = 0
        self._ended = False
        self._progress = Gate()
        self._output = Gate()

    async def run(self) -> None:
        """Serve until the client ends the session.

        :raises RemoteProtocolError: it broke the protocol.
        :raises NacreError: the connection ended.
        """
        sending = asyncio.ensure_future(self._send())
        sending.add_done_callback(lambda _: self._progress.wake())
        try:
            await self._receive()
            while self._server.outstanding and not sending.done():
                await self._progress.wait()
            self._ended = True
            self._output.wake()
            await sending
        finally:
            self._ended = True
            sending.cancel()
            with suppress(asyncio.CancelledError, NacreError):
                await sending
            await _uncancelled(self._close())

    # --- from the client ---

    async def _receive(self) -> None:
        server = self._server
        while True:
            self._take_calls()
            if self._unsent >= UNSENT or self._alone is not None or not server.wants_input:
                await self._progress.wait()
                continue
            data = await self._source.read(PORTION)
            if not data:
                server.receive_eof()
                return
            server.receive(data)

    def _take_calls(self) -> None:
        server = self._server
        while (
            self._unsent < UNSENT
            and self._alone is None
            and (call := server.next_call()) is not None
        ):
            lane = self._lane(call)
            if lane is None:
                self._alone = call
                break
            lane.calls.append(call)
            if not lane.busy:
                lane.busy = True
                self._ready.append(lane)
        # Whatever the server answers by itself is there by now.
        self._output.wake()
        self._start()

    def _lane(self, call: Call) -> _Lane | None:
        """Return the lane of a call, or None when it has several.

        Such a call waits for all that came before it, and all that comes after it waits.
        """
        if isinstance(call.request, CopyData):
            return None
        if call.files:
            opened = call.files[0]
            if (lane := self._lanes.get(id(opened))) is None:
                lane = self._lanes[id(opened)] = _Lane(opened)
            return lane
        if not self._lanes:
            return self._paths
        named = [path for path in call.request.paths if path is not None]
        paths = {normalise(path) for path in named}
        busy = [lane for lane in self._lanes.values() if lane.path in paths]
        if not busy:
            return self._paths
        return busy[0] if len(busy) == len(named) == 1 else None

    # --- the work ---

    def _start(self) -> None:
        """Start what may run now."""
        if self._starting:
            return  # Something was done at once: what follows it is started by who is at it.
        self._starting = True
        waiting: list[_Lane] = []
        while self._ready and self._running < self._most:
            lane = self._ready.popleft()
            if not self._start_next(lane):
                waiting.append(lane)
        self._ready.extendleft(reversed(waiting))
        self._starting = False
        if self._alone is not None and not self._running and not self._ready:
            self._running += 1
            alone = [self._alone]
            self._run(self._one_by_one(alone), self._paths, alone, None)

    def _start_next(self, lane: _Lane) -> bool:
        """Start the next calls of a lane; return whether there was a buffer for them."""
        calls = lane.calls
        row = in_a_row(calls)
        first = calls[0]
        buffer: bytearray | None = None
        if isinstance(first.request, Read) and first.files[0].file.vectors:  # type: ignore[attr-defined]
            buffer = self._take_buffer()
            if buffer is None:
                return False
        elif not isinstance(first.request, (Write, ReadDir)):
            row = self._others(lane)
        taken = [calls.popleft() for _ in range(row)]
        self._running += 1
        if buffer is not None:
            self._run(read_row(taken, memoryview(buffer)), lane, taken, buffer)
        elif isinstance(first.request, Write):
            self._run(write_row(taken), lane, taken, None)
        else:
            self._run(self._one_by_one(taken), lane, taken, None)
        return True

    @staticmethod
    def _others(lane: _Lane) -> int:
        count = 0
        for call in lane.calls:
            if count == TOGETHER or isinstance(call.request, (Read, Write, ReadDir)):
                break
            count += 1
        return max(count, 1)

    async def _one_by_one(self, calls: list[Call]) -> list[tuple[Any, OSError | None]]:
        return [await outcome_of(self._filesystem, call) for call in calls]

    def _run(
        self, work: Coroutine[Any, Any, Any], lane: _Lane, calls: list[Call], buffer: Any
    ) -> None:
        if self._threads is not None:
            self._threads.start(
                lambda: carried_out(work),
                lambda value, error: self._finish(lane, calls, buffer, value, error),
                short=_is_short(calls),
            )
            return

        async def run() -> None:
            value, failed = None, None
            try:
                value = await work
            except Exception as error:
                failed = error
            self._finish(lane, calls, buffer, value, failed)

        task = asyncio.ensure_future(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _finish(
        self,
        lane: _Lane,
        calls: list[Call],
        buffer: bytearray | None,
        value: Any,
        error: Exception | None,
    ) -> None:
        self._running -= 1
        if calls[0] is self._alone:
            self._alone = None
        self._unsent += len(calls)
        self._answer(calls, buffer, value, error)
        if self._ended:
            lane.calls.clear()
        if lane.calls:
            self._ready.append(lane)
        else:
            lane.busy = False
            # The file may be closed now; when it is not, its next call makes a new lane.
            self._lanes.pop(id(lane.opened), None)
        self._start()
        self._progress.wake()
        self._output.wake()

    def _answer(
        self, calls: list[Call], buffer: bytearray | None, value: Any, error: Exception | None
    ) -> None:
        if error is not None:
            failed = numbered(error) if isinstance(error, OSError) else internal(error)
            value = [(None, failed)] * len(calls)
        elif buffer is not None:
            answer_row(self._server, calls, memoryview(buffer), value)
            if not value:
                self._release(buffer)
            return
        elif value is None:
            value = [(None, None)] * len(calls)
        if buffer is not None:
            self._release(buffer)
        for call, (result, problem) in zip(calls, value, strict=True):
            self._log(problem)
            answer(self._server, call, result, problem)

    def _log(self, problem: OSError | None) -> None:
        if problem is not None and isinstance(problem.__cause__, Exception):
            _logger.error("a filesystem failed", exc_info=problem.__cause__)

    # --- buffers for what is read ---

    def _take_buffer(self) -> bytearray | None:
        if len(self._lent) == BUFFERS:
            return None
        buffer = self._buffers.pop() if self._buffers else bytearray(BLOCK)
        self._lent[id(buffer)] = buffer
        return buffer

    def _release(self, buffer: bytearray) -> None:
        del self._lent[id(buffer)]
        self._buffers.append(buffer)

    # --- to the client ---

    async def _send(self) -> None:
        while True:
            pieces = self._server.data_to_send()
            self._unsent = 0
            if not pieces:
                if self._ended:
                    return
                if not self._server.outstanding:
                    # Nothing goes on: an idle session holds no memory.
                    self._buffers.clear()
                await self._output.wait()
                continue
            self._progress.wake()
            await self._write(pieces)

    async def _write(self, pieces: list[Buffer]) -> None:
        small = bytearray()
        for piece in pieces:
            block = self._lent.get(id(piece.obj)) if isinstance(piece, memoryview) else None
            if block is None and len(piece) < _SMALL:
                small += piece
                continue
            if small:
                await self._target.write(small)
                small = bytearray()
            await self._target.write(piece)
            if block is not None:
                self._release(block)
                self._start()
        if small:
            await self._target.write(small)

    # --- the end ---

    async def _close(self) -> None:
        """Wait for what goes on, close all files, and say which uploads broke off."""
        self._ready.clear()
        for lane in (self._paths, *self._lanes.values()):
            lane.calls.clear()
        for opened in self._server.files:
            if isinstance(opened, OpenedFile):
                opened.abandoned = True
        try:
            async with asyncio.timeout(CLOSING):
                while self._running:
                    await self._progress.wait()
                work = self._close_all()
                if self._threads is None:
                    await work
                else:
                    await self._threads.run(lambda: carried_out(work))
        except TimeoutError:
            _logger.error("the files of a session can't be closed: the storage hangs")
        finally:
            if self._threads is not None:
                self._threads.end()

    async def _close_all(self) -> None:
        for opened in self._server.files:
            try:
                if isinstance(opened, OpenedFile):
                    await opened.end(complete=False)
                elif isinstance(opened, OpenedDirectory):
                    await opened.end()
            except Exception as error:
                if not isinstance(error, OSError):
                    _logger.error("a filesystem failed", exc_info=error)
        await settled(self._filesystem.close())


def _is_short(calls: list[Call]) -> bool:
    """Tell whether calls most likely take less than a moment."""
    size = 0
    for call in calls:
        request = call.request
        if isinstance(request, _LONG):
            return False
        if isinstance(request, Read):
            size += request.length
        elif isinstance(request, Write):
            size += 4 * len(request.data)  # all of it, where a READ may find less
    return size <= _SHORT and len(calls) <= _FEW


async def _uncancelled(work: Coroutine[Any, Any, None]) -> None:
    """Do ``work`` to its end, and only then be cancelled if this task was."""
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
    task.result()
    if cancelled:
        raise asyncio.CancelledError


async def serve_sftp(session: Session, filesystem: Filesystem) -> int:
    """Serve SFTP to a session until its client is done; returns the exit status.

    ::

        async def handle(session):
            if session.subsystem == "sftp":
                return await nacre.serve_sftp(session, nacre.MemoryFilesystem())

    ``filesystem`` is closed at the end.
    """
    try:
        await Service(session.stdin, session.stdout, filesystem).run()
    except RemoteProtocolError as error:
        session.connection.record("sftp", error=str(error))
        return 1
    return 0
