"""A session that can be watched: its last output, who may watch, and what its user is told."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nacre.daemon.recording.frames import FrameKind, FrameReader, frame
from nacre.daemon.recording.recording import Recording
from nacre.daemon.watching import shown as shown_module
from nacre.daemon.watching.frames import WatchFrame, WatchOrder
from nacre.daemon.watching.shown import KEPT, MOST_WATCHERS, ShownSession, Watching, tapped
from nacre.server.session import Session, Terminal

ORDER = WatchOrder(id="1.1", channel=0, by="root")
TERMINAL = Terminal("xterm", 80, 24, 0, 0, b"")


class Known(SimpleNamespace):
    """A stand-in for a session, that a dictionary takes."""

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)


class Printed:
    """A stream to the client."""

    def __init__(self) -> None:
        self.data = b""
        self.changed = asyncio.Event()

    async def write(self, data: Any, /) -> None:
        self.data += bytes(data)
        self.changed.set()


class Keys:
    """A terminal's keyboard."""

    def __init__(self) -> None:
        self.typed = b""
        self.redrawn = self.closed = 0

    async def type(self, data: bytes, note: Callable[[bytes, bool], None]) -> None:
        self.typed += data
        note(data, data != b"secret")

    def redraw(self) -> None:
        self.redrawn += 1

    def close(self) -> None:
        self.closed += 1


class Recorder:
    """A recording; it notes events."""

    lost = None

    def __init__(self) -> None:
        self.noted: list[object] = []

    def note(self, kind: FrameKind, value: object) -> None:
        assert kind is FrameKind.EVENT
        self.noted.append(value)

    def output(self, sink: object, kind: FrameKind) -> object:
        return (kind, sink)


class Place:
    """A session that runs, and those who watch it."""

    def __init__(self, terminal: Terminal | None, stack: ExitStack) -> None:
        self.records: list[dict[str, object]] = []
        self.stderr = Printed()

        def record(event: str, **fields: object) -> None:
            self.records.append({"event": event, **fields})

        self.session = SimpleNamespace(
            terminal=terminal, stderr=self.stderr, connection=SimpleNamespace(record=record)
        )
        self.recorder = Recorder()
        self.keys = Keys()
        self.shown = ShownSession(cast(Session, self.session), cast(Recording, self.recorder))
        self._stack = stack
        if terminal is not None:
            stack.enter_context(self.shown.at_terminal(self.keys))

    def add(self, order: WatchOrder = ORDER) -> socket.socket:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        self._stack.enter_context(theirs)
        self.shown.add(ours, order)
        return theirs


@pytest.fixture
async def stack() -> AsyncIterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


async def frames(sock: socket.socket, kind: WatchFrame) -> list[tuple[WatchFrame, bytes]]:
    reader = FrameReader(WatchFrame)
    found: list[tuple[WatchFrame, bytes]] = []
    async with asyncio.timeout(20):
        while not any(one is kind for one, _ in found):
            data = await asyncio.get_running_loop().sock_recv(sock, 65536)
            assert data
            found += reader.feed(data)
    return found


def screen(shown: ShownSession, *pieces: bytes) -> bytes:
    for piece in pieces:
        shown.take(WatchFrame.OUTPUT, memoryview(piece))
    return shown.last_output


async def test_little_output_is_kept_whole(stack: ExitStack) -> None:
    place = Place(TERMINAL, stack)
    assert screen(place.shown, b"no line, ", b"and no end") == b"no line, and no end"
    place.add()
    assert place.keys.redrawn == 0


@pytest.mark.parametrize("size", [1, 100, KEPT, 2 * KEPT, 3 * KEPT])
async def test_of_much_output_the_last_lines_are_kept(size: int, stack: ExitStack) -> None:
    place = Place(TERMINAL, stack)
    text = b"".join(b"line %d\n" % number for number in range(20_000))
    last = screen(place.shown, *(text[at : at + size] for at in range(0, len(text), size)))
    assert text.endswith(last)
    assert KEPT - 20 < len(last) <= KEPT
    assert last.startswith(b"line ")
    assert len(place.shown._kept) <= 3 * KEPT
    place.add()
    assert place.keys.redrawn == 1


async def test_a_picture_of_another_size_is_drawn_again(stack: ExitStack) -> None:
    place = Place(TERMINAL, stack)
    sizes: list[Terminal] = []
    one = place.add()
    resize = place.shown.resizing(sizes.append)
    place.session.terminal = Terminal("xterm", 100, 30, 0, 0, b"")
    resize(place.session.terminal)
    assert sizes == [place.session.terminal]
    found = await frames(one, WatchFrame.SCREEN)
    assert (WatchFrame.SIZE, b"[80,24]") in found
    assert (WatchFrame.SIZE, b"[100,30]") in found
    place.add()
    assert place.keys.redrawn == 1


async def test_so_many_may_watch(stack: ExitStack) -> None:
    place = Place(TERMINAL, stack)
    for _ in range(MOST_WATCHERS):
        assert place.shown.refusal(ORDER) is None
        last = place.add()
    assert "watch the session already" in str(place.shown.refusal(ORDER))
    last.close()
    async with asyncio.timeout(20):
        while place.shown.refusal(ORDER) is not None:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0)
    assert place.records == [
        {"event": "watch", "channel": 0, "op": "ends", "by": "root", "joins": False}
    ]


