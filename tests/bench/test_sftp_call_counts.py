"""What one small SFTP request costs each end, without a clock: function calls.

The ceilings are lowered when the code gets better, and never raised.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

import pytest

from nacre.errors import ConnectionLost
from nacre.limits import KIB
from nacre.sftp.client.pumps import DownloadPump
from nacre.sftp.client.session import SFTPSession
from nacre.sftp.filesystems.base import File, Filesystem
from nacre.sftp.filesystems.local import LocalFilesystem
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.client import SFTPClientProtocol
from nacre.sftp.protocol.messages import Open, OpenFlag, Read, Stat
from nacre.sftp.protocol.server import Call, SFTPServerProtocol
from nacre.sftp.server import threads
from nacre.sftp.server.opened import OpenedDirectory, carried_out
from nacre.sftp.server.service import Service
from nacre.wire.codec import Buffer

REQUESTS = 50
PIECE = 32 * KIB

SERVICE_CEILING = 86
"""Calls from what a channel gives to what it takes, the filesystem's own left out."""

READ_CEILING = 102
"""Calls for a READ of 32 KiB, the filesystem's own left out."""

WRITE_CEILING = 116
"""Calls for a WRITE of 32 KiB, the filesystem's own left out."""

SESSION_CEILING = 77
"""Calls of a client's session for an answer: received, its task resumed, the next request sent."""

DOWNLOAD_CEILING = 82.6
"""Calls of a client's session per READ of a file that is fetched: asked for, received, written."""

LISTING_CEILING = 19.2
"""Calls for a name of a local directory, from the system's entry to the bytes of the answer."""

FOUND = Attributes(1, 2, 3, 4, 5, 6)


class Files(Filesystem):
    """Has one file, and needs no thread for it."""

    prompt = True

    def stat(self, path: str) -> Attributes:
        return FOUND

    def open(self, path: str, flags: OpenFlag, attributes: Attributes) -> File:
        return OpenFile()


class OpenFile(File):
    """Takes everything, and is full of zeros."""

    vectors = True

    def preadv(self, buffers: Sequence[memoryview], offset: int, *, wait: bool = True) -> int:
        return PIECE

    def pwritev(self, buffers: Sequence[Buffer], offset: int) -> None:
        pass


class Line:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.sent = bytearray()
        self.collect: Callable[[], None] = lambda: None

    def before_write(self, collect: Callable[[], None], *, at_once: bool = False) -> None:
        self.collect = collect

    def try_write(self, data: Buffer) -> int:
        self.sent += data
        return len(data)

    async def write(self, data: Buffer) -> None:
        raise AssertionError("all goes at once")

    def adjust_window(self, count: int) -> None:
        pass

    def close(self) -> None:
        pass

    async def wait_closed(self) -> None:
        pass

    def take(self) -> bytes:
        self.collect()
        sent = bytes(self.sent)
        self.sent.clear()
        return sent


class Count:
    """Counts the calls that are made inside of ``with``."""

    def __init__(self) -> None:
        self.calls = 0

    def __enter__(self) -> None:
        gc.disable()
        sys.setprofile(self._note)

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        gc.enable()

    def _note(self, _frame: FrameType, event: str, _argument: object) -> None:
        if event in ("call", "c_call"):
            self.calls += 1


async def test_calls_of_a_service_per_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "monotonic", lambda: 0.0)  # no call is slow
    line, client, service, count = Line(), SFTPClientProtocol(), Service(Files()), Count()
    running = asyncio.ensure_future(service.run(line))
    for _ in range(2):  # it begins, and has its first turn
        await asyncio.sleep(0)
    for piece in client.data_to_send():
        service.feed(piece)
    client.receive(line.take())
    for _ in range(REQUESTS):
        client.send(Stat("file"))
        (request,) = client.data_to_send()
        with count:
            service.feed(request)
            answer = line.take()
        assert [result for _, result in client.receive(answer)] == [FOUND]
    service.end()
    async with asyncio.timeout(30):
        await running
    assert count.calls / REQUESTS <= SERVICE_CEILING


