"""scp's server over a filesystem: what a client types, what it gets, what is left afterwards."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Coroutine
from typing import Any

import pytest

from nacre.scp.command import ScpCommand
from nacre.scp.server import serve_scp
from nacre.sftp.filesystems.base import File, Upload
from nacre.sftp.filesystems.memory import MemoryFilesystem
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.server.journal import Journal


class Files(MemoryFilesystem):
    """Notes how uploads ended."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.ended: list[Upload] = []

    def upload_ended(self, upload: Upload) -> None:
        self.ended.append(upload)


class Line:
    """A client that types portions, and keeps what it gets."""

    def __init__(self, *typed: bytes) -> None:
        self.typed = list(typed)
        self.got = bytearray()

    async def read(self, n: int = -1) -> bytes:
        return self.typed.pop(0) if self.typed else b""

    async def write(self, data: Any) -> None:
        self.got += data


async def do(work: Coroutine[Any, Any, Any]) -> Any:
    return await work


async def served(
    files: MemoryFilesystem, line: Line, command: ScpCommand, records: list[Any] | None = None
) -> int:
    def record(event: str, **fields: object) -> None:
        if records is not None:
            records.append({"event": event, **fields})

    async with asyncio.timeout(30):
        journal = Journal(record, detailed=records is not None)
        return await serve_scp(line, do, files, command, journal)


def sink(path: str = ".", **options: Any) -> ScpCommand:
    return ScpCommand("sink", (path,), **options)


def source(*paths: str, **options: Any) -> ScpCommand:
    return ScpCommand("source", paths, **options)


YES = b"\0"

# --- to the server ---


async def test_what_was_copied_is_recorded() -> None:
    files, records = Files(), []  # type: ignore[var-annotated]
    line = Line(b"D0755 0 d\n", b"C0640 5 name\n", b"hello\0", b"C0640 5 cut\n", b"he")
    assert await served(files, line, sink(recursive=True), records) == 1
    line = Line(YES, YES, YES)
    assert await served(files, line, source("d/name", "none"), records) == 1
    for one in records:
        assert one.pop("event") in ("file", "sftp")
    cut = "the session ended before the file was complete"
    assert [one for one in records if "op" in one] == [
        {"op": "mkdir", "path": "./d", "outcome": "success"},
        {"op": "upload", "path": "./d/name", "written": 5, "outcome": "success"},
        {"op": "upload", "path": "./d/cut", "written": 2, "outcome": cut},
        {"op": "download", "path": "d/name", "read": 5, "outcome": "success"},
        {"op": "download", "path": "none", "outcome": "No such file or directory"},
    ]


async def test_a_write_that_is_lost_is_recorded() -> None:
    class Full(Files):
        def write(self, *_: Any) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    records: list[Any] = []
    assert await served(Full(), Line(b"C0640 5 name\n", b"hello\0"), sink(), records) == 1
    assert {
        "event": "lost",
        "op": "write",
        "path": "./name",
        "reason": "No space left on device",
    } in records
    assert records[-1]["outcome"] == "No space left on device"


async def test_a_file_is_received() -> None:
    files, line = Files(), Line(b"C0640 5 name\n", b"hel", b"lo\0")
    assert await served(files, line, sink()) == 0
    assert line.got == YES * 3
    assert files["/name"] == b"hello"
    assert stat.S_IMODE(files.stat("/name").permissions or 0) == 0o640
    assert files.ended == [Upload("./name", 5, True)]


async def test_a_target_that_is_no_directory_is_the_file() -> None:
    files, line = Files(), Line(b"C0644 5 name\nhello\0")
    assert await served(files, line, sink("other")) == 0
    assert files["/other"] == b"hello"
    assert [entry.name for entry in files.scandir("/")] == [".", "..", "other"]


async def test_a_tree_is_received_with_times_and_modes() -> None:
    files = Files()
    line = Line(
        b"T100 0 90 0\n",
        b"D0500 0 tree\n",
        b"T50 0 40 0\nC0400 1 f\n",
        b"x\0",
        b"D0755 0 inner\nE\n",
        b"E\n",
    )
    assert await served(files, line, sink(recursive=True, preserve=True)) == 0
    assert line.got == YES * 9
    file, tree = files.stat("/tree/f"), files.stat("/tree")
    assert (file.mtime, file.atime, stat.S_IMODE(file.permissions or 0)) == (50, 40, 0o400)
    assert (tree.mtime, tree.atime, stat.S_IMODE(tree.permissions or 0)) == (100, 90, 0o500)
    assert files.stat("/tree/inner").is_directory


async def test_a_tree_is_put_in_the_place_of_a_target_that_is_missing() -> None:
    files, line = Files(), Line(b"D0755 0 tree\nC0644 1 f\nx\0E\n")
    assert await served(files, line, sink("copy", recursive=True)) == 0
    assert files["/copy/f"] == b"x"


@pytest.mark.parametrize(
    ("files", "command", "reason"),
    [
        (Files(read_only=True), sink(), b"Read-only file system"),
        (Files(), sink("none", directory=True), b"Not a directory"),
    ],
    ids=["read-only", "no directory"],
)
async def test_a_target_that_takes_nothing(
    files: Files, command: ScpCommand, reason: bytes
) -> None:
    line = Line(b"C0644 1 f\nx\0")
    assert await served(files, line, command) == 1
    assert line.got.startswith(b"\2scp: ")
    assert reason in line.got
    assert line.typed, "nothing is read"


async def test_a_file_that_can_not_be_opened_is_left_out() -> None:
    files, line = Files(), Line(b"C0644 1 f\n", b"C0644 1 g\nx\0")
    files.mkdir("/f", Attributes())
    assert await served(files, line, sink()) == 1
    assert line.got == b"\0\1scp: f: Is a directory\n" + YES * 2
    assert files["/g"] == b"x"


