"""The bytes of one file, between a handle on the server and a local descriptor.

Operations wanted: ``run`` one transfer; ``fill`` it when the window has room again.

Goals: the window is always full, and transfers take turns in it; memory per file is bounded; local
files are written in order, so that an interrupted copy has no gap and can be resumed at its size;
no thread uses the descriptor after ``run`` has returned or raised.

Plan: :mod:`~nacre.sftp.protocol.pipeline` chooses the spans to request. Answers call back into the
pump, which reads or writes the file (on the loop while that is quick, else one job in a thread) and
requests more. A future ends ``run`` when nothing is in flight.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from functools import partial

from nacre.errors import NacreError
from nacre.limits import MIB
from nacre.sftp.client.session import HEAD_ROOM, SFTPSession
from nacre.sftp.protocol.client import Result
from nacre.sftp.protocol.pipeline import ReadAhead, Span, WriteBehind, extents
from nacre.wire.codec import Buffer

BLOCK = 1 * MIB
"""Bytes of one write to the disk, and bytes that an upload sends in one turn of the loop."""

_UNWRITTEN = 8 * MIB
"""Bytes received for one file that may wait to be written."""

_ZEROS = bytearray(256 * 1024)
_HOLE = 4096
"""Zero bytes in a row from which on they are left out as a hole."""

Moved = Callable[[int], None]
"""Called with the number of bytes that were transferred."""


class _Pump:
    """What both directions share: the end of the transfer, and the pace."""

    def __init__(self, session: SFTPSession, handle: bytes, moved: Moved) -> None:
        self._session = session
        self._handle = handle
        self._moved = moved
        self._loop = session.loop
        self._ended: asyncio.Future[None] = session.loop.create_future()
        self._failure: BaseException | None = None
        self._stopped = False
        self._job = False
        self._paced: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Transfer everything; a cancelled call first waits for its job in a thread."""
        self._session.pumps.add(self)
        try:
            self.fill()
            await asyncio.shield(self._ended)
        except asyncio.CancelledError:
            self.stop(None)
            while not self._ended.done():
                try:
                    await asyncio.shield(self._ended)
                except asyncio.CancelledError:
                    continue
            raise
        finally:
            self._session.pumps.discard(self)
            if self._paced is not None:
                self._paced.cancel()
        if self._failure is not None:
            raise self._failure.with_traceback(None)

    def fill(self) -> None:
        """Send as many requests as the window allows."""
        raise NotImplementedError

    def stop(self, failure: BaseException | None) -> None:
        """Send no more, and end ``run``, which raises ``failure``, if one is given.

        The session calls this at its end for all pumps that run: one that waits for the window, its
        rate or the disk has nothing in flight whose answer would end it.
        """
        self._failure = self._failure or failure
        self._stopped = True
        self._settle()

    def _settle(self) -> None:
        """End ``run`` when the transfer is complete or stopped, and no job is in a thread."""
        if (self._stopped or self._complete) and not self._job and not self._ended.done():
            self._ended.set_result(None)

    @property
    def _complete(self) -> bool:
        raise NotImplementedError

    def _may_send(self) -> bool:
        """Tell whether to send now; otherwise ``fill`` is called when there is room, or time."""
        if not self._session.room:
            self._session.wait_turn(self)
            return False
        pace = self._session.turns.pace
        if pace is not None and (delay := pace.delay(self._loop.time())) > 0:
            if self._paced is None:
                self._paced = self._loop.call_later(delay, self._resume)
            return False
        return True

    def _resume(self) -> None:
        self._paced = None
        if not self._ended.done():
            self.fill()

    def _spend(self, count: int, now: float) -> None:
        if self._session.turns.pace is not None:
            self._session.turns.pace.spend(count, now)


