"""The bytes of one file: short answers, holes, failures, the pace."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from pathlib import Path

import pytest

from nacre.errors import ConnectionLost
from nacre.sftp.client.client import SFTPClient
from nacre.sftp.client.pumps import DownloadPump, UploadPump, write_all
from nacre.sftp.client.session import SFTPSession
from nacre.sftp.client.turns import Pace
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.protocol.pipeline import Window
from nacre.wire.codec import Buffer
from sftp.client.lines import CONTENT, MemoryLine, until, until_held

Both = tuple[SFTPClient, MemoryLine]


class Written:
    """What a download wrote: in order, or the test fails."""

    def __init__(self) -> None:
        self.data = bytearray()

    def __call__(self, chunks: list[Buffer], offset: int) -> None:
        assert offset == len(self.data)
        for chunk in chunks:
            self.data += chunk


async def opened(line: MemoryLine, content: bytes = CONTENT) -> bytes:
    """Return the handle of a file with this content."""
    line.files.files["/f"] = bytearray(content)
    return await line.session.request(msg.Open("/f", OpenFlag.READ | OpenFlag.WRITE))


def packets(data: bytes) -> list[bytes]:
    """Split what a server sent."""
    found = []
    while data:
        size = 4 + int.from_bytes(data[:4])
        found.append(data[:size])
        data = data[size:]
    return found


async def test_short_reads_are_asked_for_again(both: Both, tmp_path: Path) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray(CONTENT)
    for short in (0, 1 << 20, 100_000, 8192):
        line.files.short = short
        await sftp.get("/f", tmp_path / "f", verify=True)
        assert (tmp_path / "f").read_bytes() == CONTENT
        assert await sftp.read_bytes("/f") == CONTENT


async def test_all_is_sent_when_no_write_can_follow(both: Both, tmp_path: Path) -> None:
    _, line = both
    session = line.session
    (tmp_path / "f").write_bytes(CONTENT)
    handle = await session.request(msg.Open("/f", OpenFlag.WRITE | OpenFlag.CREAT))
    ends: list[int | None] = []
    with (tmp_path / "f").open("rb") as file:
        # It was longer when it was looked at: what is left of the last span is asked for again.
        parts = [(0, len(CONTENT) + 5)]
        subject = UploadPump(
            session,
            handle,
            file.fileno(),
            parts,
            lambda data: None,
            all_sent=lambda: ends.append(subject.end),
        )
        await subject.run()
    assert ends == [len(CONTENT)]
    assert line.files.files["/f"] == CONTENT


async def test_a_copy_that_can_not_be_read_leaves_its_room_to_others(
    both: Both, tmp_path: Path
) -> None:
    _, line = both
    session = line.session
    session.window = Window(floor=64 * 1024, ceiling=64 * 1024)
    (tmp_path / "f").write_bytes(CONTENT)
    handle = await session.request(msg.Open("/f", OpenFlag.WRITE | OpenFlag.CREAT))
    with (tmp_path / "f").open("rb") as file:
        good = UploadPump(session, handle, file.fileno(), [(0, len(CONTENT))], lambda data: None)
        bad = UploadPump(session, handle, -1, [(0, 1 << 20)], lambda data: None)
        async with asyncio.timeout(30):
            results = await asyncio.gather(bad.run(), good.run(), return_exceptions=True)
    assert isinstance(results[0], OSError)
    assert results[1] is None
    assert line.files.files["/f"] == CONTENT
    assert session.window.in_flight == 0


def test_zeros_become_holes(tmp_path: Path) -> None:
    path = tmp_path / "f"
    with path.open("wb") as file:
        chunks: list[bytes | bytearray] = [
            b"x" * 4096,
            bytes(1 << 20),
            bytearray(1 << 20),
            b"\0" * 4095 + b"y",
            bytes(10),
        ]
        write_all(file.fileno(), [memoryview(chunk) for chunk in chunks], 0, holes=True)
    assert path.read_bytes() == b"".join(chunks)
    assert path.stat().st_blocks * 512 < 1 << 20
    with path.open("r+b") as file:
        write_all(file.fileno(), [memoryview(bytes(4096))], 0, holes=False)
    assert path.read_bytes()[:4096] == bytes(4096)


async def test_a_paced_copy_arrives(both: Both, tmp_path: Path) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray(CONTENT)
    line.session.turns.pace = Pace(8_000_000)
    began = asyncio.get_running_loop().time()
    await sftp.get("/f", tmp_path / "f")
    assert asyncio.get_running_loop().time() - began > 0.1
    assert (tmp_path / "f").read_bytes() == CONTENT


@pytest.mark.parametrize("quick", [True, False])
async def test_answers_in_any_order_are_written_in_order(both: Both, quick: bool) -> None:
    _, line = both
    handle, written, moved = await opened(line), Written(), list[int]()
    line.hold = True
    pump = DownloadPump(line.session, handle, written, 0, None, moved.append, quick=quick)
    running = asyncio.create_task(pump.run())
    await until(lambda: any(line.held))
    line.held = packets(b"".join(line.held))[::-1]
    line.release()
    await running
    assert written.data == CONTENT
    assert pump.position == sum(moved) == len(CONTENT)


async def test_a_download_has_a_start_and_an_end(both: Both) -> None:
    _, line = both
    handle, written = await opened(line), Written()
    written.data = bytearray(1000)
    await DownloadPump(line.session, handle, written, 1000, 900_000, lambda size: None).run()
    assert written.data[1000:] == CONTENT[1000:900_000]


async def test_a_file_that_has_become_shorter_ends_early(both: Both) -> None:
    _, line = both
    handle, written = await opened(line), Written()
    pump = DownloadPump(line.session, handle, written, 0, 2 * len(CONTENT), lambda size: None)
    await pump.run()
    assert written.data == CONTENT
    assert pump.position == len(CONTENT)
    assert line.session.window.in_flight == 0


@pytest.mark.parametrize("quick", [True, False])
async def test_an_error_of_the_disk_ends_a_download(both: Both, quick: bool) -> None:
    _, line = both
    handle = await opened(line)

    def write(chunks: list[Buffer], offset: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    pump = DownloadPump(line.session, handle, write, 0, None, lambda size: None, quick=quick)
    with pytest.raises(OSError, match="No space"):
        await pump.run()
    assert pump.position == 0
    await until(lambda: line.session.window.in_flight == 0)


async def test_a_disk_that_is_behind_stops_the_requests(both: Both) -> None:
    _, line = both
    go, written = threading.Event(), Written()
    handle = await opened(line, bytes(24 << 20))

    def write(chunks: list[Buffer], offset: int) -> None:
        go.wait(30)
        written(chunks, offset)

    pump = DownloadPump(line.session, handle, write, 0, None, lambda size: None)
    running = asyncio.create_task(pump.run())
    await until(lambda: line.sent > 8 << 20 and line.session.window.in_flight == 0)
    assert not running.done()
    assert line.sent < 24 << 20
    go.set()
    await running
    assert len(written.data) == 24 << 20


async def test_a_cancelled_download_waits_for_its_thread(both: Both) -> None:
    _, line = both
    began, go, written = threading.Event(), threading.Event(), Written()
    handle = await opened(line)

    def write(chunks: list[Buffer], offset: int) -> None:
        began.set()
        go.wait(30)
        written(chunks, offset)

    pump = DownloadPump(line.session, handle, write, 0, None, lambda size: None)
    running = asyncio.create_task(pump.run())
    await until(began.is_set)
    for _ in range(2):
        running.cancel()
        await asyncio.sleep(0)
        assert not running.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert pump.position == len(written.data) > 0


async def test_all_transfers_end_with_their_session(both: Both, tmp_path: Path) -> None:
    """Also one that waits for the window, with nothing in flight that would be answered."""
    _, line = both
    session, handle = line.session, await opened(line)
    (tmp_path / "f").write_bytes(CONTENT)
    session.window = Window(floor=session.read_size, ceiling=session.read_size)
    line.hold = True
    with (tmp_path / "f").open("rb") as file:
        pumps = [
            DownloadPump(session, handle, Written(), 0, None, lambda size: None),
            UploadPump(session, handle, file.fileno(), [(0, None)], lambda size: None),
        ]
        running = [asyncio.create_task(pump.run()) for pump in pumps]
        await until(lambda: any(line.held))
        session.end(ConnectionLost("as asked"))
        async with asyncio.timeout(30):
            for task in running:
                with pytest.raises(ConnectionLost, match="as asked"):
                    await task
    assert session.window.in_flight == 0


async def test_a_download_whose_disk_is_behind_ends_with_its_session(both: Both) -> None:
    _, line = both
    go, written = threading.Event(), Written()
    handle = await opened(line, bytes(24 << 20))

    def write(chunks: list[Buffer], offset: int) -> None:
        go.wait(30)
        written(chunks, offset)

    pump = DownloadPump(line.session, handle, write, 0, None, lambda size: None)
    running = asyncio.create_task(pump.run())
    await until(lambda: line.sent > 8 << 20 and line.session.window.in_flight == 0)
    line.session.end(ConnectionLost("as asked"))
    go.set()
    async with asyncio.timeout(30):
        with pytest.raises(ConnectionLost, match="as asked"):
            await running
    assert pump.position == len(written.data)


async def test_a_paced_download_ends_with_its_session(both: Both) -> None:
    _, line = both
    handle = await opened(line)
    line.session.turns.pace = Pace(1_000_000)
    pump = DownloadPump(line.session, handle, Written(), 0, None, lambda size: None)
    running = asyncio.create_task(pump.run())
    await until(lambda: line.sent > 100_000 and line.session.window.in_flight == 0)
    line.session.end(ConnectionLost("as asked"))
    async with asyncio.timeout(30):
        with pytest.raises(ConnectionLost, match="as asked"):
            await running


async def test_a_transfer_of_an_ended_session_fails(both: Both) -> None:
    _, line = both
    handle = await opened(line)
    line.session.close()
    async with asyncio.timeout(30):
        with pytest.raises(ConnectionLost):
            await DownloadPump(line.session, handle, Written(), 0, None, lambda size: None).run()


async def test_a_refused_write_ends_an_upload_at_its_watermark(both: Both, tmp_path: Path) -> None:
    _, line = both
    session, sent = line.session, list[bool]()
    handle, size = await opened(line, b""), session.write_size
    (tmp_path / "f").write_bytes(CONTENT)
    write = line.files.write

    def refuse(file: bytearray, offset: int, data: bytes | bytearray | memoryview) -> None:
        if offset == 3 * size:
            raise OSError(errno.EDQUOT, "")
        write(file, offset, data)

    line.files.write = refuse  # type: ignore[method-assign]
    # Less than the file at once, so that something is left to send when the answer arrives.
    session.window = Window(floor=4 * size, ceiling=4 * size)
    with (tmp_path / "f").open("rb") as file:
        pump = UploadPump(
            session,
            handle,
            file.fileno(),
            [(0, len(CONTENT))],
            lambda size: None,
            all_sent=lambda: sent.append(True),
        )
        with pytest.raises(OSError, match="quota"):
            await pump.run()
    assert pump.watermark == 3 * size
    assert sent == []
    await until(lambda: session.window.in_flight == 0)


async def test_a_cancelled_upload_waits_for_its_thread(
    both: Both, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, line = both
    began, go = threading.Event(), threading.Event()
    handle, read = await opened(line, b""), os.preadv
    (tmp_path / "f").write_bytes(CONTENT)

    def slow(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        began.set()
        go.wait(30)
        return read(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", slow)
    with (tmp_path / "f").open("rb") as file:
        pump = UploadPump(line.session, handle, file.fileno(), [(0, None)], lambda size: None)
        running = asyncio.create_task(pump.run())
        await until(began.is_set)
        running.cancel()
        await asyncio.sleep(0)
        assert not running.done()
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert line.files.files["/f"] == b""
    assert line.session.window.in_flight == 0


async def test_an_upload_sends_only_the_parts_with_data(both: Both, tmp_path: Path) -> None:
    _, line = both
    handle = await opened(line, b"")
    (tmp_path / "f").write_bytes(CONTENT)
    parts = [(10, 20), (1_000_000, 1_000_005)]
    moved: list[int] = []
    with (tmp_path / "f").open("rb") as file:
        await UploadPump(line.session, handle, file.fileno(), parts, moved.append).run()
    assert moved == [10, 5]
    expected = bytearray(1_000_005)
    for start, end in parts:
        expected[start:end] = CONTENT[start:end]
    assert line.files.files["/f"] == expected


async def test_pumps_that_wait_for_the_window_are_resumed(both: Both, tmp_path: Path) -> None:
    _, line = both
    session, size = line.session, line.session.write_size
    session.window = Window(floor=size, ceiling=size)
    (tmp_path / "f").write_bytes(CONTENT)
    flags = OpenFlag.WRITE | OpenFlag.CREAT
    with (tmp_path / "f").open("rb") as file:
        pumps = []
        for number in range(3):
            handle = await session.request(msg.Open(f"/{number}", flags))
            pumps.append(UploadPump(session, handle, file.fileno(), [(0, None)], lambda size: None))
        async with asyncio.timeout(30):
            await asyncio.gather(*[pump.run() for pump in pumps])
    assert all(line.files.files[f"/{number}"] == CONTENT for number in range(3))


def test_short_writes_of_the_system_are_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.pwritev

    def short(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        part = b"".join(buffers[:3])[:1000]
        return write(descriptor, [part], offset)

    monkeypatch.setattr(os, "pwritev", short)
    chunks: list[Buffer] = [CONTENT[at : at + 700] for at in range(0, 70_000, 700)]
    with (tmp_path / "f").open("wb") as file:
        write_all(file.fileno(), chunks, 5, holes=False)
    assert (tmp_path / "f").read_bytes() == bytes(5) + CONTENT[:70_000]


def test_more_chunks_than_the_system_takes_at_once_are_written(tmp_path: Path) -> None:
    chunks: list[Buffer] = [CONTENT[at : at + 1] for at in range(3000)]
    with (tmp_path / "f").open("wb") as file:
        write_all(file.fileno(), chunks, 0, holes=True)
    assert (tmp_path / "f").read_bytes() == CONTENT[:3000]


async def test_requests_wait_while_the_table_of_requests_is_full(both: Both) -> None:
    sftp, line = both
    session, written = line.session, Written()
    handle = await opened(line)
    line.hold = True
    waiting = [session.start(msg.Stat("/f")) for _ in range(session.client.room - 64)]
    await until_held(sftp, len(waiting))
    pump = DownloadPump(session, handle, written, 0, None, lambda size: None)
    running = asyncio.create_task(pump.run())
    await asyncio.sleep(0)
    assert session.client.waiting == len(waiting)
    line.release()
    await running
    assert written.data == CONTENT


def on_the_loop(session: SFTPSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make all calls on the loop, however slow: no thread then decides which transfer is next."""
    monkeypatch.setattr(session.disk, "attempt", lambda work: (work(), None))


