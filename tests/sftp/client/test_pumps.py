"""The bytes of one file: short answers, holes, failures, the pace."""

from __future__ import annotations

import asyncio
from pathlib import Path

from nacre.sftp.client.client import SFTPClient
from nacre.sftp.client.pace import Pace
from nacre.sftp.client.pumps import UploadPump, write_all
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.protocol.pipeline import Window
from sftp.client.lines import CONTENT, MemoryLine


async def test_short_reads_are_asked_for_again(
    both: tuple[SFTPClient, MemoryLine], tmp_path: Path
) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray(CONTENT)
    for short in (0, 1 << 20, 100_000, 8192):
        line.files.short = short
        await sftp.get("/f", tmp_path / "f", verify=True)
        assert (tmp_path / "f").read_bytes() == CONTENT
        assert await sftp.read_bytes("/f") == CONTENT


async def test_all_is_sent_when_no_write_can_follow(
    both: tuple[SFTPClient, MemoryLine], tmp_path: Path
) -> None:
    _, line = both
    session = line.session
    (tmp_path / "f").write_bytes(CONTENT)
    handle = await session.request(msg.Open("/f", OpenFlag.WRITE | OpenFlag.CREAT))
    told: list[int | None] = []
    with (tmp_path / "f").open("rb") as file:
        # It was longer when it was looked at: what is left of the last span is asked for again.
        parts = [(0, len(CONTENT) + 5)]
        subject = UploadPump(
            session,
            handle,
            file.fileno(),
            parts,
            lambda data: None,
            all_sent=lambda: told.append(subject.end),
        )
        await subject.run()
    assert told == [len(CONTENT)]
    assert line.files.files["/f"] == CONTENT


async def test_a_copy_that_can_not_be_read_leaves_its_room_to_others(
    both: tuple[SFTPClient, MemoryLine], tmp_path: Path
) -> None:
    _, line = both
    session = line.session
    session.window = Window(floor=64 * 1024, ceiling=64 * 1024)
    (tmp_path / "f").write_bytes(CONTENT)
    handle = await session.request(msg.Open("/f", OpenFlag.WRITE | OpenFlag.CREAT))
    with (tmp_path / "f").open("rb") as file:
        good = UploadPump(session, handle, file.fileno(), [(0, len(CONTENT))], lambda data: None)
        bad = UploadPump(session, handle, -1, [(0, 1 << 20)], lambda data: None)
        async with asyncio.timeout(10):
            results = await asyncio.gather(bad.run(), good.run(), return_exceptions=True)
    assert isinstance(results[0], OSError)
    assert results[1] is None
    assert line.files.files["/f"] == CONTENT
    assert session.window.in_flight == 0


def test_zeros_become_holes(tmp_path: Path) -> None:
    path = tmp_path / "f"
    with path.open("wb") as file:
        chunks = [b"x" * 4096, bytes(1 << 20), bytearray(1 << 20), b"\0" * 4095 + b"y", bytes(10)]
        write_all(file.fileno(), [memoryview(chunk) for chunk in chunks], 0, holes=True)
    assert path.read_bytes() == b"".join(chunks)
    assert path.stat().st_blocks * 512 < 1 << 20
    with path.open("r+b") as file:
        write_all(file.fileno(), [memoryview(bytes(4096))], 0, holes=False)
    assert path.read_bytes()[:4096] == bytes(4096)


async def test_a_paced_copy_arrives(both: tuple[SFTPClient, MemoryLine], tmp_path: Path) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray(CONTENT)
    line.session.pace = Pace(8_000_000)
    began = asyncio.get_running_loop().time()
    await sftp.get("/f", tmp_path / "f")
    assert asyncio.get_running_loop().time() - began > 0.1
    assert (tmp_path / "f").read_bytes() == CONTENT
