"""The session over a line that takes little, breaks, or answers late."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from nacre.errors import ConnectionLost, RemoteProtocolError
from nacre.sftp.client.client import SFTPClient
from sftp.client.lines import CONTENT, MemoryLine, give_up


async def test_everything_taken_is_credited(both: tuple[SFTPClient, MemoryLine]) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray(CONTENT)
    assert await sftp.read_bytes("/f") == CONTENT
    await asyncio.sleep(0)
    assert line.credited == line.sent > len(CONTENT)


async def test_a_line_that_takes_little_at_once(
    both: tuple[SFTPClient, MemoryLine], tmp_path: Path
) -> None:
    sftp, line = both
    (tmp_path / "f").write_bytes(CONTENT)
    line.takes = 0
    await sftp.put(tmp_path / "f", "/f", verify=True)
    line.takes = 1000
    await sftp.put(tmp_path / "f", "/g")
    assert line.files.files["/f"] == line.files.files["/g"] == CONTENT


async def test_requests_of_one_turn_leave_in_one_piece(
    both: tuple[SFTPClient, MemoryLine],
) -> None:
    sftp, line = both
    line.files.directories.add("/d")
    writes: list[None] = []
    line.on_write = lambda: writes.append(None)
    found = await asyncio.gather(*[sftp.stat("/d") for _ in range(50)])
    assert len(found) == 50
    assert len(writes) == 1


async def test_whoever_waits_gets_what_ended_the_session(
    both: tuple[SFTPClient, MemoryLine], tmp_path: Path
) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray(CONTENT)
    line.hold = True
    tasks = [
        asyncio.create_task(sftp.stat("/")),
        asyncio.create_task(sftp.get("/f", tmp_path / "f")),
        asyncio.create_task(sftp.listdir("/")),
    ]
    await asyncio.sleep(0.01)
    line.session.end(ConnectionLost("gone"))
    for task in tasks:
        with pytest.raises(ConnectionLost, match="gone"):
            await task
    with pytest.raises(ConnectionLost):
        await sftp.stat("/")
    assert line.closed


async def test_a_server_that_breaks_the_protocol_ends_the_session(
    both: tuple[SFTPClient, MemoryLine],
) -> None:
    sftp, line = both
    line.hold = True
    task = asyncio.create_task(sftp.stat("/"))
    await asyncio.sleep(0)
    line.session.feed(b"\0\0\0\x05\x65\xff\xff\xff\xff")
    with pytest.raises(RemoteProtocolError):
        await task
    assert line.closed


async def test_a_handle_that_comes_too_late_is_closed(
    both: tuple[SFTPClient, MemoryLine],
) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray(b"x")
    line.hold = True
    task = asyncio.create_task(sftp.open("/f", "rb"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await give_up(task, sftp, line)
    assert len(line.files.closed) == 1
