"""A session that can be watched: its last output is kept, and its terminal can be typed at.

Operations wanted: output to the client, and to those who watch; a right picture for who comes
later; keys of who joins; the session's user is told; an end.
Goals: no cost of a session that nobody watches but a copy of its last output, and no wait for
anybody who watches. Plan: the output passes by here on its way to the client.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

from nacre.daemon.recording.frames import FrameKind
from nacre.daemon.recording.recording import OutputSink, Recording, Sized
from nacre.daemon.watching.frames import WatchFrame, WatchOrder
from nacre.daemon.watching.watcher import Watcher
from nacre.errors import NacreError
from nacre.limits import KIB
from nacre.server.session import Session
from nacre.wire.codec import Buffer

S = TypeVar("S", bound=Sized)

KEPT = 32 * KIB
"""Bytes of the last output that are kept: several screens."""

MOST_WATCHERS = 8
"""Who may watch one session at a time."""

STARTING = 5.0
"""Seconds that who wants to watch waits for a session that was granted and has not begun."""


class Keyboard(Protocol):
    """The terminal of a session, for those who join."""

    def type(self, data: bytes, note: Callable[[bytes, bool], None]) -> Coroutine[Any, Any, None]:
        """Type something; ``note`` gets what was typed, and whether the terminal shows it."""

    def redraw(self) -> None:
        """Have a full-screen program draw its screen again."""

    def close(self) -> None:
        """Keep nothing open, until something is typed again."""


class ShownSession:
    """A command or a shell that runs.

    :param session: the session.
    :param recording: records it, if anything does.
    """

    def __init__(self, session: Session, recording: Recording | None) -> None:
        self._session = session
        self._recording = recording
        self._kept = bytearray()
        self._is_cut = False
        self._was_resized = False
        self._watchers: set[Watcher] = set()
        self._sink: OutputSink | None = None
        self._begun = asyncio.Event()
        self._keyboard: Keyboard | None = None
        self._telling: set[asyncio.Task[None]] = set()

    # --- the session ---

    def output(self, sink: OutputSink, kind: WatchFrame = WatchFrame.OUTPUT) -> ShownOutput:
        """Return what shows output to those who watch, and gives it to ``sink``."""
        return ShownOutput(self, kind, sink)

    def tell_through(self, sink: OutputSink) -> None:
        """Have the session's user told through this stream who watches: its program runs."""
        self._sink = sink
        self._begun.set()

    def take(self, kind: WatchFrame, data: Buffer) -> None:
        """Take output."""
        kept = self._kept
        kept += data[-KEPT:]
        self._is_cut |= len(data) > KEPT
        if len(kept) > 2 * KEPT:
            del kept[:-KEPT]
            self._is_cut = True
        for watcher in self._watchers:
            watcher.put(kind, data)

    def resizing(self, resize: Callable[[S], None]) -> Callable[[S], None]:
        """Return what tells the new size of a terminal and calls ``resize``."""

        def tell(size: S) -> None:
            resize(size)
            self._was_resized = True
            for watcher in self._watchers:
                watcher.resize()

        return tell

    @contextmanager
    def at_terminal(self, keyboard: Keyboard) -> Iterator[None]:
        """Let others type at a terminal meanwhile."""
        self._keyboard = keyboard
        try:
            yield
        finally:
            self._keyboard = None

    def end(self, status: int | None) -> None:
        """Tell those who watch that it has ended; a second call does nothing."""
        self._begun.set()
        watchers, self._watchers = self._watchers, set()
        for watcher in watchers:
            watcher.end(status)
        for task in self._telling:
            task.cancel()

    # --- who watches ---

    @property
    def has_begun(self) -> bool:
        """Whether its program runs, or did."""
        return self._begun.is_set()

    async def begun(self) -> None:
        """Wait until its program runs, or the session has ended without one."""
        await self._begun.wait()

    @property
    def size(self) -> tuple[int, int] | None:
        """The columns and rows of its terminal, if it has one."""
        terminal = self._session.terminal
        return None if terminal is None else (terminal.columns, terminal.rows)

    @property
    def last_output(self) -> bytes:
        """Its last output, from the beginning of a line on."""
        last = bytes(self._kept[-KEPT:])
        if self._is_cut or len(self._kept) > KEPT:
            # Not in the middle of a character or of a control sequence.
            last = last[last.find(b"\n") + 1 :]
        return last

    def refusal(self, order: WatchOrder) -> str | None:
        """Return why somebody can't watch, or None."""
        if len(self._watchers) >= MOST_WATCHERS:
            return f"{MOST_WATCHERS} programs watch the session already"
        if order.joins and self._keyboard is None:
            return "the session has no terminal to type at: nacre watch shows what it prints"
        return None

    def add(self, sock: socket.socket, order: WatchOrder) -> None:
        """Show it to one more from now on, who is not refused."""
        self._watchers.add(
            Watcher(sock, order, self, self._type if order.joins else None, self._on_gone)
        )
        self._note(order, "begins")
        if self._keyboard is not None and (
            self._is_cut or self._was_resized or len(self._kept) > KEPT
        ):
            self._keyboard.redraw()

    def _on_gone(self, watcher: Watcher) -> None:
        self._watchers.discard(watcher)
        if self._keyboard is not None and not any(one.order.joins for one in self._watchers):
            self._keyboard.close()
        self._session.connection.record(
            "watch",
            channel=watcher.order.channel,
            op="ends",
            by=watcher.order.by,
            joins=watcher.order.joins,
        )
        self._note(watcher.order, "ends")

    def _note(self, order: WatchOrder, op: str) -> None:
        """Record that somebody begins or ends, and tell the session's user."""
        if self._recording is not None and self._recording.lost is None:
            event = {"event": "watch", "op": op, "by": order.by, "joins": order.joins}
            self._recording.note(FrameKind.EVENT, event)
        if order.quiet:
            return
        did = {
            (False, "begins"): "watches this session",
            (True, "begins"): "has joined this session, and types too",
            (False, "ends"): "no longer watches this session",
            (True, "ends"): "has left this session",
        }[order.joins, op]
        start, end = ("", "\n") if self._session.terminal is None else ("\r\n", "\r\n")
        text = f"{start}nacre: {time.strftime('%H:%M')}: {order.by} {did}{end}"
        task = asyncio.get_running_loop().create_task(self._tell(text.encode()))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, text: bytes) -> None:
        sink = self._session.stderr if self._sink is None else self._sink
        with suppress(NacreError):  # the client is gone
            await sink.write(text)

    async def _type(self, watcher: Watcher, data: bytes) -> None:
        """Type at the terminal, as the session's user does; who types is recorded."""
        if self._keyboard is not None:
            await self._keyboard.type(data, partial(self._note_typed, watcher.order.by))

    def _note_typed(self, by: str, data: bytes, shown: bool) -> None:
        """Record what somebody has typed; only how much where the terminal does not show it."""
        if self._recording is None or self._recording.lost is not None:
            return
        event: dict[str, object] = {"event": "typed", "by": by, "bytes": len(data)}
        if shown:
            event["text"] = data.decode("utf-8", "replace")
        self._recording.note(FrameKind.EVENT, event)


