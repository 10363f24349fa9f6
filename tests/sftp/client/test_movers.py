"""One file that is copied: what is requested, in which order, and what is left after an error."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from nacre.sftp.client.client import SFTPClient
from nacre.sftp.client.movers import Copier, Copy, Downloader, Uploader
from nacre.sftp.client.options import CopyOptions
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.pipeline import Window
from nacre.sftp.protocol.server import Call
from sftp.client.lines import CONTENT, MemoryLine, give_up, open_memory, until, until_held

Both = tuple[SFTPClient, MemoryLine]

FILE = stat.S_IFREG | 0o640


def a_copy(
    source: object, target: object, size: int | None, start: int = 0, **options: Any
) -> Copy:
    """Return what a mover is given; ``moved`` of it is a list's ``append``."""
    attributes = Attributes(size=size, permissions=FILE, atime=1000, mtime=2000)
    moved: list[int] = []
    return Copy(str(source), str(target), attributes, start, CopyOptions(**options), moved.append)


def moved(copy: Copy) -> list[int]:
    """Return the portions that were reported."""
    found: list[int] = copy.moved.__self__  # type: ignore[attr-defined]
    return found


def requests_of(line: MemoryLine) -> list[str]:
    """Return a list that will have the names of the requests that arrive, in their order."""
    names: list[str] = []
    answer = line.files.answer

    def note(server: Any, call: Call) -> None:
        names.append(type(call.request).__name__)
        answer(server, call)

    line.files.answer = note  # type: ignore[method-assign]
    return names


async def test_a_file_is_opened_while_its_attributes_are_on_their_way(
    both: Both, tmp_path: Path
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
    both: Both, tmp_path: Path
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
    task = asyncio.create_task(sftp.put(tmp_path / "f", "/f"))
    await until_held(sftp, 2)
    await give_up(task, sftp, line)
    assert len(line.files.closed) == 3


@pytest.mark.parametrize("target", [None, ".", "/", "/d", "/d/", "/d/.", "", "d"])
async def test_no_directory_is_opened_to_be_written(
    target: str | None, both: Both, tmp_path: Path
) -> None:
    """Not every server refuses: some make an object of that name."""
    sftp, line = both
    (tmp_path / "f").write_bytes(CONTENT)
    line.files.directories.add("/d")
    opened: list[str] = []
    real = line.files.open

    def note(path: str, flags: int) -> object:
        opened.append(path)
        return real(path, flags)

    line.files.open = note  # type: ignore[method-assign,assignment]
    await sftp.put(tmp_path / "f", target)
    directory = "/d" if "d" in (target or "") else ""
    assert opened == [f"{directory}/f"]


async def test_what_can_not_be_copied_costs_a_copy_nothing(both: Both, tmp_path: Path) -> None:
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


async def test_a_copy_is_closed_behind_its_last_write(both: Both, tmp_path: Path) -> None:
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


async def test_a_write_that_fails_before_the_close_is_raised(both: Both, tmp_path: Path) -> None:
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


async def test_no_space_on_the_server(both: Both, tmp_path: Path) -> None:
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


# --- downloads ---


async def test_a_small_file_is_one_read(both: Both, tmp_path: Path) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray(b"small")
    names = requests_of(line)
    copy = a_copy("/f", tmp_path / "f", 5)
    assert await Downloader(sftp.session).move(copy) == 5
    assert (tmp_path / "f").read_bytes() == b"small"
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) & 0o700 == 0o600
    assert moved(copy) == [5]
    await until(lambda: sftp.session.client.waiting == 0)
    assert names == ["Open", "Read", "Close"]


@pytest.mark.parametrize("size", [None, 0, 3, len(CONTENT), 2 * len(CONTENT)])
async def test_a_file_is_copied_whole_whatever_size_it_was_said_to_have(
    both: Both, tmp_path: Path, size: int | None
) -> None:
    """As files in ``/proc`` have the size 0, and others grow or shrink meanwhile."""
    sftp, line = both
    line.files.files["/f"] = bytearray(CONTENT)
    copy = a_copy("/f", tmp_path / "f", size)
    whole = 3 if size == 3 else len(CONTENT)
    assert await Downloader(sftp.session).move(copy) == whole
    assert (tmp_path / "f").read_bytes() == CONTENT[:whole]
    assert sum(moved(copy)) == whole


