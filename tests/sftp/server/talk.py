"""A service of SFTP and a client of it, with a queue for the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from nacre.errors import StreamClosed
from nacre.sftp.filesystems.base import Filesystem
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.client import SFTPClientProtocol
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.server.service import Service


class Line:
    """What carries answers. ``open`` lets writers go on.

    :ivar credited: bytes that the service has taken.
    :ivar takes: bytes that one ``try_write`` takes.
    """

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue()
        self.open = asyncio.Event()
        self.open.set()
        self.broken = False
        self.largest = 0
        self.credited = 0
        self.takes = 1 << 30

    def try_write(self, data: Any) -> int:
        if self.broken or not self.open.is_set():
            return 0
        self.largest = max(self.largest, len(data))
        part = bytes(data[: self.takes])
        self.queue.put_nowait(part)
        return len(part)

    def before_write(self, collect: Callable[[], None], *, at_once: bool = False) -> None:
        asyncio.get_running_loop().call_soon(collect)

    async def write(self, data: Any) -> None:
        await self.open.wait()
        if self.broken:
            raise StreamClosed("as asked")
        self.queue.put_nowait(bytes(data))

    def adjust_window(self, count: int) -> None:
        self.credited += count

    def close(self) -> None:
        pass

    async def wait_closed(self) -> None:
        pass


class Talk:
    """A client that speaks to a service over ``filesystem``."""

    def __init__(self, filesystem: Filesystem, **options: Any) -> None:
        self.down = Line()
        self.client = SFTPClientProtocol()
        self.service = Service(filesystem, **options)
        self.results: dict[int, Any] = {}
        self.order: list[int] = []

    async def __aenter__(self) -> Self:
        self.task = asyncio.ensure_future(self.service.run(self.down))
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
            async with asyncio.timeout(30):
                await self.task
        else:
            self.task.cancel()
            await asyncio.wait({self.task}, timeout=30)

    def hang_up(self) -> None:
        self.service.end()

    def flush(self) -> None:
        for piece in self.client.data_to_send():
            self.service.feed(bytes(piece))

    def send(self, request: msg.SFTPRequest[Any]) -> int:
        number = self.client.send(request)
        self.flush()
        return number

    async def take(self) -> None:
        async with asyncio.timeout(30):
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

    async def call(self, request: msg.SFTPRequest[Any]) -> Any:
        return await self.result(self.send(request))

    async def open(self, path: str, flags: int = OpenFlag.READ) -> bytes:
        handle: bytes = await self.call(msg.Open(path, int(flags)))
        return handle
