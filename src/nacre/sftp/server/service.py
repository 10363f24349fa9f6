"""Serves SFTP on the streams of a session.

Calls wait in lanes: one for each open file, and one for all that names paths. The calls of a lane
are carried out in order, those of different lanes side by side. What names the path of a file that
is at work goes to that file's lane: nobody sees a file as it was before a write that came first.
A filesystem that blocks works in a few threads of the session's own, so neither the loop nor
another session waits for it. One that is prompt is asked on the loop itself, as long as it is.

All that came in with one read of the socket is taken, carried out and answered with one write, as
far as the bounds of a turn allow: what is beyond them has its turn of the loop later.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from nacre.aio.line import ChannelLine, Line
from nacre.aio.waiting import Gate
from nacre.errors import NacreError, RemoteProtocolError
from nacre.limits import DEFAULT_SFTP_LIMITS, KIB, MIB, SFTPLimits
from nacre.sftp.filesystems.base import Filesystem
from nacre.sftp.protocol.extensions import (
    CheckFile,
    CheckFileHandle,
    CheckFileName,
    CopyData,
    FSync,
)
from nacre.sftp.protocol.messages import Read, ReadDir, Write
from nacre.sftp.protocol.paths import normalise
from nacre.sftp.protocol.server import DATA_ROOM, Call, SFTPServerProtocol
from nacre.sftp.server.calls import (
    PLAIN,
    OpenedDirectory,
    OpenedFile,
    answer,
    answer_row,
    carried_out,
    in_a_row,
    internal,
    numbered,
    outcome_now,
    outcome_of,
    read_row,
    settled,
    write_row,
)
from nacre.sftp.server.threads import Threads
from nacre.wire.blocks import SHARED_BLOCKS, Block
from nacre.wire.codec import Buffer

if TYPE_CHECKING:
    from nacre.aio.channel import Channel, Sink

THREADS = 4
"""Threads of one session: as many calls of it go on at once over a filesystem that blocks."""

TASKS = 32
"""Calls of one session that go on at once over a filesystem that does not."""

BUFFERS = 3
"""Blocks of READs that are filled or wait to be sent: one is read while another is sealed."""

UNSENT = 64
"""Answers that wait to be sent at which no more calls are taken."""

TOGETHER = 16
"""Calls of a lane that are carried out in one go."""

TURN = 1 * MIB
"""Bytes that are sent before others have their turn of the loop."""

CLOSING = 30.0
"""Seconds that files have to be closed when the session is over; then the storage hangs."""

_SMALL = 16 * KIB
_MODEST = 64 * KIB
_SHORT = 256 * KIB
_FEW = 16
_LONG = (ReadDir, FSync, CopyData, CheckFile, CheckFileHandle, CheckFileName)
_logger = logging.getLogger("nacre.server")


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
    """One SFTP session: the sink of what the client sends."""

    def __init__(self, filesystem: Filesystem, *, limits: SFTPLimits = DEFAULT_SFTP_LIMITS) -> None:
        self._filesystem = filesystem
        self._server = SFTPServerProtocol(limits=limits)
        self._loop = asyncio.get_running_loop()
        prompt = filesystem.prompt
        self._threads = Threads(THREADS, prompt=prompt) if filesystem.blocking else None
        self._most = THREADS if filesystem.blocking else TASKS
        self._line: Line | None = None
        self._input: deque[Buffer] = deque()
        self._calls: deque[Call] = deque()
        self._eof = False
        self._served = False
        self._error: Exception | None = None
        self._scheduled = False
        self._paths = _Lane()
        self._lanes: dict[int, _Lane] = {}
        self._ready: deque[_Lane] = deque()
        self._running = 0
        self._starting = False
        self._alone: Call | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._lent = 0
        self._queue: deque[Buffer] = deque()
        self._unsent = 0
        self._sender: asyncio.Task[None] | None = None
        self._ended = False
        self._progress = Gate()

    async def run(self, line: Line) -> None:
        """Serve until the client ends the session.

        :param line: what carries answers to it.
        :raises RemoteProtocolError: it broke the protocol.
        :raises NacreError: the connection ended.
        """
        self._line = line
        self._schedule()
        try:
            while not self._ended:
                await self._progress.wait()
        finally:
            self._ended = True
            if self._sender is not None:
                self._sender.cancel()
            await _uncancelled(self._close())
        if self._error is not None:
            raise self._error

    # --- from the client ---

    def feed(self, data: Buffer) -> None:
        """Take what the client sent."""
        if not self._ended:
            self._input.append(data)
            if not self._scheduled and self._line is not None:
                self._scheduled = True
                self._line.before_write(self._turn, at_once=True)

    def end(self, error: NacreError | None = None) -> None:
        """No more will come."""
        self._eof = True
        self._error = self._error or error
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Do what can be done now, within bounds: other connections wait meanwhile."""
        self._scheduled = False
        if self._ended or self._line is None:
            return
        try:
            self._take_calls()
            self._carry_out()
            self._send()
            if self._eof:
                self._end_if_done()
        except Exception as error:
            self._fail(error)

    def _take_calls(self) -> None:
        server, calls, taken = self._server, self._calls, 0
        while self._unsent < UNSENT and self._alone is None:
            if not server.hungry and (call := server.next_call()) is not None:
                calls.append(call)
            elif self._input and server.wants_input:
                data = self._input.popleft()
                server.receive(data)
                taken += len(data)
            else:
                break
        if taken:
            self._line.adjust_window(taken)  # type: ignore[union-attr]

    def _carry_out(self) -> None:
        """Carry out calls here in their order while none has to wait, and the rest in lanes."""
        threads = self._threads
        if threads is not None and self._do_promptly(threads):
            return
        while self._calls and self._alone is None:
            self._put_into_lane(self._calls.popleft())
        self._start()

    def _put_into_lane(self, call: Call) -> None:
        lane = self._lane(call)
        if lane is None:
            self._alone = call
            return
        lane.calls.append(call)
        if not lane.busy:
            lane.busy = True
            self._ready.append(lane)

    def _do_promptly(self, threads: Threads) -> bool:
        """Carry out calls on the loop; return False when one must have a thread."""
        calls = self._calls
        while threads.prompt and not (self._running or self._ready or self._alone):
            if not calls or self._unsent >= UNSENT:
                return True
            first = calls[0]
            if type(first.request) in PLAIN:
                calls.popleft()
                value, problem = threads.now(outcome_now, self._filesystem, first)
                self._unsent += 1
                self._answer_one(first, value, problem)
                continue
            row = list(islice(calls, in_a_row(calls)))
            if not (isinstance(first.request, (Read, Write, ReadDir)) or _is_short(row)):
                return False
            buffer: bytearray | None = None
            work: Coroutine[Any, Any, Any]
            if isinstance(first.request, Read) and first.files[0].file.vectors:  # type: ignore[attr-defined]
                if (buffer := self._take_buffer(row)) is None:
                    return True  # some of those that are lent are sent first
                work = read_row(row, memoryview(buffer), wait=False)
            elif isinstance(first.request, Write):
                work = write_row(row)
            else:
                work = self._one_by_one(row)
            value, failed = None, None
            try:
                value = threads.now(carried_out, work)
            except BlockingIOError:
                if buffer is not None:
                    self._release(buffer)
                return False
            except Exception as error:
                failed = error
            for _ in row:
                calls.popleft()
            self._unsent += len(row)
            self._answer(row, buffer, value, failed)
        return False

    def _end_if_done(self) -> None:
        server = self._server
        if not self._input and server.wants_input:
            server.receive_eof()
            self._served = True
        if self._served and not (server.outstanding or self._queue or self._sender):
            self._ended = True
            self._progress.wake()

    def _fail(self, error: Exception) -> None:
        """End the session; only the first error counts."""
        self._error = self._error or error
        self._ended = True
        self._progress.wake()

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
        while self._ready and self._running < self._most and self._unsent < UNSENT:
            lane = self._ready.popleft()
            if not self._start_next(lane):
                waiting.append(lane)
        self._ready.extendleft(reversed(waiting))
        self._starting = False
        if self._alone is not None and not self._running and not self._ready:
            self._running += 1
            alone = [self._alone]
            self._run(self._one_by_one(alone), self._paths, alone)

    def _start_next(self, lane: _Lane) -> bool:
        """Start the next calls of a lane; return whether there was a buffer for them."""
        calls = lane.calls
        row = in_a_row(calls)
        first = calls[0]
        buffer: bytearray | None = None
        if isinstance(first.request, Read) and first.files[0].file.vectors:  # type: ignore[attr-defined]
            buffer = self._take_buffer(list(islice(calls, row)))
            if buffer is None:
                return False
        elif not isinstance(first.request, (Write, ReadDir)):
            row = self._others(lane)
        taken = [calls.popleft() for _ in range(row)]
        self._running += 1
        if buffer is not None:
            self._run(read_row(taken, memoryview(buffer)), lane, taken, buffer)
        elif isinstance(first.request, Write):
            self._run(write_row(taken), lane, taken)
        else:
            self._run(self._one_by_one(taken), lane, taken)
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
        self,
        work: Coroutine[Any, Any, Any],
        lane: _Lane,
        calls: list[Call],
        buffer: bytearray | None = None,
    ) -> None:
        done = partial(self._finish, lane, calls, buffer)
        if self._threads is not None:
            self._threads.start(partial(carried_out, work), done, short=_is_short(calls))
            return

        async def run() -> None:
            value, failed = None, None
            try:
                value = await work
            except Exception as error:
                failed = error
            done(value, failed)

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
        if self._ended:
            self._progress.wake()
        elif not self._starting:
            self._schedule()

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
            self._answer_one(call, result, problem)

    def _answer_one(self, call: Call, value: Any, problem: OSError | None) -> None:
        if problem is not None and isinstance(problem.__cause__, Exception):
            _logger.error("a filesystem failed", exc_info=problem.__cause__)
        answer(self._server, call, value, problem)

    # --- buffers for what is read ---

    def _take_buffer(self, row: Sequence[Call]) -> bytearray | None:
        """Return memory for the answers to READs; None when too much of it waits to be sent."""
        size = sum([DATA_ROOM + call.request.length for call in row])  # type: ignore[attr-defined]
        if size <= _MODEST:
            return bytearray(size)
        if self._lent == BUFFERS:
            return None
        self._lent += 1
        return SHARED_BLOCKS.take()

    def _release(self, buffer: bytearray) -> None:
        """Give a block back to the pool; other memory needs no care."""
        if type(buffer) is Block:
            self._lent -= 1
            SHARED_BLOCKS.give(buffer)

    def _forget(self, piece: memoryview) -> None:
        """Give back the block of a piece that was sent or copied, if it was one."""
        if type(block := piece.obj) is Block:
            piece.release()
            self._release(block)

    # --- to the client ---

    def _send(self) -> None:
        if self._sender is not None:
            return
        left = TURN
        queue, line = self._queue, self._line
        assert line is not None
        self._take_output()
        while queue and left > 0:
            piece = queue[0]
            taken = line.try_write(piece)
            if not taken:
                self._sender = self._loop.create_task(self._send_slowly(line))
                return
            left -= taken
            if taken == len(piece):
                self._sent()
            else:
                queue[0] = memoryview(piece)[taken:]
        if left < TURN and (
            queue or self._ready or self._calls or self._input or not self._server.hungry
        ):
            self._schedule()

    async def _send_slowly(self, line: Line) -> None:
        """Send what did not go at once."""
        try:
            while self._queue:
                await line.write(self._queue[0])
                self._sent()
                self._schedule()
        except NacreError as error:
            self._fail(error)
        finally:
            self._sender = None
            self._schedule()

    def _sent(self) -> None:
        """The first piece of the queue is on its way: its memory can be used again."""
        piece = self._queue.popleft()
        if type(piece) is memoryview:
            self._forget(piece)
        if not self._queue:
            self._unsent = 0

    def _take_output(self) -> None:
        """Put answers into the queue, small ones joined."""
        pieces = self._server.data_to_send()
        if len(pieces) == 1 and type(pieces[0]) is bytes:
            self._queue.append(pieces[0])
            return
        small = bytearray()
        for piece in pieces:
            if len(piece) < _SMALL:
                small += piece
                if type(piece) is memoryview:
                    self._forget(piece)
                continue
            if small:
                self._queue.append(small)
                small = bytearray()
            self._queue.append(piece)
        if small:
            self._queue.append(small)

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


class Recorder(Protocol):
    """Where a session's events are recorded."""

    def record(self, event: str, **fields: object) -> None:
        """Log what happened."""


class Served(Protocol):
    """A session that SFTP is served to."""

    @property
    def connection(self) -> Recorder:
        """The connection it belongs to."""

    def attach(self, sink: Sink) -> Channel:
        """Give ``sink`` what the client sends."""


async def serve_sftp(session: Served, filesystem: Filesystem) -> int:
    """Serve SFTP to a session until its client is done; returns the exit status.

    ::

        async def handle(session):
            if session.subsystem == "sftp":
                return await nacre.serve_sftp(session, nacre.MemoryFilesystem())

    ``filesystem`` is closed at the end.
    """
    try:
        service = Service(filesystem)
        await service.run(ChannelLine(session.attach(service)))
    except RemoteProtocolError as error:
        session.connection.record("sftp", error=str(error))
        return 1
    return 0