async def test_what_has_no_terminal_can_not_be_joined(stack: ExitStack) -> None:
    place = Place(None, stack)
    order = WatchOrder(id="1.1", channel=0, joins=True)
    assert "no terminal to type at" in str(place.shown.refusal(order))
    assert place.shown.refusal(ORDER) is None


async def told(printed: Printed, text: bytes) -> None:
    async with asyncio.timeout(20):
        while text not in printed.data:
            printed.changed.clear()
            await printed.changed.wait()


async def test_the_user_is_told_at_the_terminal_and_elsewhere_by_standard_error(
    stack: ExitStack,
) -> None:
    place, plain, client = Place(TERMINAL, stack), Place(None, stack), Printed()
    place.shown.tell_through(tapped(client, place.shown, None))
    watcher = place.add(WatchOrder(id="1.1", channel=0, joins=True, by="root"))
    await told(client, b"root has joined this session, and types too\r\n")
    assert re.match(rb"\r\nnacre: \d\d:\d\d: root", client.data)
    # Others see it, too.
    await frames(watcher, WatchFrame.OUTPUT)
    watcher.close()
    await told(client, b"root has left this session\r\n")
    assert place.keys.closed == 1
    plain.add()
    await told(plain.stderr, b"root watches this session\n")
    assert b"\r" not in plain.stderr.data


async def test_who_is_quiet_is_logged_and_recorded_alone(stack: ExitStack) -> None:
    place, client = Place(TERMINAL, stack), Printed()
    place.shown.tell_through(client)
    place.add(WatchOrder(id="1.1", channel=0, by="root", quiet=True)).close()
    async with asyncio.timeout(20):
        while not place.records:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert client.data == b""
    begins = {"event": "watch", "op": "begins", "by": "root", "joins": False}
    assert place.recorder.noted == [begins, {**begins, "op": "ends"}]


async def test_what_others_type_is_recorded_with_their_name_and_no_secret(
    stack: ExitStack,
) -> None:
    place = Place(TERMINAL, stack)
    watcher = place.add(WatchOrder(id="1.1", channel=0, joins=True, by="root"))
    for typed in (b"ls\r", b"secret"):
        watcher.send(frame(WatchFrame.TYPED, typed))
    async with asyncio.timeout(20):
        while place.keys.typed != b"ls\rsecret":  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0)
    assert place.recorder.noted[1:] == [
        {"event": "typed", "by": "root", "bytes": 3, "text": "ls\r"},
        {"event": "typed", "by": "root", "bytes": 6},
    ]


async def test_output_is_recorded_first_and_shown_before_the_client_gets_it(
    stack: ExitStack,
) -> None:
    place, client = Place(TERMINAL, stack), Printed()
    found = tapped(client, place.shown, cast(Recording, place.recorder), errors=True)
    kind, sink = cast(Any, found)
    assert kind is FrameKind.ERRORS
    watcher = place.add()
    await sink.write(b"wrong")
    assert client.data == b"wrong"
    assert (WatchFrame.ERRORS, b"wrong") in await frames(watcher, WatchFrame.ERRORS)
    assert tapped(client, None, None) is client


async def test_a_session_can_be_watched_while_it_runs(stack: ExitStack) -> None:
    place, watching = Place(TERMINAL, stack), Watching()
    session = cast(Session, Known(**vars(place.session)))
    with watching.showing(session, None) as shown:
        assert watching.of(session) is shown
        ours, theirs = socket.socketpair()
        stack.enter_context(theirs)
        theirs.setblocking(False)
        shown.add(ours, ORDER)
    assert watching.of(session) is None
    assert (WatchFrame.END, b"") in await frames(theirs, WatchFrame.END)


async def test_who_comes_before_the_program_runs_waits_for_it(stack: ExitStack) -> None:
    watching = Watching()
    session = cast(Session, Known(**vars(Place(TERMINAL, stack).session), subsystem=None))
    found: asyncio.Queue[ShownSession | None] = asyncio.Queue()
    watching.when_begun(session, found.put_nowait)
    await asyncio.sleep(0)
    with watching.showing(session, None) as shown, shown.at_terminal(Keys()):
        await asyncio.sleep(0)
        assert found.empty()
        shown.tell_through(Printed())
        async with asyncio.timeout(30):
            assert await found.get() is shown
        watching.when_begun(session, found.put_nowait)
        assert found.get_nowait() is shown


async def test_who_waits_for_a_session_that_ends_without_a_program_is_told(
    stack: ExitStack,
) -> None:
    watching = Watching()
    session = cast(Session, Known(**vars(Place(TERMINAL, stack).session), subsystem=None))
    found: asyncio.Queue[ShownSession | None] = asyncio.Queue()
    with watching.showing(session, None):
        watching.when_begun(session, found.put_nowait)
        await asyncio.sleep(0)
    async with asyncio.timeout(30):
        assert await found.get() is None


async def test_what_is_never_shown_is_not_waited_for_longer_than_some_seconds(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shown_module, "STARTING", 0.01)
    watching = Watching()
    session = cast(Session, Known(**vars(Place(TERMINAL, stack).session), subsystem=None))
    found: asyncio.Queue[ShownSession | None] = asyncio.Queue()
    watching.when_begun(session, found.put_nowait)
    async with asyncio.timeout(30):
        assert await found.get() is None
    sftp = cast(Session, Known(subsystem="sftp"))
    watching.when_begun(sftp, found.put_nowait)
    assert found.get_nowait() is None
