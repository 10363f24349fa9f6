"""The scp protocol between local files and a remote scp, whose part the tests play."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from nacre.cli.scp.legacy import How, Receiver, Sender
from nacre.client.process import Process
from nacre.errors import RemoteProtocolError, StreamClosed
from nacre.sftp.client.disk import Disk


class Remote:
    """A remote scp that sends prepared bytes, one piece a read, and keeps what it gets."""

    def __init__(self, *pieces: bytes, reads: bool = True) -> None:
        self.pieces = [*pieces]
        self.received = bytearray()
        self.reads = reads
        self.ended = False
        self.stdin = self
        self.stdout = self

    async def read(self, size: int) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    async def write(self, data: bytes) -> None:
        if not self.reads:
            raise StreamClosed("gone")
        self.received += data

    def write_eof(self) -> None:
        self.ended = True

    @property
    def process(self) -> Process:
        return cast("Process", self)


@pytest.fixture
async def disk() -> AsyncIterator[Disk]:
    disk = Disk()
    yield disk
    disk.close()


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture
def progress() -> list[tuple[str, int, int]]:
    return []


@pytest.fixture
def how(complaints: list[str], progress: list[tuple[str, int, int]]) -> How:
    return How(
        recursive=True,
        preserve=True,
        progress=lambda *given: progress.append(given),
        complain=complaints.append,
    )


async def test_a_tree_is_received(
    disk: Disk, how: How, complaints: list[str], progress: object, tmp_path: Path
) -> None:
    remote = Remote(
        b"T5 0 6 0\nD0750 0 tree\n",
        b"T7 0 8 0\nC0640 5 f\n",
        b"hel",
        b"lo\0",
        b"C0600 0 empty\n",
        b"\0",
        b"E\n",
    )
    await Receiver(remote.process, disk, ["tree"], how).run(str(tmp_path), into=True)
    tree = tmp_path / "tree"
    assert (tree / "f").read_bytes() == b"hello"
    assert (tree / "f").stat().st_mode & 0o777 == 0o640
    assert (tree / "f").stat().st_mtime == 7
    assert (tree / "empty").read_bytes() == b""
    assert (tree.stat().st_mode & 0o777, tree.stat().st_mtime) == (0o750, 5)
    assert complaints == []
    assert set(remote.received) == {0}
    assert progress == [
        (f"{tree}/f", 3, 5),
        (f"{tree}/f", 5, 5),
        (f"{tree}/empty", 0, 0),
    ]


async def test_a_file_is_received_under_another_name(disk: Disk, how: How, tmp_path: Path) -> None:
    remote = Remote(b"C0644 1 f\n", b"x\0")
    await Receiver(remote.process, disk, ["f"], how).run(str(tmp_path / "g"), into=False)
    assert (tmp_path / "g").read_text() == "x"


async def test_a_copy_gets_no_bit_that_gives_the_rights_of_its_owner(
    disk: Disk, how: How, tmp_path: Path
) -> None:
    remote = Remote(b"D7755 0 d\n", b"C6755 1 f\n", b"x\0", b"E\n")
    await Receiver(remote.process, disk, ["d"], how).run(str(tmp_path), into=True)
    modes = [path.stat().st_mode & 0o7777 for path in (tmp_path / "d", tmp_path / "d" / "f")]
    assert modes == [0o755, 0o755]


async def test_a_file_that_can_t_be_made_is_refused(
    disk: Disk, how: How, complaints: list[str], tmp_path: Path
) -> None:
    remote = Remote(b"C0644 1 f\n")
    target = str(tmp_path / "none" / "g")
    await Receiver(remote.process, disk, ["f"], how).run(target, into=False)
    assert complaints == [f"{target}: No such file or directory"]
    assert b"No such file or directory" in remote.received


async def test_warnings_of_the_source_are_passed_on(
    disk: Disk, how: How, complaints: list[str], tmp_path: Path
) -> None:
    remote = Remote(b"\1scp: a: Permission denied\n", b"C0644 1 f\nx\0")
    await Receiver(remote.process, disk, ["f"], how).run(str(tmp_path), into=True)
    assert complaints == ["scp: a: Permission denied"]
    assert (tmp_path / "f").read_text() == "x"


async def test_a_name_that_was_not_requested_is_refused(
    disk: Disk, how: How, tmp_path: Path
) -> None:
    remote = Remote(b"C0644 1 other\n", b"x\0")
    with pytest.raises(RemoteProtocolError):
        await Receiver(remote.process, disk, ["f"], how).run(str(tmp_path), into=True)
    assert [*tmp_path.iterdir()] == []


async def test_a_tree_is_sent(disk: Disk, how: How, complaints: list[str], tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir(mode=0o750)
    (tree / "f").write_text("hello")
    (tree / "f").chmod(0o640)
    remote = Remote(*[b"\0"] * 20)
    await Sender(remote.process, disk, how).run([str(tree)])
    assert complaints == []
    lines = bytes(remote.received).split(b"\n")
    assert [line for line in lines if not line.startswith(b"T")] == [
        b"D0750 0 tree",
        b"C0640 5 f",
        b"hello\0E",
        b"",
    ]
    assert remote.ended


async def test_what_the_sink_refuses_is_left_out(
    disk: Disk, complaints: list[str], tmp_path: Path
) -> None:
    how = How(recursive=False, preserve=False, progress=None, complain=complaints.append)
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    remote = Remote(b"\0", b"\1scp: a: Permission denied\n", b"\0", b"\0")
    paths = [str(tmp_path / "a"), str(tmp_path / "nosuch"), str(tmp_path), str(tmp_path / "b")]
    await Sender(remote.process, disk, how).run(paths)
    assert complaints == [
        "scp: a: Permission denied",
        f"{tmp_path}/nosuch: No such file or directory",
        f"{tmp_path}: not a regular file",
    ]
    assert bytes(remote.received).endswith(b" 1 b\nb\0")


@pytest.mark.parametrize("pieces", [(), (b"\0",)], ids=["at the start", "in the middle"])
async def test_a_sink_that_ends_early(
    disk: Disk, how: How, tmp_path: Path, pieces: tuple[bytes, ...]
) -> None:
    (tmp_path / "f").write_text("x")
    with pytest.raises(RemoteProtocolError):
        await Sender(Remote(*pieces).process, disk, how).run([str(tmp_path / "f")])


async def test_a_sink_that_aborts(
    disk: Disk, how: How, complaints: list[str], tmp_path: Path
) -> None:
    (tmp_path / "f").write_text("x")
    remote = Remote(b"\0", b"\2scp: disk full\n")
    with pytest.raises(RemoteProtocolError, match="the remote scp aborted the copy"):
        await Sender(remote.process, disk, how).run([str(tmp_path / "f")])
    assert complaints == ["scp: disk full"]


async def test_a_sink_that_reads_no_more(disk: Disk, how: How, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    remote = Remote(b"\0", reads=False)
    with pytest.raises(RemoteProtocolError, match="ended before the copy was complete"):
        await Sender(remote.process, disk, how).run([str(tmp_path / "f")])