async def test_a_small_download_does_not_wait_for_a_large_one(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, line = both
    session = line.session
    on_the_loop(session, monkeypatch)
    session.window = Window(floor=4 * session.read_size, ceiling=4 * session.read_size)
    large, small = Written(), Written()
    handle = await opened(line, bytes(24 << 20))
    pump = DownloadPump(session, handle, large, 0, None, lambda size: None, quick=True)
    running = asyncio.create_task(pump.run())
    await until(lambda: len(large.data) > 0)
    async with asyncio.timeout(30):
        end = 2 << 20
        await DownloadPump(session, handle, small, 0, end, lambda size: None, quick=True).run()
        assert not running.done()
        await running
    assert (len(small.data), len(large.data)) == (2 << 20, 24 << 20)


async def test_a_small_upload_does_not_wait_for_a_large_one(
    both: Both, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, line = both
    session, size = line.session, line.session.write_size
    on_the_loop(session, monkeypatch)
    session.window = Window(floor=size, ceiling=size)
    (tmp_path / "f").write_bytes(bytes(8 << 20))
    moved: list[int] = []
    handle = await opened(line, b"")
    with (tmp_path / "f").open("rb") as file:
        large = UploadPump(session, handle, file.fileno(), [(0, None)], moved.append, quick=True)
        running = asyncio.create_task(large.run())
        await until(lambda: bool(moved))
        parts = [(0, 2 * size)]
        small = UploadPump(session, handle, file.fileno(), parts, lambda size: None, quick=True)
        async with asyncio.timeout(30):
            await small.run()
            assert not running.done()
            assert sum(moved) < 4 << 20
            await running
    assert sum(moved) == 8 << 20
