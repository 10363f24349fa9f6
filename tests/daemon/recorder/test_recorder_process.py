"""The recorder: what it makes of what sessions send, and what it refuses."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.sandbox.children import in_a_child
from nacre.config.values import LogLevel
from nacre.daemon.recorder import recorder_process
from nacre.daemon.recorder.recorder_process import (
    RecordedBy,
    RecorderServer,
    RecorderSettings,
    confine,
)
from nacre.daemon.recording.container import RecordingFile
from nacre.daemon.recording.directory import open_directory
from nacre.daemon.recording.frames import FrameKind, FrameReader, frame, packed_json
from nacre.daemon.sandbox import landlock
from nacre.daemon.separate.link import Link, pair
from nacre.daemon.separate.messages import (
    FROM_RECORDERS,
    BeginRecording,
    LogRecord,
    Reads,
    Ready,
    Retire,
    StartWith,
    packed,
)

BY = RecordedBy(user="alice", address="192.0.2.1", host="192.0.2.1", connection=4, gate=1)
OPEN = frame(FrameKind.OPEN, packed_json({"kind": "shell", "columns": 90, "rows": 20}))


class Serving:
    """A recorder in this process, which does not confine itself."""

    def __init__(self, path: Path, directory: int) -> None:
        self.path = path
        self.directory = directory
        ours, theirs = pair()
        self.records: list[dict[str, Any]] = []
        self.ready = asyncio.Event()
        self.link = Link(ours, self._on_message, lambda reason: None)
        self.server = RecorderServer(theirs)
        self.task = asyncio.create_task(self.server.run())

    def _on_message(self, data: bytes) -> None:
        message = FROM_RECORDERS[data[0]].decode(data)
        if isinstance(message, Reads):
            settings = RecorderSettings(
                rights=None, recipient=None, keep=90.0, log_level=LogLevel.INFO
            )
            self.link.send(StartWith(packed(settings)).encode(), [self.directory])
        elif isinstance(message, Ready):
            self.ready.set()
        elif isinstance(message, LogRecord):
            self.records.append(json.loads(message.fields))

    def session(self, by: RecordedBy = BY) -> Client:
        ours, theirs = socket.socketpair()
        with theirs:
            self.link.send(BeginRecording(packed(by)).encode(), [theirs.fileno()])
        ours.setblocking(False)
        return Client(ours)

    def lines(self) -> list[Any]:
        (file,) = self.path.glob("*/*")
        return [json.loads(line) for line in file.read_text().splitlines()]


class Client:
    """A session process's end."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.reader = FrameReader(FrameKind)
        self.answers: list[tuple[FrameKind, bytes]] = []

    async def send(self, *data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, b"".join(data))

    async def answer(self) -> tuple[FrameKind, bytes]:
        async with asyncio.timeout(20):
            while not self.answers:
                data = await asyncio.get_running_loop().sock_recv(self.sock, 1024)
                assert data
                self.answers += self.reader.feed(data)
        return self.answers.pop(0)

    async def gone(self) -> None:
        async with asyncio.timeout(20):
            assert await asyncio.get_running_loop().sock_recv(self.sock, 1024) == b""
        self.sock.close()


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    number = open_directory(tmp_path / "recordings", None)
    yield number
    os.close(number)


@pytest.fixture
async def recorder(
    tmp_path: Path, directory: int, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Serving]:
    monkeypatch.setattr(recorder_process, "confine", lambda rights, directory: None)
    serving = Serving(tmp_path / "recordings", directory)
    async with asyncio.timeout(20):
        await serving.ready.wait()
    yield serving
    serving.link.send(Retire(0).encode())
    async with asyncio.timeout(20):
        await serving.task
    serving.link.close()
    os.close(serving.server.directory)


async def test_a_session_from_its_beginning_to_its_end(recorder: Serving) -> None:
    client = recorder.session()
    await client.send(OPEN)
    assert await client.answer() == (FrameKind.STARTED, b"")
    await client.send(
        frame(FrameKind.OUTPUT, b"out\xc3"),
        frame(FrameKind.INPUT, b"in"),
        frame(FrameKind.ERRORS, b"err"),
        frame(FrameKind.OUTPUT, b"\xa4"),
        frame(FrameKind.RESIZE, b"[80,24]"),
        frame(FrameKind.EVENT, b'{"event":"file"}'),
        frame(FrameKind.END, b"3"),
        frame(FrameKind.OUTPUT, b"nothing counts behind the end"),
    )
    assert await client.answer() == (FrameKind.ENDED, b"")
    await client.gone()
    head, *events = recorder.lines()
    assert head["term"] == {"cols": 90, "rows": 20}
    about = {key: head["nacre"][key] for key in ("user", "from", "connection", "gate", "kind")}
    assert about == {
        "user": "alice",
        "from": "192.0.2.1",
        "connection": 4,
        "gate": 1,
        "kind": "shell",
    }
    assert [event[1:] for event in events] == [
        ["o", "out"],
        ["i", "in"],
        ["s", ""],
        ["o", "err"],
        ["o", "ä"],
        ["r", "80x24"],
        ["n", '{"event":"file"}'],
        ["x", "3"],
    ]
    assert recorder.records == []