class ShownOutput:
    """A stream of a session that is shown to those who watch."""

    def __init__(self, shown: ShownSession, kind: WatchFrame, sink: OutputSink) -> None:
        self._shown = shown
        self._kind = kind
        self._sink = sink

    async def write(self, data: Buffer, /) -> None:
        """Show ``data``, and write it."""
        self._shown.take(self._kind, data)
        await self._sink.write(data)


class Watching:
    """The sessions of a process that can be watched."""

    def __init__(self) -> None:
        self._shown: WeakKeyDictionary[Session, ShownSession] = WeakKeyDictionary()
        self._awaited: WeakKeyDictionary[Session, asyncio.Event] = WeakKeyDictionary()
        self._waiting: set[asyncio.Task[None]] = set()

    def of(self, session: Session) -> ShownSession | None:
        """Return what can be watched of a session, if anything."""
        return self._shown.get(session)

    def when_begun(self, session: Session, then: Callable[[ShownSession | None], None]) -> None:
        """Call ``then`` with what can be watched of a session, if anything.

        A session that was granted may not have begun: its recording is opened, its program is
        started. That is waited for, for some seconds.
        """
        shown = self._shown.get(session)
        if (shown is not None and shown.has_begun) or session.subsystem is not None:
            then(shown)
            return
        task = asyncio.get_running_loop().create_task(self._wait(session, then))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _wait(self, session: Session, then: Callable[[ShownSession | None], None]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(STARTING):
                while (shown := self._shown.get(session)) is None:
                    await self._awaited.setdefault(session, asyncio.Event()).wait()
                await shown.begun()
        then(self._shown.get(session))

    @contextmanager
    def showing(self, session: Session, recording: Recording | None) -> Iterator[ShownSession]:
        """Let a session be watched meanwhile."""
        shown = self._shown[session] = ShownSession(session, recording)
        if (awaited := self._awaited.pop(session, None)) is not None:
            awaited.set()
        try:
            yield shown
        finally:
            del self._shown[session]
            shown.end(None)


def tapped(
    sink: OutputSink,
    shown: ShownSession | None,
    recording: Recording | None,
    *,
    errors: bool = False,
) -> OutputSink:
    """Return what has output recorded, then shown to those who watch, and then written."""
    if shown is not None:
        sink = shown.output(sink, WatchFrame.ERRORS if errors else WatchFrame.OUTPUT)
    if recording is not None:
        sink = recording.output(sink, FrameKind.ERRORS if errors else FrameKind.OUTPUT)
    return sink
