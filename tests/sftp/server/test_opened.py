"""Open files and directories of a session: uploads, copies, listings."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterator
from typing import Any

import pytest

from nacre.sftp.filesystems.base import File, Filesystem, Upload
from nacre.sftp.filesystems.memory import MemoryFilesystem
from nacre.sftp.protocol.attributes import Attributes, Entry
from nacre.sftp.protocol.messages import OpenFlag, Pieces
from nacre.sftp.server.opened import (
    ENTRIES,
    OpenedDirectory,
    OpenedFile,
    carried_out,
    pread,
)

NEW = OpenFlag.READ | OpenFlag.WRITE | OpenFlag.CREAT


class Uploads(MemoryFilesystem):
    """Notes how uploads ended."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.ended: list[Upload] = []

    def upload_ended(self, upload: Upload) -> None:
        self.ended.append(upload)

    def opened(self, path: str, *, writable: bool = True) -> OpenedFile:
        flags = NEW if writable else OpenFlag.READ
        return OpenedFile(self, path, self.open(path, flags, Attributes()), writable)


def test_a_coroutine_that_waits_for_nothing_is_run_without_a_loop() -> None:
    async def inner() -> int:
        return 5

    async def outer() -> int:
        return await inner() + 1

    async def fails() -> None:
        raise FileNotFoundError("as asked")

    assert carried_out(outer()) == 6
    with pytest.raises(FileNotFoundError, match="as asked"):
        carried_out(fails())


def test_one_that_waits_is_refused_with_the_remedy() -> None:
    with pytest.raises(TypeError, match="blocking = False"):
        carried_out(asyncio.sleep(0))


def test_an_upload_is_complete_when_the_client_closes_it() -> None:
    files = Uploads()
    file = files.opened("/f")
    carried_out(file.write([b"12", Pieces([memoryview(b"3"), memoryview(b"45")])], 1))
    assert files["/f"] == b"\x0012345"
    carried_out(file.end(complete=True))
    assert files.ended == [Upload("/f", 6, True)]


def test_it_is_not_when_the_session_broke_off() -> None:
    files = Uploads()
    file = files.opened("/f")
    carried_out(file.write([b"12"], 0))
    carried_out(file.end(complete=False))
    assert files.ended == [Upload("/f", 2, False)]


def test_it_is_not_when_a_write_failed() -> None:
    files = Uploads(size=10)
    file = files.opened("/f")
    with pytest.raises(OSError, match="No space"):
        carried_out(file.write([bytes(11)], 0))
    carried_out(file.write([b"1"], 0))
    carried_out(file.end(complete=True))
    assert files.ended == [Upload("/f", 1, False)]


def test_a_file_that_was_read_is_no_upload() -> None:
    files = Uploads()
    files["/f"] = b"content"
    file = files.opened("/f", writable=False)
    with pytest.raises(OSError, match="open for reading"):
        carried_out(file.write([b"x"], 0))
    carried_out(file.end(complete=True))
    assert files.ended == []


def test_a_copy_goes_through_memory_where_the_filesystem_can_not_copy() -> None:
    files = Uploads()
    files["/f"] = b"0123456789"
    source, target = files.opened("/f", writable=False), files.opened("/g")
    assert carried_out(target.copy_from(source, 3, 4, 1)) == 4
    assert files["/g"] == b"\x003456"
    assert carried_out(target.copy_from(source, 10, 4, 5)) == 0
    carried_out(target.end(complete=True))
    assert files.ended == [Upload("/g", 5, True)]


def test_the_filesystem_copies_where_it_can() -> None:
    class Copies(File):
        copied: tuple[File, int, int, int] | None = None

        def copy_from(self, source: File, start: int, length: int, offset: int) -> int:
            self.copied = source, start, length, offset
            return 3

    source, target = Copies(), Copies()
    opened = OpenedFile(Filesystem(), "/g", target, True)
    assert carried_out(opened.copy_from(OpenedFile(Filesystem(), "/f", source, False), 1, 5, 2))
    assert target.copied == (source, 1, 5, 2)
    assert not opened.failed


