"""One file that is copied: what is requested, in which order, and what is left after an error."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from nacre.sftp.client.client import SFTPClient
from nacre.sftp.client.movers import Uploader
from sftp.client.lines import CONTENT, MemoryLine, give_up, until, until_held


async def test_a_file_is_opened_while_its_attributes_are_on_their_way(
    both: tuple[SFTPClient, MemoryLine], tmp_path: Path
) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray(CONTENT)
    line.files.directories.add("/d")
    line.hold = True
    task = asyncio.create_task(sftp.get("/f", tmp_path / "f"))
    await until_held(sftp, 2)
    line.release()
    await task
    assert (tmp_path / "f").read_bytes() == CONTENT
    with pytest.raises(IsADirectoryError):
        await sftp.get("/d", tmp_path / "d")
    with pytest.raises(FileNotFoundError):
        await sftp.get("/none", tmp_path / "none")
    line.hold = True
    task = asyncio.create_task(sftp.get("/f", tmp_path / "g"))
    await until_held(sftp, 2)
    await give_up(task, sftp, line)
    assert len(line.files.closed) == 2
    assert not (tmp_path / "g").exists()


async def test_a_copy_is_opened_while_it_may_still_be_a_directory(
    both: tuple[SFTPClient, MemoryLine], tmp_path: Path
) -> None:
    sftp, line = both
    (tmp_path / "f").write_bytes(CONTENT)
    line.files.directories.add("/d")
    line.hold = True
    task = asyncio.create_task(sftp.put(tmp_path / "f", "/f"))
    await until_held(sftp, 2)
    line.release()
    await task
    assert line.files.files == {"/f": CONTENT}
    await sftp.put(tmp_path / "f", "/d")
    assert line.files.files == {"/f": CONTENT, "/d/f": CONTENT}
    line.hold = True
    task = asyncio.create_task(sftp.put(tmp_path / "f", "/g"))
    await until_held(sftp, 2)
    await give_up(task, sftp, line)
    assert len(line.files.closed) == 3


async def test_what_can_not_be_copied_costs_a_copy_nothing(
    both: tuple[SFTPClient, MemoryLine], tmp_path: Path
) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray(CONTENT)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(FileNotFoundError):
        await sftp.put(tmp_path / "none", "/f")
    with pytest.raises(IsADirectoryError):
        await sftp.put(tmp_path, "/f")
    with pytest.raises(OSError, match="symbolic"):
        await sftp.put(tmp_path / "loop", "/f")
    mover = Uploader(sftp.session)
    await mover.expect(str(tmp_path / "pipe"), "/f")
    assert sftp.session.client.waiting == 0
    assert line.files.files == {"/f": CONTENT}


async def test_a_copy_is_closed_behind_its_last_write(
    both: tuple[SFTPClient, MemoryLine], tmp_path: Path
) -> None:
    sftp, line = both
    (tmp_path / "f").write_bytes(CONTENT)
    os.utime(tmp_path / "f", (1000, 2000))
    line.hold = True
    task = asyncio.create_task(sftp.put(tmp_path / "f", "/f", preserve=True, fsync=True))
    await until_held(sftp, 2)
    line.release()
    line.hold = True
    await until(lambda: len(line.files.closed) == 1)
    assert line.files.files["/f"] == CONTENT
    assert line.files.synced == ["/f"]
    assert [attributes.mtime for _, attributes in line.files.set] == [2000]
    assert not task.done()
    line.release()
    await task


async def test_a_write_that_fails_before_the_close_is_told(
    both: tuple[SFTPClient, MemoryLine], tmp_path: Path
) -> None:
    sftp, line = both
    (tmp_path / "f").write_bytes(CONTENT)
    write = line.files.write

    def fail_once(file: bytearray, offset: int, data: bytes | bytearray | memoryview) -> None:
        if offset == 2 * line.session.write_size:
            raise OSError(28, "")
        write(file, offset, bytes(data))

    line.files.write = fail_once  # type: ignore[method-assign]
    line.hold = True
    task = asyncio.create_task(sftp.put(tmp_path / "f", "/f"))
    await until_held(sftp, 2)
    line.release()
    line.hold = True
    await until(lambda: len(line.files.closed) == 1)
    line.release()
    with pytest.raises(OSError, match="No space"):
        await task
    await sftp.stat("/")
    # What was written behind the gap is cut off, by name: the handle may be another file's now.
    assert [(path, found.size) for path, found in line.files.set] == [
        ("/f", 2 * line.session.write_size)
    ]
    assert len(line.files.closed) == 1


async def test_no_space_on_the_server(both: tuple[SFTPClient, MemoryLine], tmp_path: Path) -> None:
    sftp, line = both
    (tmp_path / "f").write_bytes(CONTENT)
    line.files.room = 1_000_000
    with pytest.raises(OSError, match="No space") as caught:
        await sftp.put(tmp_path / "f", "/f")
    assert caught.value.errno == 28
    with pytest.raises(OSError, match="No space"):
        await sftp.put(tmp_path / "f", "/g", atomic=True)
    assert set(line.files.files) == {"/f"}
    assert line.session.window.in_flight == 0
