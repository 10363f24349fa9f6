"""An HTTP server for the tests of hooks, which does what it is told to with each request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from nacre.daemon.hooks.request import signature

SECRET = b"0123456789abcdef0123456789abcdef"

HANG = None
"""An answer that does not come."""


class Request:
    """A request: its headers in small letters, and its body."""

    def __init__(self, line: str, headers: dict[str, str], body: bytes) -> None:
        self.line, self.headers, self.body = line, headers, body
        self.told: dict[str, Any] = json.loads(body)

    @property
    def signed(self) -> bool:
        found = self.headers["nacre-signature"]
        return found == signature(SECRET, self.headers["nacre-timestamp"], self.body)


class Receiver:
    """What has come.

    :ivar answer: returns the answer to a request; None to answer never.
    :ivar taken: the requests that were answered with 200.
    """

    def __init__(self) -> None:
        self.answer: Callable[[Request], str | bytes | None] = lambda request: "200 OK"
        self.requests: list[Request] = []
        self.taken: list[Request] = []
        self.changed = asyncio.Condition()
        self.port = 0
        self.serving: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?a=b"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.serving[asyncio.current_task()] = writer
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line, *fields = head.rstrip().split("\r\n")
            pairs = (field.partition(": ") for field in fields)
            headers = {name.lower(): text for name, _, text in pairs}
            body = await reader.readexactly(int(headers["content-length"]))
            request = Request(line, headers, body)
            answer = self.answer(request)
            async with self.changed:
                self.requests.append(request)
                self.taken += [request] if str(answer).startswith("200") else []
                self.changed.notify_all()
            if isinstance(answer, bytes):
                writer.write(answer)
                writer.write_eof()
            elif answer is not HANG:
                writer.write(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()
            await reader.read()
        writer.close()

    async def until(self, found: Callable[[], object]) -> None:
        """Return when something is so, which requests can change."""
        async with asyncio.timeout(60), self.changed:
            await self.changed.wait_for(found)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for writer in receiver.serving.values():
            writer.transport.abort()
        await asyncio.gather(*filter(None, receiver.serving), return_exceptions=True)
