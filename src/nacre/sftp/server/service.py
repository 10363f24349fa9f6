"""Serves SFTP on the streams of a session.

Operations wanted: take what the client sent; carry out its calls, those of different files side by
side; send the answers; at the end close all files and report the uploads that broke off.

Goals: neither the loop nor another session waits for a slow storage; a quick call costs no thread;
all that came with one read of the socket is answered with one write; what waits to be sent is
bounded, and so is the time that one turn takes from other connections.

Plan: one turn (:meth:`Service._turn`) takes calls from the input, makes those on the loop that are
quick on a prompt filesystem, puts the others into :class:`~nacre.sftp.server.lanes.Lanes`, starts
those that may run, and sends what :class:`~nacre.sftp.server.answers.Answers` has. A filesystem
that blocks works in a few threads of the session's own, any other one in tasks. What exceeds the
bounds of a turn is done in a later turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from nacre.aio.line import ChannelLine, Line
from nacre.aio.maybe import settled
from nacre.aio.waiting import Gate
from nacre.errors import NacreError, RemoteProtocolError
from nacre.limits import DEFAULT_SFTP_LIMITS, MIB, SFTPLimits
from nacre.sftp.filesystems.base import Filesystem
from nacre.sftp.protocol.chosen import version
from nacre.sftp.protocol.messages import LATEST_VERSION, Close, Read, ReadDir, Write
from nacre.sftp.protocol.server import Call, SFTPServerProtocol
from nacre.sftp.server.agreed import Agreed
from nacre.sftp.server.answers import Answers
from nacre.sftp.server.audit import journal_of
from nacre.sftp.server.calls import outcome_now, outcomes_of
from nacre.sftp.server.journal import Journal, Recorder
from nacre.sftp.server.lanes import Lane, Lanes
from nacre.sftp.server.opened import OpenedDirectory, OpenedFile, carried_out
from nacre.sftp.server.rows import are_quick, fills_buffer, in_a_row, read_row, write_row
from nacre.sftp.server.threads import Threads
from nacre.wire.codec import Buffer

if TYPE_CHECKING:
    from nacre.aio.channel import Channel, Sink

THREADS = 4
"""Threads of one session: calls that are made at once over a filesystem that blocks."""

TASKS = 32
"""Calls of one session that are made at once over a filesystem that does not block."""

UNSENT = 64
"""Answers that wait to be sent at which no more calls are taken."""

TURN = 1 * MIB
"""Bytes sent in one turn of the loop: then other connections have theirs."""

CLOSING = 30.0
"""Seconds that files have to be closed when the session is over; then the storage hangs."""

_logger = logging.getLogger("nacre.server")


class Service:
    """One SFTP session: the sink of what the client sends."""

    def __init__(
        self,
        filesystem: Filesystem,
        *,
        journal: Journal | None = None,
        limits: SFTPLimits = DEFAULT_SFTP_LIMITS,
        peer: str = "",
        highest: int = LATEST_VERSION,
    ) -> None:
        self._agreed = Agreed(filesystem, None if journal is None else journal.before)
        self._server = SFTPServerProtocol(
            limits=limits, peer=peer, highest=highest, agreed=self._agreed.on
        )
        self._loop = asyncio.get_running_loop()
        prompt = filesystem.prompt
        self._threads = Threads(THREADS, prompt=prompt) if filesystem.blocking else None
        self._lanes = Lanes(THREADS if filesystem.blocking else TASKS, filesystem.start)
        self._answers = Answers(self._server, journal, self._on_released)
        self._line: Line | None = None
        self._input: deque[Buffer] = deque()
        self._calls: deque[Call] = deque()
        self._unclosed: list[object] = []
        self._listed: OpenedDirectory | None = None
        self._eof = False
        self._served = False
        self._error: Exception | None = None
        self._scheduled = False
        self._starting = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._sender: asyncio.Task[None] | None = None
        self._ended = False
        self._progress = Gate()

    async def run(self, line: Line) -> None:
        """Serve until the client ends the session.

        :param line: what carries answers to the client.
        :raises RemoteProtocolError: the client broke the protocol.
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
        """Note that the client sends no more: its stream ended, or failed with ``error``."""
        self._eof = True
        self._error = self._error or error
        self._schedule()

    # --- a turn ---

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
            journal = self._answers.journal
            if journal is not None and journal.behind:
                journal.when_kept(self._on_released)
            else:
                self._take_calls()
                self._carry_out()
            self._send()
            if self._eof:
                self._end_if_done()
        except Exception as error:
            self._fail(error)

    def _take_calls(self) -> None:
        server, calls, taken = self._server, self._calls, 0
        while self._answers.unsent < UNSENT and self._lanes.alone is None:
            if not server.hungry and (call := server.next_call()) is not None:
                calls.append(call)
            elif self._input and server.wants_input:
                data = self._input.popleft()
                server.receive(data)
                taken += len(data)
            else:
                break
        if server.refusals:
            refusals = server.take_refusals()
            if self._answers.journal is not None:
                self._answers.journal.refused(refusals)
        if taken:
            self._line.adjust_window(taken)  # type: ignore[union-attr]

    def _carry_out(self) -> None:
        """Make calls on the loop, in order, while none needs a thread; put the rest into lanes."""
        if self._threads is not None and self._do_promptly(self._threads):
            return
        lanes = self._lanes
        while self._calls and lanes.alone is None:
            lanes.put(self._calls.popleft())
        self._start()

    def _do_promptly(self, threads: Threads) -> bool:
        """Make calls on the loop; return False when the next one needs a thread."""
        calls, lanes, answers = self._calls, self._lanes, self._answers
        while not (threads.wary or lanes.running or lanes.ready or lanes.alone) and threads.prompt:
            if not calls or answers.unsent >= UNSENT:
                return True
            first = calls[0]
            if type(first.request) in self._agreed.operations.plain:
                calls.popleft()
                made = threads.attempt(
                    outcome_now, self._agreed.filesystem, first, self._agreed.operations
                )
                outcome, _ = made  # type: ignore[misc]
                answers.give_one(first, *outcome)  # type: ignore[misc]
                continue
            row = list(islice(calls, in_a_row(calls)))
            if not (isinstance(first.request, (Read, Write, ReadDir)) or are_quick(row)):
                return False
            buffer: bytearray | None = None
            if fills_buffer(first) and (buffer := answers.take_buffer(row)) is None:
                return True  # blocks that are lent must be sent first
            made = threads.attempt(carried_out, self._work(row, buffer, wait=False))
            if made is None:
                answers.release(buffer)
                return False
            for _ in row:
                calls.popleft()
            answers.give(row, buffer, *made)
            if isinstance(first.request, ReadDir) and (
                self._listed is None or not self._listed.ahead
            ):
                self._listed = first.files[0]  # type: ignore[assignment]
                self._loop.call_soon(self._read_ahead, threads)
        return False

    def _read_ahead(self, threads: Threads) -> None:
        """Go on with the directory that was listed last, while the client looks at the answer.

        At most one directory of a session is ahead.
        """
        busy = self._ended or self._calls or self._input or self._lanes.running or threads.wary
        if self._listed is not None and not busy:
            threads.attempt(carried_out, self._listed.read_ahead())

    def _work(
        self, row: list[Call], buffer: bytearray | None, *, wait: bool = True
    ) -> Coroutine[Any, Any, Any]:
        """Return what :meth:`Answers.give` gets the result of; ``wait``: see ``File.preadv``."""
        if buffer is not None:
            return read_row(row, memoryview(buffer), wait=wait)
        if isinstance(row[0].request, Write):
            return write_row(row)
        return outcomes_of(self._agreed.filesystem, row, self._agreed.operations)

    # --- work in threads or tasks ---

    def _start(self) -> None:
        """Start the rows of calls that may run now."""
        if self._starting:
            return  # a row was done at once: the call of this method that started it goes on
        self._starting = True
        lanes, waiting = self._lanes, []
        while self._answers.unsent < UNSENT and (lane := lanes.take_ready()) is not None:
            if not self._start_next(lane):
                waiting.append(lane)
        lanes.ready.extendleft(reversed(waiting))
        self._starting = False
        if (alone := lanes.start_alone()) is not None:
            self._run(self._work(alone, None), lanes.paths, alone)

    def _start_next(self, lane: Lane) -> bool:
        """Start the next row of a lane; return whether there was a buffer for it."""
        row = lane.next_row()
        buffer: bytearray | None = None
        if fills_buffer(row[0]) and (buffer := self._answers.take_buffer(row)) is None:
            return False
        self._lanes.start(lane, row)
        self._run(self._work(row, buffer), lane, row, buffer)
        return True

    def _run(
        self,
        work: Coroutine[Any, Any, Any],
        lane: Lane,
        row: list[Call],
        buffer: bytearray | None = None,
    ) -> None:
        done = partial(self._finish, lane, row, buffer, work)
        if self._threads is not None:
            self._threads.submit(partial(carried_out, work), done, quick=are_quick(row))
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
        lane: Lane,
        row: list[Call],
        buffer: bytearray | None,
        work: Coroutine[Any, Any, Any],
        value: Any,
        error: Exception | None,
    ) -> None:
        if error is not None:
            work.close()  # the system had no thread to begin it in
        if self._ended:
            self._drop_waiting()
        self._lanes.finish(lane, row)
        self._answers.give(row, buffer, value, error)
        if self._ended:
            self._progress.wake()
        elif not self._starting:
            self._schedule()

    # --- to the client ---

    def _send(self) -> None:
        if self._sender is not None:
            return
        left = TURN
        answers, line = self._answers, self._line
        assert line is not None
        answers.collect()
        queue = answers.queue
        while queue and left > 0:
            piece = queue[0]
            taken = line.try_write(piece)
            if not taken:
                self._sender = self._loop.create_task(self._send_slowly(line))
                return
            left -= taken
            if taken == len(piece):
                answers.sent()
            else:
                queue[0] = memoryview(piece)[taken:]
        if left < TURN and (
            queue or self._lanes.ready or self._calls or self._input or not self._server.hungry
        ):
            self._schedule()

    async def _send_slowly(self, line: Line) -> None:
        """Send what the line did not take at once."""
        answers = self._answers
        try:
            while answers.queue:
                await line.write(answers.queue[0])
                answers.sent()
                self._schedule()
        except NacreError as error:
            self._fail(error)
        finally:
            self._sender = None
            self._schedule()

    def _on_released(self) -> None:
        if not (self._ended or self._scheduled or self._line is None):
            self._scheduled = True
            self._line.before_write(self._turn)

    # --- the end ---

    def _end_if_done(self) -> None:
        server = self._server
        if not self._input and server.wants_input:
            server.receive_eof()
            self._served = True
        if self._served and not (server.outstanding or self._answers.queue or self._sender):
            self._ended = True
            self._progress.wake()

    def _fail(self, error: Exception) -> None:
        """End the session; only the first error counts."""
        self._error = self._error or error
        self._ended = True
        self._progress.wake()

    async def _close(self) -> None:
        """Wait for calls that are being carried out, close all files, report broken uploads."""
        self._drop_waiting()
        named = (file for call in self._lanes.carried_out for file in call.files)
        for opened in (*self._server.files, *named):
            if isinstance(opened, OpenedFile):
                opened.abandoned = True
        try:
            async with asyncio.timeout(CLOSING):
                while self._lanes.running:
                    await self._progress.wait()
                work = self._close_all()
                if self._threads is None:
                    await work
                else:
                    await self._threads.run(lambda: carried_out(work), last=True)
        except TimeoutError:
            _logger.error("the files of a session can't be closed: the storage hangs")
        finally:
            if self._threads is not None:
                self._threads.close()

    def _drop_waiting(self) -> None:
        """Drop the calls that wait. The handle of a CLOSE is out of the server's table already."""
        for call in (*self._lanes.clear(), *self._calls):
            if isinstance(call.request, Close):
                self._unclosed += call.files
        self._calls.clear()

    async def _close_all(self) -> None:
        for opened in (*self._server.files, *self._unclosed):
            if self._answers.journal is not None and isinstance(opened, OpenedFile):
                self._answers.journal.ended(opened)
            try:
                if isinstance(opened, (OpenedFile, OpenedDirectory)):
                    await opened.end(complete=False)
            except Exception as error:
                if not isinstance(error, OSError):
                    _logger.error("a filesystem failed", exc_info=error)
        await settled(self._agreed.filesystem.close())


