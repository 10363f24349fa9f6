"""One recording, at the session's end of the socket to the recorder.

What the session prints is with the recorder before the client gets it, and waits for a recorder
that is slow. When the recorder is gone, or can't write, everything here raises: the session ends.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from nacre.aio.waiting import Gate
from nacre.daemon.recording.frames import (
    LONGEST,
    FrameKind,
    FrameReader,
    frame,
    packed_json,
)
from nacre.errors import MalformedMessage, StateError
from nacre.limits import KIB, MIB
from nacre.wire.codec import Buffer
from nacre.wire.text import safe

T = TypeVar("T")

MOST_UNSENT = 4 * MIB
"""Bytes of events that may wait for a recorder which does not read: the session ends then."""

_READ = 4 * KIB
_GONE = "the recorder is gone"


class OutputSink(Protocol):
    """What takes the output of a session."""

    async def write(self, data: Buffer, /) -> None:
        """Take all of ``data``."""


class Sized(Protocol):
    """A terminal's size."""

    @property
    def columns(self) -> int:
        """Its width."""

    @property
    def rows(self) -> int:
        """Its height."""


S = TypeVar("S", bound=Sized)


class Recording:
    """A recording that goes on.

    :param sock: the socket to the recorder.
    :ivar takes_input: whether what the client sends is recorded, too.
    :ivar on_lost: called once with the reason when nothing is recorded any more.
    """

    def __init__(self, sock: socket.socket, *, takes_input: bool = False) -> None:
        sock.setblocking(False)
        self.takes_input = takes_input
        self.on_lost: Callable[[str], None] | None = None
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._frames = FrameReader(FrameKind)
        self._unsent = bytearray()
        self._changed = Gate()
        self._lost: str | None = None
        self._answers: set[FrameKind] = set()
        self._guarded: asyncio.Task[Any] | None = None
        self._loop.add_reader(sock, self._on_readable)

    @property
    def lost(self) -> str | None:
        """Why nothing is recorded any more, or None."""
        return self._lost

    async def open(self, about: Mapping[str, object]) -> None:
        """Begin; return when the file is there.

        :raises StateError: it can't be made, or the recorder is gone.
        """
        self._put(FrameKind.OPEN, packed_json(about))
        await self._answered(FrameKind.STARTED)

    async def write(self, kind: FrameKind, data: Buffer) -> None:
        """Record bytes; return when the recorder's socket has taken them.

        :raises StateError: nothing is recorded any more.
        """
        view = memoryview(data)
        for start in range(0, len(view), LONGEST):
            self._put(kind, bytes(view[start : start + LONGEST]))
            while self._unsent and self._lost is None:
                await self._changed.wait()
        self._check()

    def note(self, kind: FrameKind, value: object) -> None:
        """Record an event, whose JSON must be short.

        Nothing waits for it: if too many are not read, the recording ends.
        """
        data = packed_json(value)
        if len(data) > LONGEST or len(self._unsent) > MOST_UNSENT:
            self._lose("the recorder is too slow")
        else:
            self._put(kind, data)

    async def end(self, status: int | None) -> None:
        """End the recording; return when the file is whole.

        :raises StateError: it is not.
        """
        self._put(FrameKind.END, b"" if status is None else str(status).encode())
        await self._answered(FrameKind.ENDED)

    def leave(self) -> None:
        """End the recording of a session that its client has closed, without waiting."""
        with suppress(StateError):
            self.note(FrameKind.EVENT, {"event": "ended", "reason": "the client has closed it"})
            self._put(FrameKind.END, b"")
        self.close()

    def close(self) -> None:
        """Close the socket. Without :meth:`end`, the recorder notes that the session broke off."""
        self.on_lost = None
        self._lose("it was closed")

    async def guard(self, work: Coroutine[Any, Any, T]) -> T:
        """Carry out work, and cancel it when nothing is recorded any more.

        :raises StateError: that is so.
        """
        task = self._loop.create_task(work)
        self._guarded = task
        if self._lost is not None:
            task.cancel()
        try:
            await asyncio.wait({task})
        finally:
            self._guarded = None
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
        if self._lost is not None and not task.cancelled():
            task.exception()  # what it failed with is because of that
        self._check()
        return task.result()

    # --- what a session calls ---

    def output(self, sink: OutputSink, kind: FrameKind = FrameKind.OUTPUT) -> RecordedOutput:
        """Return what records output before ``sink`` gets it."""
        return RecordedOutput(self, kind, sink)

    async def input(self, data: bytes) -> None:
        """Record what the client has sent, and a process has taken."""
        await self.write(FrameKind.INPUT, data)

    def resizing(self, resize: Callable[[S], None]) -> Callable[[S], None]:
        """Return what records the new size of a terminal and calls ``resize``."""

        def record(size: S) -> None:
            self.note(FrameKind.RESIZE, [size.columns, size.rows])
            resize(size)

        return record

    # --- the socket ---

    def _check(self) -> None:
        if self._lost is not None:
            raise StateError(self._lost)

    def _put(self, kind: FrameKind, payload: bytes) -> None:
        self._check()
        waits = bool(self._unsent)
        self._unsent += frame(kind, payload)
        if not waits:
            self._send()
            if self._unsent and self._lost is None:
                self._loop.add_writer(self._sock, self._on_writable)

    def _send(self) -> None:
        try:
            sent = self._sock.send(self._unsent)
        except BlockingIOError:
            return
        except OSError:
            self._on_readable()  # perhaps it has said why
            self._lose(_GONE)
            return
        del self._unsent[:sent]

    def _on_writable(self) -> None:
        self._send()
        if not self._unsent and self._lost is None:
            self._loop.remove_writer(self._sock)
            self._changed.wake()

    async def _answered(self, kind: FrameKind) -> None:
        while kind not in self._answers:
            self._check()
            await self._changed.wait()

    def _on_readable(self) -> None:
        if self._lost is not None:
            return
        try:
            data = self._sock.recv(_READ)
            found = self._frames.feed(data)
        except BlockingIOError:
            return
        except (OSError, MalformedMessage):
            data, found = b"", []
        for kind, payload in found:
            if kind is FrameKind.FAILED:
                self._lose(safe(payload))
                return
            self._answers.add(kind)
        if not data:
            self._lose(_GONE)
        self._changed.wake()

    def _lose(self, reason: str) -> None:
        if self._lost is not None:
            return
        self._lost = reason
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        self._unsent.clear()
        self._changed.wake()
        if self._guarded is not None:
            self._guarded.cancel()
        if self.on_lost is not None:
            with suppress(Exception):
                self.on_lost(reason)


class RecordedOutput:
    """A stream of a session whose bytes are recorded first."""

    def __init__(self, recording: Recording, kind: FrameKind, sink: OutputSink) -> None:
        self._recording = recording
        self._kind = kind
        self._sink = sink

    async def write(self, data: Buffer, /) -> None:
        """Record ``data``, and write it."""
        await self._recording.write(self._kind, data)
        await self._sink.write(data)