@pytest.mark.parametrize(("kind", "ceiling"), [("read", READ_CEILING), ("write", WRITE_CEILING)])
async def test_calls_of_a_service_per_read_and_write(
    monkeypatch: pytest.MonkeyPatch, kind: str, ceiling: float
) -> None:
    monkeypatch.setattr(threads, "monotonic", lambda: 0.0)  # no call is slow
    line, client, service, count = Line(), SFTPClientProtocol(), Service(Files()), Count()
    running = asyncio.ensure_future(service.run(line))
    for _ in range(2):
        await asyncio.sleep(0)
    results: list[tuple[int, object]] = []

    def exchange() -> None:
        data = b"".join(client.data_to_send())
        with count:
            service.feed(data)
            answer = line.take()
        results[:] = client.receive(answer)

    exchange()
    client.send(Open("file", OpenFlag.READ | OpenFlag.WRITE))
    exchange()
    ((_, handle),) = results
    assert isinstance(handle, bytes)
    for number in range(1 + REQUESTS):
        if number == 1:
            count.calls = 0  # the first request of a process compiles its message
        if kind == "read":
            client.send_read(handle, 0, PIECE)
        else:
            client.send_write(handle, 0, bytes(PIECE))
        exchange()
        assert len(results) == 1
    service.end()
    async with asyncio.timeout(30):
        await running
    assert count.calls / REQUESTS <= ceiling


def test_calls_for_a_name_of_a_listing(tmp_path: Path) -> None:
    for number in range(1000):
        (tmp_path / f"{number}").touch()
    files, count, names = LocalFilesystem(tmp_path), Count(), 0
    try:
        listing = OpenedDirectory(files, "/", files.scandir("/"))
        with count:
            while entries := carried_out(listing.read()):
                names += len([entry.encode() for entry in entries])
        carried_out(listing.end(complete=True))
    finally:
        files.close()
    assert names == 1002
    assert count.calls / names <= LISTING_CEILING


async def begin(session: SFTPSession, line: Line, answer: Callable[[], bytes]) -> None:
    """Begin a session with a server that gives answers to what the line has."""
    beginning = asyncio.ensure_future(session.begin(line))
    await asyncio.sleep(0)
    while not beginning.done():
        session.feed(answer())
        await asyncio.sleep(0)


async def test_calls_of_a_session_per_request() -> None:
    line, server, session, count = Line(), SFTPServerProtocol(), SFTPSession(), Count()

    def answer() -> bytes:
        server.receive(line.take())
        while (call := server.next_call()) is not None:
            server.send_attributes(call.id, FOUND)
        return b"".join(server.data_to_send())

    await begin(session, line, answer)

    async def ask() -> None:
        for _ in range(REQUESTS + 1):
            await session.request(Stat("file"))

    def take(data: bytes) -> None:
        with count:
            session.feed(data)
            line.collect()

    asking = asyncio.ensure_future(ask())
    await asyncio.sleep(0)
    for _ in range(REQUESTS):
        asyncio.get_running_loop().call_soon(take, answer())
        await asyncio.sleep(0)
    session.feed(answer())
    line.collect()
    async with asyncio.timeout(30):
        await asking
    session.close()
    assert count.calls / REQUESTS <= SESSION_CEILING


async def test_calls_of_a_download_per_read(monkeypatch: pytest.MonkeyPatch) -> None:
    line, server, session, count = Line(), SFTPServerProtocol(), SFTPSession(), Count()
    # How much is asked for at once depends on how fast answers come.
    looks = itertools.count()
    monkeypatch.setattr(session.loop, "time", lambda: next(looks) * 1e-4)
    block, calls, written = bytes(255 * KIB), deque[Call](), 0

    def answer() -> bytes:
        server.receive(line.take())
        while (call := server.next_call()) is not None:
            if isinstance(call.request, Read):
                calls.append(call)
            else:
                server.send_handle(call.id, FOUND)
        return b"".join(server.data_to_send())

    def write(chunks: list[Buffer], offset: int) -> None:
        nonlocal written
        assert offset == written
        written += sum(len(chunk) for chunk in chunks)

    await begin(session, line, answer)
    opening = session.start(Open("file", OpenFlag.READ, Attributes()))
    session.feed(answer())
    handle = await session.result(opening)
    pump = DownloadPump(session, handle, write, 0, None, lambda size: None, quick=True)
    running = asyncio.ensure_future(pump.run())
    await asyncio.sleep(0)
    session.feed(answer())
    for _ in range(REQUESTS):
        server.send_data(calls.popleft().id, block)
        data = b"".join(server.data_to_send())
        with count:
            session.feed(data)
            line.collect()
        session.feed(answer())
    session.close()
    with suppress(ConnectionLost):
        await running
    assert written > (REQUESTS - 8) * len(block)
    assert count.calls / REQUESTS <= DOWNLOAD_CEILING
