"""A session's end of the socket to the recorder."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from nacre.daemon.recording import recording as recording_module
from nacre.daemon.recording.frames import LONGEST, FrameKind, FrameReader, frame
from nacre.daemon.recording.recording import Recording
from nacre.errors import StateError


class Recorder:
    """The other end, which reads when it is told to."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._reader = FrameReader(FrameKind)

    async def read(self, count: int) -> list[tuple[FrameKind, bytes]]:
        found: list[tuple[FrameKind, bytes]] = []
        async with asyncio.timeout(20):
            while len(found) < count:
                data = await asyncio.get_running_loop().sock_recv(self.sock, 1 << 20)
                assert data
                found += self._reader.feed(data)
        return found

    def say(self, kind: FrameKind, payload: bytes = b"") -> None:
        self.sock.send(frame(kind, payload))


@dataclass
class Pair:
    recording: Recording
    recorder: Recorder


class Sink:
    def __init__(self) -> None:
        self.data = b""

    async def write(self, data: Any) -> None:
        self.data += bytes(data)


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    ours, theirs = socket.socketpair()
    recording = Recording(ours)
    with theirs:
        yield Pair(recording, Recorder(theirs))
    recording.close()


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_it_begins_when_the_recorder_says_so(pair: Pair) -> None:
    begin = asyncio.create_task(pair.recording.open({"kind": "shell"}))
    assert await pair.recorder.read(1) == [(FrameKind.OPEN, b'{"kind":"shell"}')]
    await turns()
    assert not begin.done()
    pair.recorder.say(FrameKind.STARTED)
    async with asyncio.timeout(20):
        await begin


async def test_output_is_recorded_before_it_is_shown(pair: Pair) -> None:
    sink = Sink()
    await pair.recording.output(sink, FrameKind.ERRORS).write(memoryview(b"text"))
    assert await pair.recorder.read(1) == [(FrameKind.ERRORS, b"text")]
    assert sink.data == b"text"
    pair.recorder.sock.close()
    await turns()
    with pytest.raises(StateError):
        await pair.recording.output(sink).write(b"more")
    assert sink.data == b"text"


async def test_a_recorder_that_does_not_read_is_waited_for(pair: Pair) -> None:
    data = bytes(range(256)) * (4096 * 8)
    writing = asyncio.create_task(pair.recording.write(FrameKind.OUTPUT, data))
    await turns()
    assert not writing.done()
    count = len(data) // LONGEST
    frames = await pair.recorder.read(count)
    assert b"".join(payload for _, payload in frames) == data
    async with asyncio.timeout(20):
        await writing


async def test_events_that_are_not_read_have_a_bound(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording_module, "MOST_UNSENT", 1000)
    lost: list[str] = []
    pair.recording.on_lost = lost.append
    while pair.recording.lost is None:
        pair.recording.note(FrameKind.EVENT, {"path": "x" * 4000})
    assert lost == ["the recorder is too slow"]
    assert pair.recording.lost == "the recorder is too slow"


async def test_the_end_waits_until_all_is_written(pair: Pair) -> None:
    end = asyncio.create_task(pair.recording.end(7))
    assert await pair.recorder.read(1) == [(FrameKind.END, b"7")]
    await turns()
    assert not end.done()
    pair.recorder.say(FrameKind.ENDED)
    async with asyncio.timeout(20):
        await end


async def test_a_recorder_that_fails_tells_why(pair: Pair) -> None:
    end = asyncio.create_task(pair.recording.end(None))
    assert await pair.recorder.read(1) == [(FrameKind.END, b"")]
    pair.recorder.say(FrameKind.FAILED, b"the disk is full\x1b")
    async with asyncio.timeout(20):
        with pytest.raises(StateError, match=r"the disk is full\\x1b"):
            await end


@pytest.mark.parametrize("said", [b"", b"\xff" * 9])
async def test_without_a_recorder_the_work_is_cancelled(pair: Pair, said: bytes) -> None:
    cancelled = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    guarded = asyncio.create_task(pair.recording.guard(work()))
    await turns()
    if said:
        pair.recorder.sock.send(said)
    pair.recorder.sock.close()
    async with asyncio.timeout(20):
        with pytest.raises(StateError, match="the recorder is gone"):
            await guarded
    assert cancelled.is_set()


async def test_work_that_ends_has_its_result(pair: Pair) -> None:
    async def work(value: int) -> int:
        if not value:
            raise ValueError("of the work")
        return value

    assert await pair.recording.guard(work(5)) == 5
    with pytest.raises(ValueError, match="of the work"):
        await pair.recording.guard(work(0))


async def test_work_is_cancelled_with_what_waits_for_it(pair: Pair) -> None:
    working = asyncio.Event()
    ended = asyncio.Event()

    async def work() -> None:
        working.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    guarded = asyncio.create_task(pair.recording.guard(work()))
    async with asyncio.timeout(20):
        await working.wait()
        guarded.cancel()
        with pytest.raises(asyncio.CancelledError):
            await guarded
    assert ended.is_set()


async def test_a_new_size_is_recorded_and_passed_on(pair: Pair) -> None:
    @dataclass
    class Size:
        columns: int
        rows: int

    sizes: list[Size] = []
    pair.recording.resizing(sizes.append)(Size(90, 20))
    assert sizes == [Size(90, 20)]
    assert await pair.recorder.read(1) == [(FrameKind.RESIZE, b"[90,20]")]


async def test_a_session_that_its_client_has_left_has_an_end(pair: Pair) -> None:
    pair.recording.leave()
    (first, _), second = await pair.recorder.read(2)
    assert (first, second) == (FrameKind.EVENT, (FrameKind.END, b""))
    assert pair.recorder.sock.recv(1) == b""
