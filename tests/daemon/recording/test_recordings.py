"""What a server records of sessions and of connections."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress
from typing import Any, ClassVar

import pytest

from nacre.daemon.recording.frames import FrameKind, FrameReader, frame
from nacre.daemon.recording.recordings import INPUT, MOST_COMMAND, EventLog, Recordings
from nacre.errors import StateError
from nacre.server import peer
from nacre.server.peer import Client
from nacre.server.session import Terminal


class FakeRecorder:
    """Answers each frame that has an answer, and keeps what it was told."""

    ANSWERS: ClassVar = {FrameKind.OPEN: FrameKind.STARTED, FrameKind.END: FrameKind.ENDED}

    def __init__(self) -> None:
        self.frames: list[tuple[FrameKind, bytes]] = []
        self.refuses = False
        self.opened = 0
        self.socks: list[socket.socket] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def open(self, _client: Client) -> socket.socket:
        self.opened += 1
        if self.refuses:
            raise StateError("there is none")
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        self.socks.append(theirs)
        self.tasks.append(asyncio.create_task(self._serve(theirs)))
        return ours

    async def _serve(self, sock: socket.socket) -> None:
        reader, loop = FrameReader(FrameKind), asyncio.get_running_loop()
        while data := await loop.sock_recv(sock, 65536):
            for kind, payload in reader.feed(data):
                self.frames.append((kind, payload))
                if kind in self.ANSWERS:
                    with suppress(BrokenPipeError):
                        await loop.sock_sendall(sock, frame(self.ANSWERS[kind]))
        sock.close()

    async def ended(self) -> None:
        async with asyncio.timeout(20):
            await asyncio.gather(*self.tasks)


class Connection(peer.ServerConnection):
    """A connection without a client."""

    __slots__ = ("failures", "logged", "spawned")

    def __init__(self) -> None:
        self.logged: list[dict[str, Any]] = []
        self.failures: list[str] = []
        self.spawned: list[asyncio.Task[None]] = []
        self.id, self.peer, self.user = 3, ("192.0.2.1", 22), "alice"
        self.host = "192.0.2.1"
        self._log = lambda record: self.logged.append(dict(record))

    def spawn(self, work: Any, *, holds: bool = False) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self.spawned.append(task)
        return task

    def fail(self, error: Any, code: Any, description: str) -> None:
        self.failures.append(description)

    def end(self) -> None:
        for task in self.spawned:
            task.cancel()


class Session:
    def __init__(self, **values: Any) -> None:
        self.connection = Connection()
        self.command: bytes | None = None
        self.subsystem: str | None = None
        self.terminal: Terminal | None = None
        self.__dict__.update(values)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, {"kind": "shell"}),
        ({"command": b"ls \xff"}, {"kind": "command", "command": "ls \N{REPLACEMENT CHARACTER}"}),
        (
            {"command": b"x" * 100_000},
            {"kind": "command", "command": "x" * MOST_COMMAND},
        ),
        ({"subsystem": "sftp"}, {"kind": "subsystem", "subsystem": "sftp"}),
        (
            {"terminal": Terminal("xterm", 90, 20, 0, 0, b"")},
            {"kind": "shell", "term": "xterm", "terminal": True, "columns": 90, "rows": 20},
        ),
    ],
)
async def test_the_recorder_is_told_what_a_session_is(
    values: dict[str, Any], told: dict[str, Any]
) -> None:
    recorder = FakeRecorder()
    session: Any = Session(**values)
    async with Recordings(recorder.open).of_session(session, "output") as recording:
        assert not recording.takes_input
        await recording.end(0)
    await recorder.ended()
    (kind, payload), end = recorder.frames
    assert (kind, json.loads(payload)) == (FrameKind.OPEN, told)
    assert end == (FrameKind.END, b"0")


async def test_a_session_that_is_cancelled_has_an_end() -> None:
    recorder, session = FakeRecorder(), Session()
    given: Any = session

    async def serve() -> None:
        async with Recordings(recorder.open).of_session(given, INPUT) as recording:
            assert recording.takes_input
            await asyncio.Event().wait()

    task = asyncio.create_task(serve())
    async with asyncio.timeout(20):
        while not recorder.frames:  # noqa: ASYNC110
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await recorder.ended()
    assert [kind for kind, _ in recorder.frames] == [
        FrameKind.OPEN,
        FrameKind.EVENT,
        FrameKind.END,
    ]


async def test_the_events_of_a_connection_are_in_one_recording() -> None:
    recorder, connection = FakeRecorder(), Connection()
    recordings = Recordings(recorder.open)
    await asyncio.gather(recordings.attend(connection), recordings.attend(connection))
    await recordings.attend(connection)
    assert recorder.opened == 1
    assert connection.detailed
    connection.record("file", op="open", path="/a")
    connection.record("kex", kex="none")
    connection.record("forward", to="there:1")
    connection.end()
    await asyncio.gather(*connection.spawned, return_exceptions=True)
    await asyncio.sleep(0)
    await recordings.end()
    await recorder.ended()
    assert [record["event"] for record in connection.logged] == ["file", "kex", "forward"]
    kinds = [kind for kind, _ in recorder.frames]
    assert kinds == [FrameKind.OPEN, FrameKind.EVENT, FrameKind.EVENT, FrameKind.END]
    assert json.loads(recorder.frames[1][1]) == {
        "event": "file",
        "connection": 3,
        "op": "open",
        "path": "/a",
    }


async def test_the_end_of_the_server_ends_recordings() -> None:
    recorder, connection = FakeRecorder(), Connection()
    recordings = Recordings(recorder.open)
    await recordings.attend(connection)
    await recordings.end()
    await recorder.ended()
    assert recorder.frames[-1][0] is FrameKind.END
    connection.end()
    await asyncio.gather(*connection.spawned, return_exceptions=True)


async def test_a_connection_that_can_not_be_recorded_ends() -> None:
    recorder, connection = FakeRecorder(), Connection()
    recordings = Recordings(recorder.open)
    await recordings.attend(connection)
    recorder.tasks[0].cancel()
    recorder.socks[0].close()
    async with asyncio.timeout(20):
        while not connection.failures:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert connection.failures == ["it can't be recorded"]
    assert connection.logged[-1]["error"] == "the recorder is gone"
    connection.record("file", op="open")
    with pytest.raises(StateError, match="gone"):
        await recordings.attend(connection)
    connection.end()
    await asyncio.gather(*connection.spawned, return_exceptions=True)
    await recordings.end()


async def test_after_a_failure_it_is_tried_again() -> None:
    recorder, connection = FakeRecorder(), Connection()
    recordings = Recordings(recorder.open)
    recorder.refuses = True
    for _ in range(2):
        with pytest.raises(StateError, match="there is none"):
            await recordings.attend(connection)
    recorder.refuses = False
    await recordings.attend(connection)
    assert recorder.opened == 3
    connection.end()
    await asyncio.gather(*connection.spawned, return_exceptions=True)
    await recordings.end()
    await recorder.ended()


def test_the_log_of_events_takes_operations_on_files() -> None:
    assert EventLog.detailed