class DownloadPump(_Pump):
    """From the server to this machine.

    :ivar position: all bytes before it are written.
    """

    def __init__(
        self,
        session: SFTPSession,
        handle: bytes,
        write: Callable[[list[Buffer], int], None],
        start: int,
        end: int | None,
        moved: Moved,
        *,
        quick: bool = False,
    ) -> None:
        """Fetch bytes from ``start`` to ``end``, or to the file's end.

        :param write: called with chunks that follow each other, and the offset of the first.
        :param quick: whether ``write`` is quick as a rule; if not, a thread calls it.
        """
        super().__init__(session, handle, moved)
        self.position = start
        self._reads = ReadAhead(session.window, extents(start, end), request=session.read_size)
        self._write = write
        self._quick = quick
        self._chunks: dict[int, tuple[int, list[memoryview]]] = {}
        self._whole: list[Buffer] = []
        self._whole_end = start
        self._unwritten = 0

    def fill(self) -> None:
        """Send as many READs as the window allows, unless the disk is behind."""
        self._ask(self._loop.time())

    def _ask(self, now: float) -> None:
        reads, session = self._reads, self._session
        while not self._stopped and self._unwritten < _UNWRITTEN:
            if not session.window.fits(session.read_size):
                session.wait_turn(self)
                break
            if not self._may_send() or (span := reads.next(now)) is None:
                break
            self._spend(span.length, now)
            session.read(self._handle, span.offset, span.length, partial(self._accept, span))
        self._settle()

    def _accept(self, span: Span, result: Result) -> None:
        now = self._loop.time()
        if isinstance(result, list) and not self._stopped:
            size = sum(map(len, result))
            if self._reads.received(span, size, now):
                self._take(span.offset, size, result)
        elif result is None and not self._stopped:
            self._reads.ended(span, now)
        else:
            self._reads.lost(span)
            if isinstance(result, NacreError):
                self.stop(result)
            return
        self._write_out()
        waiting = self._session.waiting_pumps
        if waiting and not (waiting[0] is waiting[-1] is self) and not self._complete:
            # Others wait too: the room that this answer leaves is for the first of them.
            self._session.wait_turn(self)
        else:
            self._ask(now)

    def _take(self, offset: int, size: int, parts: list[memoryview]) -> None:
        self._unwritten += size
        if offset != self._whole_end:
            self._chunks[offset] = size, parts
            return
        self._whole_end += size
        self._whole += parts
        while self._chunks and (chunk := self._chunks.pop(self._whole_end, None)) is not None:
            self._whole_end += chunk[0]
            self._whole += chunk[1]

    @property
    def _complete(self) -> bool:
        return not self._whole and self._reads.done

    def _write_out(self) -> None:
        """Write the chunks without a gap, once they fill a block or the file is complete."""
        if self._job or not self._whole:
            return
        if self._unwritten < BLOCK and not self._reads.done:
            return
        chunks, self._whole = self._whole, []
        work = partial(self._write, chunks, self.position)
        disk, end = self._session.disk, self._whole_end
        made = disk.attempt(work) if self._quick else None
        if made is not None:
            self._note_written(end, made[1])
        else:
            self._job = True
            disk.submit(work, partial(self._written, end))

    def _written(self, end: int, result: None, error: BaseException | None) -> None:
        self._job = False
        self._note_written(end, error)
        if self._stopped:
            self._settle()
            return
        self._write_out()
        self.fill()

    def _note_written(self, end: int, error: BaseException | None) -> None:
        if error is not None:
            self.stop(error)
            return
        size = end - self.position
        self.position = end
        self._unwritten -= size
        self._moved(size)


