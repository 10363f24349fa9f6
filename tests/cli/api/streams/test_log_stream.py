"""The log as server-sent events."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from nacre.cli.api.call import CheckedCall, Problem
from nacre.cli.api.streams import log_stream
from nacre.cli.api.streams.log_stream import COMMENT, follow
from nacre.daemon.control.values import ControlError, Logged, Lost, Rejected, line_of


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    ours, theirs = socket.socketpair()
    ours.settimeout(20)
    monkeypatch.setattr(log_stream, "connected", lambda state: theirs)
    return ours


async def texts(*, count: int | None = None, **query: Any) -> list[str]:
    found = []
    async with asyncio.timeout(20), aclosing(follow(Path(), CheckedCall(query=query))) as stream:
        async for text in stream:
            found.append(text)
            if len(found) == count:
                break
    return found


async def test_records_and_losses_are_events(server: socket.socket) -> None:
    with server:
        server.sendall(line_of(Logged(record={"event": "auth", "user": "a\nb"})))
        server.sendall(line_of(Lost(lines=3)))
        found = await texts(count=3, user=["alice"], event=["auth"])
        asked = json.loads(server.recv(1000))
    assert asked == {"ask": "log", "users": ["alice"], "events": ["auth"]}
    assert found == [
        COMMENT,
        'event: log\ndata: {"event": "auth", "user": "a\\nb"}\n\n',
        'event: lost\ndata: {"lines": 3}\n\n',
    ]


async def test_it_ends_with_the_server(server: socket.socket) -> None:
    server.close()
    assert await texts() == [COMMENT]


async def test_what_the_server_refuses_is_told(server: socket.socket) -> None:
    with server:
        server.sendall(line_of(Rejected(reason="8 programs follow the log already")))
        found = await texts()
    assert found[1:] == [
        'event: rejected\ndata: {"reason": "8 programs follow the log already"}\n\n'
    ]


async def test_a_quiet_log_has_comments(
    server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_stream, "_QUIET", 0.01)
    with server:
        assert await texts(count=3) == [COMMENT] * 3


async def test_without_a_server_it_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_state: Path) -> socket.socket:
        raise ControlError("no server runs")

    monkeypatch.setattr(log_stream, "connected", none)
    with pytest.raises(Problem, match="no server runs"):
        await texts()