@pytest.mark.parametrize("where", ["the copy", "the write"])
def test_a_copy_that_fails_makes_the_upload_incomplete(where: str) -> None:
    class Full(File):
        def pread(self, size: int, offset: int) -> bytes:
            return bytes(size)

        def pwrite(self, data: Any, offset: int) -> None:
            raise OSError(errno.ENOSPC, "full")

    class FullCopies(Full):
        def copy_from(self, source: File, start: int, length: int, offset: int) -> int:
            raise OSError(errno.ENOSPC, "full")

    file = Full() if where == "the write" else FullCopies()
    opened = OpenedFile(Filesystem(), "/g", file, True)
    with pytest.raises(OSError, match="full"):
        carried_out(opened.copy_from(opened, 0, 5, 10))
    assert opened.failed


def test_a_file_with_vectors_is_read_into_memory_of_its_own() -> None:
    class Vectors(File):
        vectors = True

        def preadv(self, buffers: Any, offset: int, *, wait: bool = True) -> int:
            buffers[0][:2] = b"ab"
            return 2

    assert bytes(carried_out(pread(Vectors(), 100, 0))) == b"ab"


class Listed(Filesystem):
    """A directory with many entries; it notes which names were asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
        self.closed = False

    def entries(self, count: int) -> Iterator[Entry]:
        try:
            for number in range(count):
                found = Attributes(size=1, uid=number % 2, gid=7, permissions=0o100644)
                yield Entry(f"f{number}", "", found)
        finally:
            self.closed = True

    def names(
        self, uids: tuple[int, ...], gids: tuple[int, ...]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        self.asked.append((tuple(sorted(uids)), gids))
        return tuple(f"user{uid}" for uid in uids), ("staff",) * len(gids)


def test_a_listing_comes_in_portions_with_owners_looked_up_once() -> None:
    files = Listed()
    directory = OpenedDirectory(files, "/", files.entries(ENTRIES + 10))
    first = carried_out(directory.read())
    assert len(first) == ENTRIES
    assert first[1].longname.split()[2:4] == ["user1", "staff"]
    directory.ahead = first[-3:]
    assert carried_out(directory.read()) == first[-3:]
    assert len(carried_out(directory.read())) == 10
    assert carried_out(directory.read()) == []
    assert files.asked == [((0, 1), (7,))]


def test_a_listing_that_is_closed_early_ends_its_generator() -> None:
    files = Listed()
    directory = OpenedDirectory(files, "/", files.entries(ENTRIES + 10))
    carried_out(directory.read())
    assert not files.closed
    carried_out(directory.end(complete=False))
    assert files.closed


async def test_a_listing_may_be_an_asynchronous_generator() -> None:
    async def entries() -> Any:
        for number in range(3):
            await asyncio.sleep(0)
            yield Entry(str(number), "as it is", Attributes())

    directory = OpenedDirectory(Filesystem(), "/", entries())
    assert [entry.name for entry in await directory.read()] == ["0", "1", "2"]
    assert await directory.read() == []
    await directory.end(complete=True)


async def test_what_was_read_ahead_is_the_next_answer_and_so_is_a_failure() -> None:
    def entries() -> Iterator[Entry]:
        for number in range(ENTRIES + 10):
            yield Entry(str(number), "line")
        raise OSError(errno.EIO, "the disk is broken")

    listing = OpenedDirectory(Filesystem(), "/", entries())
    first = await listing.read()
    assert len(first) == ENTRIES
    await listing.read_ahead()
    await listing.read_ahead()
    with pytest.raises(OSError, match="broken"):
        await listing.read()
    # The names before the failure were not given, as without reading ahead.
    assert await listing.read() == []


async def test_a_directory_that_is_read_ahead_is_listed_whole() -> None:
    listing = OpenedDirectory(Filesystem(), "/", [Entry(str(n), "line") for n in range(600)])
    names: list[str] = []
    while taken := await listing.read():
        names += [entry.name for entry in taken]
        await listing.read_ahead()
    assert names == [str(n) for n in range(600)]
    await listing.end(complete=True)
    assert listing.ahead == []