async def test_a_session_that_breaks_off_is_noted(recorder: Serving) -> None:
    client = recorder.session()
    await client.send(OPEN, frame(FrameKind.OUTPUT, b"out"))
    await client.answer()
    client.sock.close()
    recorder.link.send(Retire(0).encode())
    async with asyncio.timeout(20):
        await recorder.task  # not before its sessions have ended
    _, *events = recorder.lines()
    assert [event[1] for event in events] == ["o", "n", "x"]
    assert events[-1][2] == "-1"


async def test_what_waits_is_written_after_a_while(
    recorder: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_process, "FLUSHED", 0.0)
    client = recorder.session()
    await client.send(OPEN, frame(FrameKind.OUTPUT, b"out"))
    await client.answer()
    async with asyncio.timeout(20):
        while len(recorder.lines()) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    client.sock.close()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (frame(FrameKind.OUTPUT, b"x"), "nothing was begun"),
        (OPEN + OPEN, "a recording begins once"),
        (OPEN + frame(FrameKind.STARTED), "no such frame"),
        (OPEN + frame(FrameKind.RESIZE, b"[1]"), "a size is none"),
        (OPEN + frame(FrameKind.RESIZE, b'["1",2]'), "a size is none"),
        (OPEN + frame(FrameKind.END, b"x"), "an exit status is none"),
        (OPEN + frame(FrameKind.EVENT, b"[]"), "JSON can't be read"),
        (frame(FrameKind.OPEN, b"{"), "JSON can't be read"),
        (b"\xff" * 5, "too long, or of no kind"),
    ],
    ids=[
        *("not begun", "begun twice", "an answer", "half a size", "no size", "no status"),
        *("no event", "no JSON", "no frame"),
    ],
)
async def test_what_a_session_may_not_say_ends_its_recording(
    recorder: Serving, data: bytes, reason: str
) -> None:
    other = recorder.session()
    client = recorder.session()
    await client.send(data)
    async with asyncio.timeout(20):
        while (answer := await client.answer())[0] is FrameKind.STARTED:
            pass
    assert answer[0] is FrameKind.FAILED
    assert reason in answer[1].decode()
    async with asyncio.timeout(20):
        while not recorder.records:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert recorder.records[0]["what"] == "a session is not recorded"
    assert reason in recorder.records[0]["error"]
    await other.send(OPEN)
    assert await other.answer() == (FrameKind.STARTED, b"")
    other.sock.close()
    client.sock.close()


async def test_the_recordings_of_a_user_at_a_time_have_a_bound(
    recorder: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_process, "MOST_OF_USER", 1)
    first, second = recorder.session(), recorder.session()
    kind, reason = await second.answer()
    assert (kind, b"too many" in reason) == (FrameKind.FAILED, True)
    await first.send(OPEN)
    assert await first.answer() == (FrameKind.STARTED, b"")
    first.sock.close()
    second.sock.close()


async def test_a_file_that_can_not_be_made_is_told(recorder: Serving) -> None:
    os.close(recorder.server.directory)
    recorder.server.directory = os.open(os.devnull, os.O_RDONLY)
    client = recorder.session()
    await client.send(OPEN)
    kind, reason = await client.answer()
    assert (kind, b"Not a directory" in reason) == (FrameKind.FAILED, True)
    client.sock.close()


@pytest.mark.parametrize("flushed", [0.0, 60.0], ids=["after a while", "at the end"])
async def test_a_disk_that_is_full_is_told_in_the_same_words(
    recorder: Serving, monkeypatch: pytest.MonkeyPatch, flushed: float
) -> None:
    monkeypatch.setattr(recorder_process, "FLUSHED", flushed)
    client = recorder.session()
    await client.send(OPEN)
    assert await client.answer() == (FrameKind.STARTED, b"")

    def full(self: RecordingFile) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(RecordingFile, "flush", full)
    monkeypatch.setattr(RecordingFile, "finish", full)
    await client.send(frame(FrameKind.OUTPUT, b"out"))
    if flushed:
        await client.send(frame(FrameKind.END, b"0"))
    reason = b"the recording can't be written: No space left on device"
    assert await client.answer() == (FrameKind.FAILED, reason)
    client.sock.close()


@pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")
def test_it_opens_no_files_but_those_of_its_directory(tmp_path: Path, directory: int) -> None:
    (tmp_path / "other").write_text("x")

    def attempt() -> int:
        confine(None, directory)
        os.close(os.open("a", os.O_CREAT | os.O_WRONLY, dir_fd=directory))
        os.mkdir("b", dir_fd=directory)
        os.unlink("a", dir_fd=directory)
        for path, flags in (
            (tmp_path / "other", os.O_RDONLY),
            (tmp_path / "new", os.O_CREAT | os.O_WRONLY),
            (Path("/etc/passwd"), os.O_RDONLY),
        ):
            try:
                os.open(path, flags)
            except PermissionError:
                continue
            return 1
        try:
            socket.socket()
        except PermissionError:
            return 0
        return 2

    assert in_a_child(attempt) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives rights up")
def test_it_has_the_rights_of_its_account_alone(tmp_path: Path) -> None:
    directory = open_directory(tmp_path / "own", (1, 1))

    def attempt() -> int:
        confine((1, 1), directory)
        assert os.getresuid() == (1, 1, 1)
        assert os.getresgid() == (1, 1, 1)
        assert os.getgroups() == []
        os.close(os.open("a", os.O_CREAT | os.O_WRONLY, dir_fd=directory))
        try:
            os.setuid(0)
        except PermissionError:
            return 0
        return 1

    try:
        assert in_a_child(attempt) == 0
    finally:
        os.close(directory)
