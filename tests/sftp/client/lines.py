"""A line that ends in a server with files in memory; it can answer short, late or never."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable

import pytest

from nacre.errors import ConnectionLost
from nacre.sftp.client.client import SFTPClient, open_sftp_over
from nacre.sftp.client.session import SFTPSession
from nacre.sftp.protocol.server import SFTPServerProtocol
from nacre.wire.codec import Buffer
from sftp.protocol.memory_files import MemoryFiles

CONTENT = hashlib.shake_256(b"pumps").digest(2_000_003)
"""A file that takes several requests, the last of them a short one."""


class MemoryLine:
    """Carries bytes to a server in this process.

    :ivar takes: bytes that one ``try_write`` takes.
    :ivar left: bytes until the line breaks, or None.
    :ivar credited: bytes the session has taken.
    :ivar held: answers that wait, while ``hold`` is set.
    """

    def __init__(self, session: SFTPSession, files: MemoryFiles) -> None:
        self.session = session
        self.files = files
        self.server = SFTPServerProtocol()
        self.takes = 1 << 30
        self.left: int | None = None
        self.sent = 0
        self.credited = 0
        self.hold = False
        self.held: list[bytes] = []
        self.closed = False
        self.on_write: Callable[[], None] = lambda: None

    def before_write(self, collect: Callable[[], None], *, at_once: bool = False) -> None:
        self.session.loop.call_soon(collect)

    def try_write(self, data: Buffer) -> int:
        part = bytes(data[: self.takes])
        self.accept(part)
        return len(part)

    async def write(self, data: Buffer) -> None:
        await asyncio.sleep(0)
        self.accept(bytes(data))

    def accept(self, data: bytes) -> None:
        self.on_write()
        if self.left is not None:
            self.left -= len(data)
            if self.left <= 0:
                self.session.loop.call_soon(self.session.end, ConnectionLost("cut"))
                return
        if self.closed:
            return
        self.server.receive(data)
        self.files.serve(self.server)
        answer = b"".join(self.server.data_to_send())
        self.held.append(answer)
        if not self.hold:
            self.release()

    def release(self) -> None:
        held, self.held = self.held, []
        self.hold = False
        for answer in held:
            if answer:
                self.sent += len(answer)
                self.session.loop.call_soon(self.session.feed, answer)

    def adjust_window(self, count: int) -> None:
        self.credited += count

    def close(self) -> None:
        self.closed = True

    async def wait_closed(self) -> None:
        pass


async def open_memory(files: MemoryFiles | None = None) -> tuple[SFTPClient, MemoryLine]:
    """Return a client whose server has its files in memory, and the line between them."""
    session = SFTPSession()
    line = MemoryLine(session, files or MemoryFiles())
    return await open_sftp_over(line, session), line


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until the condition holds."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - no event announces it
            await asyncio.sleep(0)


async def give_up(task: asyncio.Task[object], sftp: SFTPClient, line: MemoryLine) -> None:
    """Cancel it, let the answers come, and wait for what is sent because of them."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    line.release()
    await sftp.stat("/")
    await sftp.stat("/")


async def until_held(sftp: SFTPClient, count: int) -> None:
    """Wait until ``count`` requests wait for answers, and the line has them."""
    await until(lambda: sftp.session.client.waiting == count)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