async def test_an_empty_file_is_made(both: Both, tmp_path: Path) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray()
    (tmp_path / "f").write_bytes(b"older")
    assert await Downloader(sftp.session).move(a_copy("/f", tmp_path / "f", 0)) == 0
    assert (tmp_path / "f").read_bytes() == b""


@pytest.mark.parametrize("content", [b"small", CONTENT])
async def test_preserve_keeps_permissions_and_times_of_a_download(
    both: Both, tmp_path: Path, content: bytes
) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray(content)
    copy = a_copy("/f", tmp_path / "f", len(content), preserve=True, fsync=True)
    await Downloader(sftp.session).move(copy)
    found = (tmp_path / "f").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_mtime) == (0o640, 2000)
    await Downloader(sftp.session).move(a_copy("/f", tmp_path / "g", len(content)))
    assert (tmp_path / "g").stat().st_mtime > 2000


@pytest.mark.parametrize("content", [b"small", CONTENT])
async def test_a_download_is_brought_to_the_disk_whole_when_that_is_asked_for(
    both: Both, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray(content)
    synced: list[tuple[int, float]] = []

    def fsync(descriptor: int) -> None:
        found = os.fstat(descriptor)
        synced.append((found.st_size, found.st_mtime))

    monkeypatch.setattr(os, "fsync", fsync)
    await Downloader(sftp.session).move(a_copy("/f", tmp_path / "f", len(content)))
    assert synced == []
    copy = a_copy("/f", tmp_path / "f", len(content), preserve=True, fsync=True)
    await Downloader(sftp.session).move(copy)
    assert synced == [(len(content), 2000)], "its attributes too"


async def test_a_download_from_the_middle_keeps_what_is_there(both: Both, tmp_path: Path) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray(CONTENT)
    (tmp_path / "f").write_bytes(b"x" * 1000)
    copy = a_copy("/f", tmp_path / "f", len(CONTENT), start=1000)
    assert await Downloader(sftp.session).move(copy) == len(CONTENT)
    assert (tmp_path / "f").read_bytes() == b"x" * 1000 + CONTENT[1000:]
    assert sum(moved(copy)) == len(CONTENT) - 1000


async def test_a_download_that_is_there_already_gets_its_attributes(
    both: Both, tmp_path: Path
) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray(CONTENT)
    (tmp_path / "f").write_bytes(CONTENT)
    copy = a_copy("/f", tmp_path / "f", len(CONTENT), start=len(CONTENT), preserve=True)
    await Downloader(sftp.session).move(copy)
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert (tmp_path / "f").stat().st_mtime == 2000


async def test_zeros_at_the_end_of_a_download_are_not_lost(both: Both, tmp_path: Path) -> None:
    """They are left out as a hole, which the size must make up for."""
    sftp, line = both
    content = b"x" * 1000 + bytes(300_000)
    line.files.files["/f"] = bytearray(content)
    await Downloader(sftp.session).move(a_copy("/f", tmp_path / "f", len(content)))
    assert (tmp_path / "f").read_bytes() == content


async def test_an_interrupted_download_leaves_a_file_without_gaps(
    both: Both, tmp_path: Path
) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray(CONTENT)
    read = line.files.data

    def fail(call: Call, which: int = 0) -> bytearray:
        assert isinstance(call.request, msg.Read)
        if call.request.offset > 1_500_000:
            raise OSError(errno.EIO, "")
        return read(call, which)

    line.files.data = fail  # type: ignore[method-assign]
    sftp.session.window = Window(floor=sftp.session.read_size, ceiling=sftp.session.read_size)
    with pytest.raises(OSError, match="Input/output"):
        await Downloader(sftp.session).move(a_copy("/f", tmp_path / "f", len(CONTENT)))
    left = (tmp_path / "f").read_bytes()
    assert len(left) > 1_000_000
    assert left == CONTENT[: len(left)]
    await until(lambda: sftp.session.client.waiting == 0)
    assert len(line.files.closed) == 1


async def test_a_file_that_can_not_be_written_closes_its_original(
    both: Both, tmp_path: Path
) -> None:
    sftp, line = both
    for content in (b"small", CONTENT):
        line.files.files["/f"] = bytearray(content)
        with pytest.raises(FileNotFoundError):
            await Downloader(sftp.session).move(a_copy("/f", tmp_path / "no" / "f", len(content)))
    await until(lambda: sftp.session.client.waiting == 0)
    assert len(line.files.closed) == 2


async def test_a_download_into_a_pipe_does_not_block_the_loop(both: Both, tmp_path: Path) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray(b"small")
    os.mkfifo(tmp_path / "pipe")
    copying = asyncio.create_task(
        Downloader(sftp.session).move(a_copy("/f", tmp_path / "pipe", 5, preserve=False))
    )
    await until(lambda: sftp.session.client.waiting == 0)
    read = await asyncio.to_thread((tmp_path / "pipe").open, "rb")
    # Writes have offsets, which pipes do not take.
    with pytest.raises(OSError, match="seek"):
        await copying
    read.close()


# --- uploads ---


async def test_a_small_file_is_sent_with_its_close(both: Both, tmp_path: Path) -> None:
    sftp, line = both
    (tmp_path / "f").write_bytes(b"small")
    names = requests_of(line)
    writes: list[None] = []
    line.on_write = lambda: writes.append(None)
    copy = a_copy(tmp_path / "f", "/f", 5, preserve=True, fsync=True)
    assert await Uploader(sftp.session).move(copy) == 5
    assert line.files.files["/f"] == b"small"
    assert names == ["Open", "Write", "FSync", "FSetStat", "Close"]
    assert len(writes) == 2
    assert moved(copy) == [5]


async def test_an_empty_file_is_sent_without_a_write(both: Both, tmp_path: Path) -> None:
    sftp, line = both
    (tmp_path / "f").write_bytes(b"")
    names = requests_of(line)
    copy = a_copy(tmp_path / "f", "/f", 0)
    assert await Uploader(sftp.session).move(copy) == 0
    assert names == ["Open", "Close"]
    assert moved(copy) == []


async def test_an_upload_from_the_middle_truncates_nothing(both: Both, tmp_path: Path) -> None:
    sftp, line = both
    (tmp_path / "f").write_bytes(CONTENT)
    line.files.files["/f"] = bytearray(b"x" * 1000)
    copy = a_copy(tmp_path / "f", "/f", len(CONTENT), start=1000)
    assert await Uploader(sftp.session).move(copy) == len(CONTENT)
    assert line.files.files["/f"] == b"x" * 1000 + CONTENT[1000:]
    assert sum(moved(copy)) == len(CONTENT) - 1000


@pytest.mark.parametrize("size", [100, len(CONTENT)])
async def test_an_upload_in_place_truncates_at_its_end(
    both: Both, tmp_path: Path, size: int
) -> None:
    sftp, line = both
    (tmp_path / "f").write_bytes(CONTENT[:size])
    line.files.files["/f"] = bytearray(CONTENT + b"more")
    names = requests_of(line)
    copy = a_copy(tmp_path / "f", "/f", size, in_place=True)
    assert await Uploader(sftp.session).move(copy) == size
    assert names[-2:] == ["FSetStat", "Close"]
    assert [found.size for _, found in line.files.set] == [size]


async def test_a_hole_at_the_end_is_sent_as_the_files_size(both: Both, tmp_path: Path) -> None:
    sftp, line = both
    size = 3 << 20
    with (tmp_path / "f").open("wb") as file:
        file.write(b"x" * 4096)
        file.truncate(size)
    if (tmp_path / "f").stat().st_blocks * 512 >= size:
        pytest.skip("this file system keeps no holes")
    copy = a_copy(tmp_path / "f", "/f", size)
    assert await Uploader(sftp.session).move(copy) == size
    assert [found.size for _, found in line.files.set] == [size]
    assert sum(moved(copy)) < size


async def test_a_file_that_grew_is_sent_up_to_its_end(both: Both, tmp_path: Path) -> None:
    """What it is said to have is what it had when its directory was listed."""
    sftp, line = both
    (tmp_path / "f").write_bytes(CONTENT)
    assert await Uploader(sftp.session).move(a_copy(tmp_path / "f", "/f", 3)) == len(CONTENT)
    assert line.files.files["/f"] == CONTENT


async def test_a_file_without_a_size_is_read_to_its_end(both: Both, tmp_path: Path) -> None:
    sftp, line = both
    status = Path("/proc/self/status")
    assert status.stat().st_size == 0
    size = await Uploader(sftp.session).move(a_copy(status, "/f", 0))
    assert size == len(line.files.files["/f"]) > 100
    assert line.files.files["/f"].startswith(b"Name:")


async def test_fsync_is_left_out_if_the_server_lacks_it(both: Both, tmp_path: Path) -> None:
    sftp, line = both
    sftp.session.client.extensions = {}
    (tmp_path / "f").write_bytes(b"small")
    await Uploader(sftp.session).move(a_copy(tmp_path / "f", "/f", 5, fsync=True))
    assert line.files.synced == []
    assert line.files.files["/f"] == b"small"


# --- copies of servers ---


async def test_a_server_copies_by_itself(both: Both) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray(CONTENT)
    names = requests_of(line)
    copy = a_copy("/f", "/g", len(CONTENT), preserve=True, fsync=True)
    assert await Copier(sftp.session, sftp.session).move(copy) == len(CONTENT)
    assert line.files.files["/g"] == CONTENT
    assert moved(copy) == [len(CONTENT)]
    await until(lambda: sftp.session.client.waiting == 0)
    assert names == ["Open", "Open", "CopyData", "FSync", "FSetStat", "Close", "Close"]
    assert [(path, found.mtime) for path, found in line.files.set] == [("/g", 2000)]
    assert line.files.synced == ["/g"]


async def test_a_server_copies_only_what_is_missing(both: Both) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray(CONTENT)
    line.files.files["/g"] = bytearray(b"x" * 1000)
    copy = a_copy("/f", "/g", len(CONTENT), start=1000)
    assert await Copier(sftp.session, sftp.session).move(copy) == len(CONTENT)
    assert line.files.files["/g"] == b"x" * 1000 + CONTENT[1000:]
    names = requests_of(line)
    copy = a_copy("/f", "/g", len(CONTENT), start=len(CONTENT))
    assert await Copier(sftp.session, sftp.session).move(copy) == len(CONTENT)
    assert "CopyData" not in names
    assert moved(copy) == []


@pytest.mark.parametrize("start", [0, 1000])
async def test_without_copy_data_the_bytes_are_relayed(both: Both, start: int) -> None:
    sftp, line = both
    sftp.session.client.extensions = {}
    line.files.files["/f"] = bytearray(CONTENT)
    line.files.files["/g"] = bytearray(b"x" * start)
    copy = a_copy("/f", "/g", len(CONTENT), start=start)
    assert await Copier(sftp.session, sftp.session).move(copy) == len(CONTENT)
    assert line.files.files["/g"] == b"x" * start + CONTENT[start:]
    assert sum(moved(copy)) == len(CONTENT) - start
    await until(lambda: sftp.session.client.waiting == 0)
    assert len(line.files.closed) == 2


async def test_bytes_go_from_server_to_server(both: Both) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray(CONTENT)
    there, far = await open_memory()
    async with there:
        copy = a_copy("/f", "/g", len(CONTENT))
        assert await Copier(sftp.session, there.session).move(copy) == len(CONTENT)
        assert far.files.files == {"/g": CONTENT}
        assert line.files.files == {"/f": CONTENT}


async def test_a_copy_that_fails_leaves_no_file_open(both: Both) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray(CONTENT)
    line.files.room = 1000
    with pytest.raises(OSError, match="No space"):
        await Copier(sftp.session, sftp.session).move(a_copy("/f", "/g", len(CONTENT)))
    line.files.directories.add("/d")
    with pytest.raises(IsADirectoryError):
        await Copier(sftp.session, sftp.session).move(a_copy("/f", "/d", len(CONTENT)))
    await until(lambda: sftp.session.client.waiting == 0)
    assert len(line.files.closed) == 3