async def test_a_file_that_can_not_be_written_is_read_to_its_end_and_named() -> None:
    files, line = Files(size=8), Line(b"C0644 9 f\n", b"12345", b"6789\0", b"C0644 1 g\nx\0")
    assert await served(files, line, sink()) == 1
    assert line.got == b"\0\0\1scp: f: No space left on device\n" + YES * 2
    assert files.ended == [Upload("./f", 5, False), Upload("./g", 1, True)]


@pytest.mark.parametrize(
    "typed",
    [b"C0644 9 f\n1234", b"C0644 4 f\n1234\1scp: f: read error\n", b"C0644 4 f\n1234\2gone\n"],
    ids=["broken off", "the source failed", "the source gave up"],
)
async def test_an_upload_without_its_end_is_not_complete(typed: bytes) -> None:
    files = Files()
    assert await served(files, Line(typed), sink()) == 1
    assert files.ended == [Upload("./f", 4, False)]


async def test_a_name_that_leads_elsewhere_ends_the_copy() -> None:
    files, line = Files(), Line(b"C0644 1 ../f\nx\0")
    assert await served(files, line, sink()) == 1
    assert line.got.startswith(b"\0\2scp: ")
    assert files.ended == []


# --- from the server ---


@pytest.fixture
def tree() -> Files:
    files = Files()
    files["/d/one.txt"] = b"1"
    files["/d/two.txt"] = b"22"
    files["/d/inner/three"] = b"333"
    for path in ("/d/one.txt", "/d/two.txt", "/d/inner/three"):
        files.set_attributes(path, Attributes(permissions=0o640, mtime=7, atime=5))
    return files


async def test_a_file_is_sent(tree: Files) -> None:
    line = Line(*[YES] * 3)
    assert await served(tree, line, source("d/two.txt")) == 0
    assert line.got == b"C0640 2 two.txt\n22\0"


async def test_times_are_sent_before_it_when_asked_for(tree: Files) -> None:
    line = Line(*[YES] * 4)
    assert await served(tree, line, source("/d/two.txt", preserve=True)) == 0
    assert line.got == b"T7 0 5 0\nC0640 2 two.txt\n22\0"


async def test_a_pattern_stands_for_the_files_that_match(tree: Files) -> None:
    line = Line(*[YES] * 5)
    assert await served(tree, line, source("/?/*.txt")) == 0
    assert line.got == b"C0640 1 one.txt\n1\0C0640 2 two.txt\n22\0"


async def test_a_tree_is_sent(tree: Files) -> None:
    line = Line(*[YES] * 11)
    assert await served(tree, line, source("~/d", recursive=True)) == 0
    assert line.got == (
        b"D0755 0 d\nD0755 0 inner\nC0640 3 three\n333\0E\n"
        b"C0640 1 one.txt\n1\0C0640 2 two.txt\n22\0E\n"
    )


async def test_a_directory_that_the_client_refuses_is_left_out(tree: Files) -> None:
    line = Line(YES, YES, b"\1no\n", *[YES] * 5)
    assert await served(tree, line, source("/d", recursive=True)) == 1
    assert b"three" not in line.got
    assert line.got.endswith(b"C0640 1 one.txt\n1\0C0640 2 two.txt\n22\0E\n")


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/d/none", b"No such file or directory"), ("/d", b"not a regular file")],
)
async def test_what_can_not_be_sent_is_named_and_the_rest_is_sent(
    tree: Files, path: str, reason: bytes
) -> None:
    line = Line(*[YES] * 3)
    assert await served(tree, line, source(path, "/d/one.txt")) == 1
    assert line.got == b"\1scp: %s: %s\nC0640 1 one.txt\n1\0" % (path.encode(), reason)


async def test_a_file_that_became_shorter_is_filled_up_and_named(tree: Files) -> None:
    class Shorter(File):
        def stat(self) -> Attributes:
            return Attributes(size=5, permissions=0o100600)

        def pread(self, size: int, offset: int) -> bytes:
            return b"ab"[offset:]

    tree.open = lambda path, flags, attributes: Shorter()  # type: ignore[assignment,return-value,method-assign]
    line = Line(*[YES] * 3)
    assert await served(tree, line, source("/d/one.txt")) == 1
    assert line.got == b"C0600 5 one.txt\nab\0\0\0\1scp: the file became shorter\n"


async def test_a_file_that_can_not_be_read_is_closed(tree: Files) -> None:
    closed = []

    class Bad(File):
        def stat(self) -> Attributes:
            return Attributes(size=3, permissions=0o100600)

        def pread(self, size: int, offset: int) -> bytes:
            raise OSError(errno.EIO, "bad disk")

        def close(self) -> None:
            closed.append(True)

    def opened(path: str, flags: OpenFlag, attributes: Attributes) -> File:
        return Bad()

    tree.open = opened  # type: ignore[assignment,method-assign]
    line = Line(*[YES] * 3)
    assert await served(tree, line, source("/d/one.txt")) == 1
    assert line.got == b"C0600 3 one.txt\n\0\0\0\1scp: Input/output error\n"
    assert closed == [True]


@pytest.mark.parametrize(
    "typed",
    [[], [YES], [YES, b"\2no more\n"], [YES, YES, b"\2disk full\n"], [b"bash: scp: not found\n"]],
    ids=["nothing", "broken off", "given up", "given up late", "no scp"],
)
async def test_a_client_that_goes_away_gets_no_more(tree: Files, typed: list[bytes]) -> None:
    line = Line(*typed)
    assert await served(tree, line, source("/d/one.txt", "/d/two.txt")) == 1
    assert b"two" not in line.got
