"""The HTTP of the API is bounded: heads, bodies, answers and connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from uvicorn.server import ServerState

from nacre.cli.api import front as front_module
from nacre.cli.api import http
from nacre.cli.api.front import Front
from nacre.cli.api.http import config_of, protocols

Opened = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (http, front_module):
        monkeypatch.setattr(module, "PATIENCE", 0.3)


@asynccontextmanager
async def served(
    app: Any = None, most: int = http.MOST_CONNECTIONS
) -> AsyncIterator[Callable[[], Awaitable[Opened]]]:
    """Serve, and yield what connects."""
    factory = protocols(config_of(app or Front().app), most=most)
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    writers = []

    async def connect() -> Opened:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        return reader, writer

    try:
        async with asyncio.timeout(30):
            yield connect
    finally:
        for writer in writers:
            writer.transport.abort()
        server.close()


async def rest(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""


@pytest.mark.parametrize("head", [b"", b"GET /v1/users HTTP/1.1\r\nHost: x\r\n"])
async def test_a_head_that_does_not_come_ends_the_connection(head: bytes) -> None:
    async with served() as connect:
        reader, writer = await connect()
        writer.write(head)
        assert await rest(reader) == b""


async def test_a_second_head_that_does_not_come_ends_the_connection() -> None:
    async with served() as connect:
        reader, writer = await connect()
        writer.write(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\nGET /")
        found = await rest(reader)
        assert found.startswith(b"HTTP/1.1 404 ")
        assert found.count(b"HTTP/1.1") == 1


async def test_a_body_that_does_not_come_is_a_problem() -> None:
    front = Front()
    front.asking = object()  # type: ignore[assignment]
    async with served(front.app) as connect:
        reader, writer = await connect()
        writer.write(b"POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        assert (await rest(reader)).startswith(b"HTTP/1.1 408 ")


async def test_a_body_that_is_too_long_is_a_problem() -> None:
    front = Front()
    front.asking = object()  # type: ignore[assignment]
    async with served(front.app) as connect:
        reader, writer = await connect()
        writer.write(b"POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n")
        writer.write(b"x" * 100_000)
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")


async def test_a_head_that_is_too_long_is_refused() -> None:
    async with served() as connect:
        reader, writer = await connect()
        writer.write(b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000)
        assert (await rest(reader))[:12] in (b"HTTP/1.1 400", b"")


async def test_a_client_that_reads_nothing_is_dropped() -> None:
    done = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                more = {"type": "http.response.body", "body": b"x" * 65536, "more_body": True}
                await send(more)
        finally:
            done.set()

    async with served(http.Patient(app)) as connect:
        _, writer = await connect()
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await done.wait()


async def test_a_connection_that_is_too_many_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "PATIENCE", 20)
    async with served(most=1) as connect:
        _, first = await connect()
        reader, writer = await connect()
        writer.write(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await rest(reader) == b""
        first.close()
        while True:  # until the server has noticed
            reader, writer = await connect()
            writer.write(b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            if (await rest(reader)).startswith(b"HTTP/1.1 404 "):
                break


async def test_at_the_end_answers_without_an_end_are_dropped() -> None:
    closed = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        closed.set()

    state = ServerState()
    loop = asyncio.get_running_loop()
    factory = protocols(config_of(app), state=state)
    server = await loop.create_server(factory, "127.0.0.1", 0)
    async with asyncio.timeout(30), server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"x\r\n")
        await http.drop_all(state, 30)
        assert closed.is_set()
        assert await rest(reader) == b""
        writer.close()