class UploadPump(_Pump):
    """From this machine to the server."""

    def __init__(
        self,
        session: SFTPSession,
        handle: bytes,
        descriptor: int,
        parts: Iterable[tuple[int, int | None]],
        moved: Moved,
        *,
        quick: bool = False,
        all_sent: Callable[[], None] = lambda: None,
    ) -> None:
        """Send ``parts`` of the open file ``descriptor``.

        :param quick: whether reads are quick as a rule; if not, a thread reads.
        :param all_sent: called once, when all WRITEs are sent and none has to be repeated.
        """
        super().__init__(session, handle, moved)
        self._descriptor = descriptor
        self._quick = quick
        self._all_sent: Callable[[], None] | None = all_sent
        self._short = 0
        self._writes = WriteBehind(session.window, parts, request=session.write_size)

    @property
    def end(self) -> int | None:
        """Where the local file ended, if that is before the size it had; else None."""
        return self._writes.end

    @property
    def watermark(self) -> int:
        """The offset up to which the server has written everything."""
        return self._writes.watermark

    @property
    def _complete(self) -> bool:
        return self._writes.done

    def fill(self) -> None:
        """Send what the window and the line take; after a block, let other tasks run first."""
        writes, session = self._writes, self._session
        now, sent = self._loop.time(), 0
        while not self._job and not self._stopped:
            if session.clogged or not session.window.fits(session.write_size):
                session.wait_turn(self)
                break
            if sent >= BLOCK:
                self._loop.call_soon(self.fill)
                break
            if not self._may_send() or (span := writes.next(now)) is None:
                break
            self._spend(span.length, now)
            sent += span.length
            self._read(span)
        self._note_all_sent()
        self._settle()

    def _note_all_sent(self) -> None:
        # The rest of a span that came short is sent when the WRITE of its first part is answered.
        if self._stopped or self._job or self._short or self._session.error is not None:
            return
        if self._all_sent is not None and self._writes.all_asked:
            all_sent, self._all_sent = self._all_sent, None
            all_sent()

    def _read(self, span: Span) -> None:
        """Read a span and send it, now or after a thread has read it."""
        disk, block = self._session.disk, self._session.blocks.take()
        work = partial(_read_span, self._descriptor, span, block)
        made = disk.attempt(work) if self._quick else None
        if made is not None:
            self._send(span, block, *made)
        else:
            self._job = True
            disk.submit(work, partial(self._sent, span, block))

    def _sent(
        self, span: Span, block: bytearray, size: int | None, error: BaseException | None
    ) -> None:
        self._job = False
        self._send(span, block, size, error)
        self.fill()
        # A span that was not sent has no answer, so the room it leaves is announced here.
        self._session.share_window()

    def _send(
        self, span: Span, block: bytearray, size: int | None, error: BaseException | None
    ) -> None:
        writes, session = self._writes, self._session
        if size is None or self._stopped or session.error is not None:
            writes.lost(span)
            self.stop(error or session.error)
        elif size:
            self._short += size < span.length
            accept = partial(self._accept, span, size)
            session.write(self._handle, span.offset, block, size, accept)
        else:
            session.blocks.give(block)
            writes.ended(span, self._loop.time())

    def _accept(self, span: Span, size: int, result: Result) -> None:
        self._short -= size < span.length
        if result is not None:
            self._writes.lost(span)
            assert isinstance(result, NacreError)
            self.stop(result)
            return
        self._writes.written(span, self._loop.time(), size)
        self._moved(size)
        waiting = self._session.waiting_pumps
        if waiting and not (waiting[0] is waiting[-1] is self) and not self._complete:
            self._session.wait_turn(self)
        else:
            self.fill()


def _read_span(descriptor: int, span: Span, block: bytearray) -> int:
    room = memoryview(block)[HEAD_ROOM : HEAD_ROOM + span.length]
    got = 0
    while got < span.length:
        more = os.preadv(descriptor, [room[got:]], span.offset + got)
        if not more:
            break
        got += more
    return got


def write_all(descriptor: int, chunks: list[Buffer], offset: int, *, holes: bool) -> None:
    """Write chunks one after the other.

    :param holes: leave out chunks of zeros; only for a part of the file that is not written yet.
    """
    batch: list[Buffer] = []
    start = offset
    for chunk in chunks:
        size = len(chunk)
        if holes and size >= _HOLE and _is_zero(chunk):
            _write(descriptor, batch, start)
            batch, start = [], offset + size
        else:
            batch.append(chunk)
        offset += size
    _write(descriptor, batch, start)


def _is_zero(chunk: Buffer) -> bool:
    # Comparing bytearrays is one memcmp; comparing memoryviews compares item by item.
    if chunk[0] or chunk[-1]:
        return False
    return all(
        _ZEROS[: len(part)] == part
        for part in (
            memoryview(chunk)[at : at + len(_ZEROS)] for at in range(0, len(chunk), len(_ZEROS))
        )
    )


def _write(descriptor: int, chunks: list[Buffer], offset: int) -> None:
    while chunks:
        written = os.pwritev(descriptor, chunks[:1024], offset)
        offset += written
        while chunks and written >= len(chunks[0]):
            written -= len(chunks[0])
            chunks = chunks[1:]
        if written:
            chunks = [memoryview(chunks[0])[written:], *chunks[1:]]
