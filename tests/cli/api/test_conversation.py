"""A WebSocket of the API: what its client says goes to the other process, no faster than taken."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from nacre.cli.api.front import Asking, Front
from nacre.cli.api.http import config_of, protocols
from nacre.cli.api.pipe import (
    LONGEST_MESSAGE,
    AnswerEnd,
    AnswerPart,
    APIAnswer,
    APICall,
    CallDropped,
    CallMessage,
    MessageTaken,
    line_of,
    value_of,
)

JOIN = "/v1/connections/1.1/join"


class Other:
    """The other process: it keeps what it is told, and answers by a function."""

    def __init__(self, reply: Callable[[Any], list[object]]) -> None:
        self.reply = reply
        self.told: list[Any] = []
        self.changed = asyncio.Event()

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            value = value_of(line)
            self.told.append(value)
            self.changed.set()
            writer.writelines(line_of(one) for one in self.reply(value))

    async def wait_for(self, kind: type[Any]) -> Any:
        while not (found := [one for one in self.told if isinstance(one, kind)]):
            self.changed.clear()
            await self.changed.wait()
        return found[0]


def begun(value: Any) -> list[object]:
    """Begin a conversation; take each message, and say it again."""
    if isinstance(value, APICall):
        begun = {"kind": "text/event-stream", "headers": (), "body": ""}
        return [APIAnswer(number=value.number, status=101, **begun)]  # type: ignore[arg-type]
    if isinstance(value, CallMessage):
        part = AnswerPart(number=value.number, text=value.text)
        return [part, MessageTaken(number=value.number)]
    return []


@asynccontextmanager
async def served(reply: Callable[[Any], list[object]]) -> AsyncIterator[tuple[str, Other]]:
    """Yield the URL of the API, and the other process."""
    front, other = Front(), Other(reply)
    ours, theirs = socket.socketpair()
    front.asking = Asking(*await asyncio.open_connection(sock=ours))
    reader, writer = await asyncio.open_connection(sock=theirs)
    tasks = [asyncio.create_task(front.asking.run())]
    tasks.append(asyncio.create_task(other.run(reader, writer)))
    factory = protocols(config_of(front.app))
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    try:
        async with asyncio.timeout(30):
            yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", other
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for one in (front.asking._writer, writer):
            one.transport.abort()


def dialled(url: str) -> connect:
    return connect(url, additional_headers={"Authorization": "Bearer key"}, proxy=None)


async def closed(client: ClientConnection) -> int:
    try:
        while True:
            await client.recv()
    except ConnectionClosed:
        assert client.close_code is not None
        return client.close_code


async def test_messages_go_both_ways_until_the_client_leaves() -> None:
    async with served(begun) as (url, other):
        async with dialled(f"{url}{JOIN}?channel=3") as client:
            await client.send("one")
            await client.send("two")
            assert [await client.recv() for _ in range(2)] == ["one", "two"]
        dropped = await other.wait_for(CallDropped)
        call = other.told[0]
        assert dropped.number == call.number
        assert (call.action, call.token) == ("connection.join", "key")
        assert (call.path, call.query) == (("id", "1.1"), ("channel", "3"))


async def test_the_end_of_what_is_said_closes_it() -> None:
    def reply(value: Any) -> list[object]:
        if isinstance(value, CallMessage):
            return [AnswerEnd(number=value.number)]
        return begun(value)

    async with served(reply) as (url, _), dialled(url + JOIN) as client:
        await client.send("x")
        assert await closed(client) == 1000


async def test_what_is_refused_is_a_problem_in_place_of_the_websocket() -> None:
    def reply(value: Any) -> list[object]:
        if not isinstance(value, APICall):
            return []
        problem = {"kind": "application/problem+json", "headers": (), "body": '{"status": 403}'}
        return [APIAnswer(number=value.number, status=403, **problem)]  # type: ignore[arg-type]

    async with served(reply) as (url, other):
        with pytest.raises(InvalidStatus) as raised:
            async with dialled(url + JOIN):
                pass
        answer = raised.value.response
        assert (answer.status_code, json.loads(answer.body or b"")) == (403, {"status": 403})
        assert len(other.told) == 1


async def test_a_client_that_floods_waits_and_is_kept_nothing_for() -> None:
    def reply(value: Any) -> list[object]:
        return [] if isinstance(value, CallMessage) else begun(value)

    async with served(reply) as (url, other), dialled(url + JOIN) as client:
        sending = asyncio.create_task(_flood(client))
        await other.wait_for(CallMessage)
        # A flood that nobody takes fills the buffers of the system, and no more.
        while client.transport.get_write_buffer_size() <= 1 << 15:
            await asyncio.wait({sending}, timeout=0)
        sending.cancel()
        assert sum(isinstance(one, CallMessage) for one in other.told) == 1
        client.transport.abort()


async def _flood(client: ClientConnection) -> None:
    while True:
        await client.send("x" * LONGEST_MESSAGE)


@pytest.mark.parametrize(
    ("message", "code"), [("x" * (LONGEST_MESSAGE + 1), 1009), (b"bytes", 1003)]
)
async def test_a_message_that_is_too_long_or_no_text_ends_it(
    message: str | bytes, code: int
) -> None:
    async with served(begun) as (url, other):
        async with dialled(url + JOIN) as client:
            await client.send(message)
            assert await closed(client) == code
        await other.wait_for(CallDropped)
        assert not [one for one in other.told if isinstance(one, CallMessage)]


async def test_a_path_that_is_no_websocket_has_none() -> None:
    async with served(begun) as (url, other):
        for path in ("/v1/users", "/stream", "/nowhere"):
            with pytest.raises(InvalidStatus) as raised:
                async with dialled(url + path):
                    pass
            assert raised.value.response.status_code in (403, 404)
        assert other.told == []
