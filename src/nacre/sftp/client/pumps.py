"""The bytes of one file, between a handle on the server and a descriptor here.

Local files are written in order: what is on the disk is always whole from the file's start on, so
whatever breaks a transfer off, it can go on at the size.
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
"""Bytes that are written to the disk at once, and that one turn of the loop sends."""

_UNWRITTEN = 8 * MIB
"""Bytes of one file that may wait for the disk."""

_ZEROS = bytearray(256 * 1024)
_HOLE = 4096
"""Zeros at once that are worth a hole."""

Moved = Callable[[int], None]
"""Told of bytes that were transferred."""


class _Pump:
    """What both directions share: the end, and who waits for it."""

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
        """Return when all is done; cancelled or not, no thread is at work afterwards."""
        self._session.watch()
        self.fill()
        try:
            await asyncio.shield(self._ended)
        except asyncio.CancelledError:
            self._stop(None)
            while not self._ended.done():
                try:
                    await asyncio.shield(self._ended)
                except asyncio.CancelledError:
                    continue
            raise
        finally:
            if self._paced is not None:
                self._paced.cancel()
        if self._failure is not None:
            raise self._failure.with_traceback(None)

    def fill(self) -> None:
        """Ask for what the window allows."""
        raise NotImplementedError

    def _stop(self, failure: BaseException | None) -> None:
        self._failure = self._failure or failure
        self._stopped = True
        self._settle()

    def _settle(self) -> None:
        """End when nothing is to come."""
        if (self._stopped or self._complete) and not self._job and not self._ended.done():
            self._ended.set_result(None)

    @property
    def _complete(self) -> bool:
        raise NotImplementedError

    def _may_send(self) -> bool:
        """Tell whether to go on now; a pace that says later calls ``fill`` then."""
        if not self._session.room:
            self._session.wait_turn(self)
            return False
        pace = self._session.pace
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
        if self._session.pace is not None:
            self._session.pace.spend(count, now)


class DownloadPump(_Pump):
    """From the server to here.

    :ivar position: all before it is written.
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

        :param write: called with bytes that follow one another, and their offset.
        :param quick: whether ``write`` is quick as a rule; else a thread calls it.
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
        """Ask for what the window allows, unless the disk is behind."""
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
                self._stop(result)
            return
        self._write_out()
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
        """Write what is whole, when it is enough, or all there is."""
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
            self._stop(error)
            return
        size = end - self.position
        self.position = end
        self._unwritten -= size
        self._moved(size)


class UploadPump(_Pump):
    """From here to the server.

    :ivar end: where the local file ended, when that was before its size.
    """

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

        :param quick: whether it is quick to read as a rule; else a thread reads it.
        :param all_sent: called once, when no WRITE is to follow those that were sent.
        """
        super().__init__(session, handle, moved)
        self._descriptor = descriptor
        self._quick = quick
        self._all_sent: Callable[[], None] | None = all_sent
        self._short = 0
        self._writes = WriteBehind(session.window, parts, request=session.write_size)

    @property
    def end(self) -> int | None:
        """Where the local file turned out to end, or None."""
        return self._writes.end

    @property
    def watermark(self) -> int:
        """All before it is written."""
        return self._writes.watermark

    @property
    def _complete(self) -> bool:
        return self._writes.done

    def fill(self) -> None:
        """Send what the window allows and the line takes, but leave others their turn."""
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
        self._tell_when_all_sent()
        self._settle()

    def _tell_when_all_sent(self) -> None:
        # A span that the file had less for is asked for again when its answer has come.
        if self._stopped or self._job or self._short or self._session.error is not None:
            return
        if self._all_sent is not None and self._writes.all_asked:
            tell, self._all_sent = self._all_sent, None
            tell()

    def _read(self, span: Span) -> None:
        """Read a span and send it: now, or when a thread has read it."""
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
        # What was not sent gets no answer that would tell the others of the room it left.
        self._session.share_window()

    def _send(
        self, span: Span, block: bytearray, size: int | None, error: BaseException | None
    ) -> None:
        writes, session = self._writes, self._session
        if size is None or self._stopped or session.error is not None:
            writes.lost(span)
            self._stop(error or session.error)
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
            self._stop(result)
            return
        self._writes.written(span, self._loop.time(), size)
        self._moved(size)
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
    """Write chunks that follow one another.

    :param holes: leave out what is only zeros: the file is new, so nothing else is there.
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
    # Comparing bytearrays is memcmp; comparing views is a loop over objects.
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
