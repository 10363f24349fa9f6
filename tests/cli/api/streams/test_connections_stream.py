"""The connections as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from nacre.cli.api.call import CheckedCall, Problem
from nacre.cli.api.streams import connections_stream
from nacre.cli.api.streams.connections_stream import ConnectionFeed
from nacre.daemon.control.values import Connected


class Answering:
    """Stands in for the server; ``asked`` counts."""

    asked = 0
    silent = 3

    def __init__(self, state: Path) -> None:
        type(self).asked += 1

    def __enter__(self) -> Answering:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        pass

    def ask(self, name: str, request: object) -> Iterator[Connected]:
        assert name == "who"
        usual: dict[str, Any] = {"methods": ("publickey",), "process": None, "details": None}
        yield Connected(id="1.2", user="alice", state="rest", peer="x", since=1.0, **usual)


async def test_all_who_follow_have_one_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Answering, "asked", 0)
    monkeypatch.setattr(connections_stream, "ControlCaller", Answering)
    feed = ConnectionFeed(tmp_path)
    async with (
        asyncio.timeout(30),
        aclosing(feed.follow(CheckedCall())) as one,
        aclosing(feed.follow(CheckedCall())) as two,
    ):
        first, second = await asyncio.gather(anext(one), anext(two))
        assert (first, Answering.asked) == (second, 1)
        name, data = first.split("\n")[:2]
        assert name == "event: connections"
        shown = json.loads(data.removeprefix("data: "))
        assert (shown["connections"][0]["user"], shown["silent"]) == ("alice", 3)
        monkeypatch.setattr(connections_stream, "EVERY", 0)
        await anext(one)
        assert Answering.asked == 2


async def test_without_a_server_there_are_none(tmp_path: Path) -> None:
    async with aclosing(ConnectionFeed(tmp_path).follow(CheckedCall())) as stream:
        with pytest.raises(Problem) as raised:
            await anext(stream)
    assert raised.value.status == 503
