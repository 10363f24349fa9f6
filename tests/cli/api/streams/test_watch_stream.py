"""A session as server-sent events."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from nacre.cli.api.call import CheckedCall, Problem
from nacre.cli.api.sessions.table import APISession
from nacre.cli.api.streams import watch_stream as module
from nacre.cli.api.streams.log_stream import COMMENT
from nacre.cli.api.streams.messages import CallMessages
from nacre.cli.api.streams.watch_stream import WatchEvents, join, watch
from nacre.daemon.control.values import ControlError
from nacre.daemon.recording.frames import FrameReader, frame
from nacre.daemon.watching.frames import WatchFrame


def events(*frames: bytes) -> list[tuple[str, Any]]:
    watched = WatchEvents()
    return [(name, dict(said)) for data in frames for name, said in watched.feed(data)]


def read(text: str) -> tuple[str, Any]:
    name, data = text.rstrip("\n").split("\n")
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def test_frames_are_events() -> None:
    found = events(
        frame(WatchFrame.SIZE, b"[100,30]"),
        frame(WatchFrame.SCREEN, b"$ \xff"),
        frame(WatchFrame.OUTPUT, "ä".encode()[:1]),
        frame(WatchFrame.ERRORS, b"x"),
        frame(WatchFrame.OUTPUT, "ä".encode()[1:]),
        frame(WatchFrame.SKIPPED, b"17"),
        frame(WatchFrame.END, b"3"),
    )
    assert found == [
        ("size", {"columns": 100, "rows": 30}),
        ("screen", {"text": "$ �"}),
        ("output", {"text": "x"}),
        ("output", {"text": "ä"}),
        ("skipped", {"bytes": 17}),
        ("end", {"status": 3}),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 10,
        frame(WatchFrame.TYPED, b"x"),
        frame(WatchFrame.SIZE, b"nonsense"),
        frame(WatchFrame.SIZE, b"[1]"),
        frame(WatchFrame.SKIPPED, b"x"),
    ],
)
def test_what_is_wrong_ends_it(data: bytes) -> None:
    assert events(data) == [("end", {"status": None})]


def test_a_size_that_is_none_is_left_out() -> None:
    assert events(frame(WatchFrame.SIZE, b"[0,0]"), frame(WatchFrame.SIZE, b'["1",2]')) == []


class Held:
    """Stands in for the caller, whose end closes the socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()


async def test_a_quiet_session_has_comments_and_the_end_closes_the_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_QUIET", 0.01)
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(module, "_begin", lambda *_: (Held(theirs), theirs))
    async with asyncio.timeout(30), aclosing(watch(Path(), CheckedCall())) as stream:
        assert [await anext(stream) for _ in range(3)] == [COMMENT] * 3
        ours.sendall(frame(WatchFrame.OUTPUT, b"x"))
        while (text := await anext(stream)) == COMMENT:
            pass
        assert read(text) == ("output", {"text": "x"})
    assert ours.recv(1) == b""
    ours.close()


async def said_by_who_joins(
    monkeypatch: pytest.MonkeyPatch, *texts: str
) -> tuple[list[dict[str, Any]], bytes, int]:
    """Join a session with these messages; return its events, what is typed, and what was taken."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    begun: list[bool] = []

    def begin(_state: Path, _call: CheckedCall, joins: bool) -> tuple[Held, socket.socket]:
        begun.append(joins)
        return Held(theirs), theirs

    monkeypatch.setattr(module, "_begin", begin)
    left, found, typed = list(texts), [], b""

    async def more() -> None:
        if left:
            assert messages.put(left.pop(0))

    messages = CallMessages(more)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(30), aclosing(join(Path(), CheckedCall(), messages)) as stream:
        assert await anext(stream) == ""
        await more()
        data = frame(WatchFrame.OUTPUT, b"$ ")
        ours.sendall(data)
        found.append(json.loads(await anext(stream)))
        while typed.count(b"\r") < sum(one.endswith(r'\r"}') for one in texts):
            typed += await loop.sock_recv(ours, 1000)
        ours.shutdown(socket.SHUT_WR)
        found += [json.loads(text) async for text in stream]
    ours.close()
    assert begun == [True]
    return found, typed, len(texts) - len(left)


async def test_who_joins_gets_objects_and_types_what_messages_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = ['{"typed": "ls\\r"}', '{"typed": "\u00e4\\r"}']
    found, typed, _ = await said_by_who_joins(monkeypatch, *texts)
    assert found == [{"event": "output", "text": "$ "}, {"event": "end", "status": None}]
    frames = FrameReader(WatchFrame)
    assert list(frames.feed(typed)) == [
        (WatchFrame.TYPED, b"ls\r"),
        (WatchFrame.TYPED, "ä\r".encode()),
    ]


@pytest.mark.parametrize(
    "text", ["", "x", "[]", '{"size": 1}', '{"typed": 1}', '{"typed": "\\ud800"}', "[" * 9000]
)
async def test_a_message_that_says_something_else_ends_it(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    found, typed, count = await said_by_who_joins(monkeypatch, text, '{"later": 1}')
    assert found[-1] == {"event": "end", "status": None}
    assert (typed, count) == (b"", 1)


async def test_what_can_not_be_watched_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ControlError("there is no connection 9.9: see nacre who")

    monkeypatch.setattr(module, "_begin", refuse)
    async with aclosing(watch(Path(), CheckedCall())) as stream:
        with pytest.raises(Problem, match=r"no connection 9\.9") as raised:
            await anext(stream)
    assert raised.value.status == 409


def test_the_sessions_user_is_told_who_watches() -> None:
    session = APISession(user="ada", password="", address="192.0.2.1", began=0, used=0)
    assert module._name_of(CheckedCall(session=session, caller="user:ada")) == "ada"
    assert module._name_of(CheckedCall(caller="ci")) == "the key ci"
    assert module._name_of(CheckedCall()) == ""