async def _uncancelled(work: Coroutine[Any, Any, None]) -> None:
    """Do ``work`` to its end; if this task is cancelled meanwhile, raise CancelledError then."""
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


class SessionLike(Protocol):
    """What SFTP needs of a session; :class:`nacre.Session` is one."""

    @property
    def connection(self) -> Recorder:
        """The connection that the session belongs to."""

    def attach(self, sink: Sink) -> Channel:
        """Give what the client sends to ``sink`` from now on; return the session's channel."""


async def serve_sftp(
    session: SessionLike, filesystem: Filesystem, *, highest: int = LATEST_VERSION
) -> int:
    """Serve SFTP to a session until its client is done; returns the exit status.

    ::

        async def handle(session):
            if session.subsystem == "sftp":
                return await nacre.serve_sftp(session, nacre.MemoryFilesystem())

    ``filesystem`` is closed at the end.

    :param highest: the version of SFTP, 3 to 6, that is spoken with clients that ask for it or a
        later one.
    :raises ValueError: there is no such version.
    """
    version(highest)
    connection = session.connection
    journal = journal_of(connection)
    try:
        # A program's own stand-in for a connection may not know the peer.
        peer = getattr(connection, "peer_version", "")
        service = Service(filesystem, journal=journal, peer=peer, highest=highest)
        await service.run(ChannelLine(session.attach(service)))
    except RemoteProtocolError as error:
        journal.broken(error)
        return 1
    return 0
