"""A service of SFTP and a client of it, with queues between them."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

from nacre.errors import StreamClosed
from nacre.runtime.filesystem import Filesystem
from nacre.runtime.sftp_server import Service
from nacre.sftp import messages as msg
from nacre.sftp.client import Client
from nacre.sftp.messages import OpenFlag


class Stream:
    """One direction. ``open`` lets writers go on."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue()
        self.open = asyncio.Event()
        self.open.set()
        self.broken = False
        self.largest = 0

    async def read(self, n: int = -1) -> bytes:
        return await self.queue.get()

    async def write(self, data: Any) -> None:
        await self.open.wait()
        if self.broken:
            raise StreamClosed("as asked")
        self.largest = max(self.largest, len(data))
        self.queue.put_nowait(bytes(data))


class Talk:
    """A client that speaks to a service over ``filesystem``."""

    def __init__(self, filesystem: Filesystem, **options: Any) -> None:
        self.up, self.down = Stream(), Stream()
        self.client = Client()
        self.service = Service(self.up, self.down, filesystem, **options)
        self.results: dict[int, Any] = {}
        self.order: list[int] = []

    async def __aenter__(self) -> Self:
        self.task = asyncio.ensure_future(self.service.run())
        self.flush()
        while not self.client.ready:
            await self.take()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.hang_up()
        if error is None:
            async with asyncio.timeout(10):
                await self.task
        else:
            self.task.cancel()
            await asyncio.wait({self.task}, timeout=10)

    def hang_up(self) -> None:
        self.up.queue.put_nowait(b"")

    def flush(self) -> None:
        for piece in self.client.data_to_send():
            self.up.queue.put_nowait(bytes(piece))

    def send(self, request: msg.Request[Any]) -> int:
        number = self.client.send(request)
        self.flush()
        return number

    async def take(self) -> None:
        async with asyncio.timeout(10):
            data = await self.down.queue.get()
        for number, result in self.client.receive(data):
            self.results[number] = result
            self.order.append(number)

    async def result(self, number: int) -> Any:
        while number not in self.results:
            await self.take()
        result = self.results.pop(number)
        if isinstance(result, OSError):
            raise result
        return b"".join(result) if isinstance(result, list) else result

    async def call(self, request: msg.Request[Any]) -> Any:
        return await self.result(self.send(request))

    async def open(self, path: str, flags: int = OpenFlag.READ) -> bytes:
        handle: bytes = await self.call(msg.Open(path, int(flags)))
        return handle
