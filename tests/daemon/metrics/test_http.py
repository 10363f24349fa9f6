"""The HTTP of --metrics: its answers, and what it does to those who want more than that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from nacre.daemon.metrics import http
from nacre.daemon.metrics.http import LONGEST_HEAD, HTTPAnswer, HTTPPages


@pytest.fixture
async def port() -> AsyncIterator[int]:
    pages = HTTPPages({"/metrics": lambda: HTTPAnswer("200 OK", b"numbers\n")})
    server = await asyncio.start_server(pages.serve, "127.0.0.1", 0, limit=LONGEST_HEAD)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def said(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        async with asyncio.timeout(30):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("request_line", "status", "body"),
    [
        (b"GET /metrics HTTP/1.1", b"200 OK", b"numbers\n"),
        (b"GET /metrics?x=1 HTTP/1.0", b"200 OK", b"numbers\n"),
        (b"HEAD /metrics HTTP/1.1", b"200 OK", b""),
        (b"GET /other HTTP/1.1", b"404 Not Found", b"there are /metrics and /health\n"),
        (b"POST /metrics HTTP/1.1", b"405 Method Not Allowed", b"use GET\n"),
        (b"GET /metrics", b"400 Bad Request", b"this is no request\n"),
        (b"SSH-2.0-client", b"400 Bad Request", b"this is no request\n"),
    ],
)
async def test_requests_are_answered(
    port: int, request_line: bytes, status: bytes, body: bytes
) -> None:
    head, _, found = (await said(port, request_line + b"\r\nHost: x\r\n\r\n")).partition(
        b"\r\n\r\n"
    )
    assert head.startswith(b"HTTP/1.1 " + status + b"\r\n")
    assert b"\r\nConnection: close" in head
    assert found == body


async def test_a_request_that_is_too_long_is_refused(port: int) -> None:
    request = b"GET /metrics HTTP/1.1\r\nX: " + bytes(2 * LONGEST_HEAD)
    assert (await said(port, request)).startswith(b"HTTP/1.1 431 ")


async def test_a_slow_client_is_closed(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "PATIENCE", 0.05)
    assert await said(port, b"GET /metrics HTTP/1.1\r\n") == b""


async def test_a_flood_leaves_so_many_connections_and_no_more(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MOST_CONNECTIONS", 2)
    slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    assert await said(port, b"GET /metrics HTTP/1.1\r\n\r\n") == b""
    for _, writer in slow:
        writer.close()
        await writer.wait_closed()
    async with asyncio.timeout(30):
        while not await said(port, b"GET /metrics HTTP/1.1\r\n\r\n"):
            pass
