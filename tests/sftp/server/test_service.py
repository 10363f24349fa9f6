"""The service of SFTP over filesystems of all kinds: order, waiting, failures, ends."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import threading
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

import nacre
from nacre.errors import NoSuchFile, RemoteProtocolError, SFTPError, StreamClosed
from nacre.limits import MIB
from nacre.sftp.filesystems.base import File, Filesystem, Upload
from nacre.sftp.filesystems.local import LocalFilesystem
from nacre.sftp.filesystems.memory import MemoryFilesystem
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes, Entry
from nacre.sftp.protocol.client import SFTPClientProtocol
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.server.journal import Journal
from nacre.wire.codec import string, u32
from parties import client_for, until
from sftp.server.talk import Talk

NEW = OpenFlag.READ | OpenFlag.WRITE | OpenFlag.CREAT


class Uploads(LocalFilesystem):
    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.uploads: list[Upload] = []

    def upload_ended(self, upload: Upload) -> None:
        self.uploads.append(upload)


@pytest.fixture
def files(tmp_path: Path) -> Uploads:
    return Uploads(tmp_path)


@pytest.mark.parametrize("pieces", [1, 7, 40])
async def test_bytes_in_many_requests(files: Uploads, tmp_path: Path, pieces: int) -> None:
    content = b"".join(bytes([n % 251]) * 100_003 for n in range(pieces))
    async with Talk(files) as talk:
        handle = await talk.open("file", NEW)
        writes = [
            talk.client.send_write(handle, start, content[start : start + 100_003])
            for start in range(0, len(content), 100_003)
        ]
        talk.flush()
        for number in writes:
            assert await talk.result(number) is None
        assert (tmp_path / "file").read_bytes() == content
        reads = [
            talk.client.send_read(handle, start, 65_000) for start in range(0, len(content), 65_000)
        ]
        talk.flush()
        assert b"".join([await talk.result(number) for number in reads]) == content
        assert await talk.call(msg.Read(handle, len(content), 10)) is None
        await talk.call(msg.Close(handle))
    assert files.uploads == [Upload("file", len(content), True)]


async def test_reads_across_the_end(files: Uploads, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 1000)
    async with Talk(files) as talk:
        handle = await talk.open("file")
        numbers = [talk.client.send_read(handle, start, 400) for start in range(0, 2400, 400)]
        talk.flush()
        found = [await talk.result(number) for number in numbers]
    assert [None if one is None else len(one) for one in found] == [400, 400, 200, None, None, None]


async def test_calls_of_one_file_keep_their_order(files: Uploads, tmp_path: Path) -> None:
    async with Talk(files) as talk:
        handle = await talk.open("file", NEW)
        numbers = []
        for value in range(60):
            numbers.append(talk.send(msg.Write(handle, 0, bytes([value]) * 10)))
            numbers.append(talk.send(msg.Read(handle, 0, 10)))
            numbers.append(talk.send(msg.FStat(handle)))
            if len(numbers) >= 90:
                for number in numbers[:60]:
                    await talk.result(number)
                del numbers[:60]
        for number in numbers:
            await talk.result(number)
        assert await talk.call(msg.Read(handle, 0, 10)) == bytes([59]) * 10
        read_after = talk.send(msg.Write(handle, 5, b"end"))
        both = talk.send(msg.Read(handle, 0, 10))
        assert await talk.result(both) == bytes([59]) * 5 + b"end" + bytes([59]) * 2
        await talk.result(read_after)


class Slow(Filesystem):
    """A storage whose paths wait for a gate of theirs, each in its thread."""

    def __init__(self) -> None:
        self.gates: dict[str, threading.Event] = {}
        self.reached = threading.Semaphore(0)

    def open(self, path: str, flags: OpenFlag, attributes: Attributes) -> File:
        gate = self.gates[path] = threading.Event()
        reached = self.reached

        class Waiting(File):
            def pread(self, size: int, offset: int) -> bytes:
                reached.release()
                assert gate.wait(30)
                return b"late"

        return Waiting()

    def stat(self, path: str) -> Attributes:
        return Attributes(size=1)


async def _answers(talk: Talk, count: int) -> list[tuple[int, int]]:
    """Return type and id of the next answers."""
    found: list[tuple[int, int]] = []
    left = b""
    while len(found) < count:
        left += await asyncio.wait_for(talk.down.queue.get(), 30)
        while len(left) >= 4 and len(left) >= 4 + (size := int.from_bytes(left[:4])):
            found.append((left[4], int.from_bytes(left[5:9])))
            left = left[4 + size :]
    assert not left
    return found


def _numbered(request: msg.SFTPRequest[Any]) -> bytes:
    return string(bytes([request.NUMBER]) + u32(1) + request.encode())


async def test_requests_with_one_id_are_all_carried_out(files: Uploads, tmp_path: Path) -> None:
    content = b"".join(bytes([n]) * 30_000 for n in range(200))
    async with Talk(files) as talk:
        handle = await talk.open("file", NEW)
        for start in range(0, len(content), 30_000):
            talk.service.feed(_numbered(msg.Write(handle, start, content[start : start + 30_000])))
        talk.service.feed(_numbered(msg.Close(handle)))
        assert await _answers(talk, 201) == [(msg.FXP.STATUS, 1)] * 201
    assert (tmp_path / "file").read_bytes() == content


async def test_requests_with_one_id_are_answered_in_order() -> None:
    """Otherwise a request that is quick would overtake one for another file that is slow."""
    slow = Slow()
    async with Talk(slow) as talk:
        handle = await talk.open("a")
        for request in (msg.Read(handle, 0, 10), msg.Stat("x"), msg.Read(b"none", 0, 10)):
            talk.service.feed(_numbered(request))
        assert await asyncio.to_thread(slow.reached.acquire, timeout=30)
        assert talk.down.queue.empty()
        slow.gates["a"].set()
        kinds = (msg.FXP.DATA, msg.FXP.ATTRS, msg.FXP.STATUS)
        assert await _answers(talk, 3) == [(kind, 1) for kind in kinds]


async def test_a_file_that_hangs_holds_up_no_other(files: Uploads) -> None:
    slow = Slow()
    async with Talk(slow) as talk, Talk(files) as other:
        handle, second = await talk.open("a"), await talk.open("b")
        late = talk.send(msg.Read(handle, 0, 10))
        assert await asyncio.to_thread(slow.reached.acquire, timeout=30)
        # The session's other files, its paths, and other sessions go on.
        slow.gates["b"].set()
        assert await talk.call(msg.Read(second, 0, 10)) == b"late"
        assert (await talk.call(msg.Stat("x"))).size == 1
        assert (await other.call(msg.Stat("."))).is_directory
        assert late not in talk.results
        slow.gates["a"].set()
        assert await talk.result(late) == b"late"


async def test_threads_are_few() -> None:
    slow = Slow()
    async with Talk(slow) as talk:
        handles = [await talk.open(str(n)) for n in range(20)]
        numbers = [talk.send(msg.Read(handle, 0, 10)) for handle in handles]
        for _ in range(4):
            assert await asyncio.to_thread(slow.reached.acquire, timeout=30)
        assert sum(thread.name == "files" for thread in threading.enumerate()) == 4
        for gate in slow.gates.values():
            gate.set()
        for number in numbers:
            assert await talk.result(number) == b"late"


class Asynchronous(Filesystem):
    """Methods that are coroutines."""

    blocking = False

    def __init__(self) -> None:
        self.both = asyncio.Barrier(2)
        self.closed = 0
        self.uploads: list[Upload] = []

    async def stat(self, path: str) -> Attributes:
        await asyncio.sleep(0)
        if path == "none":
            raise FileNotFoundError(errno.ENOENT, "none")
        if path == "bug":
            raise KeyError("a bug")
        return Attributes(size=len(path))

    async def open(self, path: str, flags: OpenFlag, attributes: Attributes) -> File:
        filesystem = self

        class Meeting(File):
            async def pread(self, size: int, offset: int) -> bytes:
                await filesystem.both.wait()
                return b"met"

            async def pwrite(self, data: Any, offset: int) -> None:
                await asyncio.sleep(0)

            async def stat(self) -> Attributes:
                return Attributes(size=7)

        return Meeting()

    async def scandir(self, path: str) -> AsyncIterator[Entry]:
        return self._entries()

    async def _entries(self) -> AsyncIterator[Entry]:
        try:
            for number in range(1000):
                await asyncio.sleep(0)
                yield Entry(f"name{number}", "", Attributes(permissions=0o100644, uid=5, gid=6))
        finally:
            self.closed += 1

    async def names(self, uids: Any, gids: Any) -> Any:
        return tuple(f"user{uid}" for uid in uids), tuple(f"group{gid}" for gid in gids)

    async def upload_ended(self, upload: Upload) -> None:
        self.uploads.append(upload)


async def test_coroutines() -> None:
    files = Asynchronous()
    async with Talk(files) as talk:
        assert (await talk.call(msg.Stat("four"))).size == 4
        with pytest.raises(NoSuchFile):
            await talk.call(msg.Stat("none"))
        one, two = await talk.open("a"), await talk.open("b", OpenFlag.WRITE)
        first, second = (talk.send(msg.Read(handle, 0, 3)) for handle in (one, two))
        assert [await talk.result(first), await talk.result(second)] == [b"met", b"met"]
        directory = await talk.call(msg.OpenDir("."))
        names = []
        while entries := await talk.call(msg.ReadDir(directory)):
            names += [entry.name for entry in entries]
            assert entries[0].longname.split()[2:4] == ["user5", "group6"]
        assert names == [f"name{number}" for number in range(1000)]
        await talk.call(msg.Close(directory))
        await talk.call(msg.Write(two, 0, b"x"))
    assert files.closed == 1
    assert files.uploads == [Upload("b", 7, False)]


async def test_a_bug_is_a_failure_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with Talk(Asynchronous()) as talk:
        with pytest.raises(SFTPError, match="Input/output error"):
            await talk.call(msg.Stat("bug"))
        assert (await talk.call(msg.Stat("next"))).size == 4
    assert "a bug" in caplog.text


async def test_coroutines_in_threads_are_a_bug_with_a_remedy(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Forgetful(Filesystem):
        async def stat(self, path: str) -> Attributes:
            await asyncio.sleep(0)
            return Attributes()

    async with Talk(Forgetful()) as talk:
        with pytest.raises(SFTPError):
            await talk.call(msg.Stat("x"))
    assert "blocking = False" in caplog.text


async def test_what_is_not_implemented() -> None:
    async with Talk(Filesystem()) as talk:
        for request in (msg.Stat("x"), msg.Remove("x"), msg.OpenDir("x"), ext.StatVFS("x")):
            with pytest.raises(SFTPError) as caught:
                await talk.call(request)
            assert caught.value.errno == errno.EOPNOTSUPP
        assert await talk.call(msg.RealPath("a/../b")) == "/b"


async def test_read_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"there")
    (tmp_path / "directory").mkdir()
    files = LocalFilesystem(tmp_path, read_only=True)
    before = sorted(p.lstat() for p in tmp_path.rglob("*"))
    async with Talk(files) as talk:
        handle = await talk.open("file")
        assert await talk.call(msg.Read(handle, 0, 10)) == b"there"
        changes: list[Any] = [
            *(msg.Open("file", flags) for flags in (2, 3, 0x0A, 0x11, 4, 8)),
            *(msg.Write(handle, 0, b"x"), msg.FSetStat(handle, Attributes(permissions=0))),
            *(msg.SetStat("file", Attributes(size=0)), msg.Remove("file"), msg.MkDir("new")),
            *(msg.RmDir("directory"), msg.Rename("file", "new"), msg.SymLink("file", "link")),
            *(ext.PosixRename("file", "new"), ext.HardLink("file", "new")),
            ext.LSetStat("file", Attributes(permissions=0)),
            ext.CopyData(handle, 0, 0, handle, 10),
        ]
        for change in changes:
            with pytest.raises(SFTPError) as caught:
                await talk.call(change)
            assert caught.value.errno in (errno.EROFS, errno.EBADF)
    assert sorted(p.lstat() for p in tmp_path.rglob("*")) == before


async def test_a_broken_off_upload_is_told(files: Uploads) -> None:
    async with Talk(files) as talk:
        handle = await talk.open("half", NEW)
        await talk.call(msg.Write(handle, 0, b"some"))
        whole = await talk.open("whole", NEW)
        await talk.call(msg.Close(whole))
    assert files.uploads == [Upload("whole", 0, True), Upload("half", 4, False)]


async def test_a_failed_write_is_no_complete_upload() -> None:
    class Full(MemoryFilesystem):
        uploads: list[Upload] = []  # noqa: RUF012

        def upload_ended(self, upload: Upload) -> None:
            self.uploads.append(upload)

    async with Talk(Full(size=100)) as talk:
        handle = await talk.open("file", NEW)
        await talk.call(msg.Write(handle, 0, bytes(60)))
        with pytest.raises(SFTPError, match="No space left"):
            await talk.call(msg.Write(handle, 60, bytes(60)))
        await talk.call(msg.Close(handle))
    assert Full.uploads == [Upload("file", 60, False)]


async def test_a_cancelled_session_closes_its_files(files: Uploads) -> None:
    async with Talk(files) as talk:
        handle = await talk.open("half", NEW)
        await talk.call(msg.Write(handle, 0, b"some"))
        talk.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await talk.task
        assert files.uploads == [Upload("half", 4, False)]
        with pytest.raises(OSError):  # noqa: PT011
            files.stat(".")
        talk.task = asyncio.ensure_future(asyncio.sleep(0))


async def test_a_client_that_reads_nothing_is_not_served_without_end(
    files: Uploads, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(bytes(MIB))
    async with Talk(files) as talk:
        handle = await talk.open("file")
        talk.down.open.clear()
        numbers = []
        for _ in range(40):
            numbers += [
                talk.client.send_read(handle, start, 261_120) for start in range(0, MIB, 261_120)
            ]
        talk.flush()
        for _ in range(100):
            await asyncio.sleep(0.001)
        assert talk.service._server.outstanding <= 128
        assert talk.service._answers.lent <= 3
        talk.down.open.set()
        for number in numbers:
            assert len(await talk.result(number)) > 0


@pytest.mark.slow
async def test_a_flood_that_needs_no_files_is_not_answered_without_end(files: Uploads) -> None:
    async with Talk(files) as talk:
        talk.down.open.clear()
        flood = b"".join(
            (17).to_bytes(4, "big") + b"\x04" + n.to_bytes(4, "big") + b"\0\0\0\x08" + b"nohandle"
            for n in range(1, 60_001)
        )
        for start in range(0, len(flood), 100_000):
            talk.service.feed(flood[start : start + 100_000])
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(talk.service._server._output) <= 4096
        assert talk.down.credited < len(flood)
        talk.down.open.set()
        seen = 0
        while seen < 60_000:
            async with asyncio.timeout(30):
                seen += (await talk.down.queue.get()).count(b"Invalid handle")


async def test_the_peer_takes_no_more(files: Uploads) -> None:
    talk = Talk(files)
    async with talk:
        talk.down.broken = True
        talk.send(msg.Stat("."))
        for _ in range(50):
            await asyncio.sleep(0.001)
        talk.hang_up()
        with pytest.raises(StreamClosed):
            await talk.task
        talk.task = asyncio.ensure_future(asyncio.sleep(0))


async def test_a_malformed_packet_ends_the_session(files: Uploads) -> None:
    async with Talk(files) as talk:
        talk.service.feed(b"\x00\x00\x00\x00")
        with pytest.raises(RemoteProtocolError):
            await talk.task
        talk.task = asyncio.ensure_future(asyncio.sleep(0))


async def test_hashes(files: Uploads, tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000
    (tmp_path / "file").write_bytes(content)
    async with Talk(files) as talk:
        handle = await talk.open("file")
        whole = await talk.call(ext.CheckFileHandle(handle, "md5,sha512,sha256", 0, 0, 0))
        assert (whole.algorithm, whole.hashes) == ("sha512", hashlib.sha512(content).digest())
        blocks = await talk.call(ext.CheckFileName("file", "sha256", 1000, 5000, 2000))
        ends = ((1000, 3000), (3000, 5000), (5000, 6000))
        expected = [hashlib.sha256(content[start:end]).digest() for start, end in ends]
        assert blocks.hashes == b"".join(expected)
        with pytest.raises(SFTPError) as caught:
            await talk.call(ext.CheckFileHandle(handle, "md5", 0, 0, 0))
        assert caught.value.errno == errno.EOPNOTSUPP
        for bad in ((0, 0, 10), (0, 0, 256)):
            with pytest.raises(SFTPError):
                await talk.call(ext.CheckFileHandle(handle, "sha256", *bad))


async def test_copies(files: Uploads, tmp_path: Path) -> None:
    content = bytes(range(256)) * 20_000
    (tmp_path / "file").write_bytes(content)
    async with Talk(files) as talk:
        source, target = await talk.open("file"), await talk.open("copy", NEW)
        # The write before is done before, the one behind behind.
        numbers = [
            talk.send(msg.Write(target, 0, b"12345")),
            talk.send(ext.CopyData(source, 0, 0, target, 5)),
            talk.send(msg.Write(target, 3, b"ab")),
        ]
        for number in numbers:
            await talk.result(number)
        assert (tmp_path / "copy").read_bytes() == b"123ab" + content
        await talk.call(ext.CopyData(source, 10, 20, target, 0))
        assert (tmp_path / "copy").read_bytes()[:22] == content[10:30] + content[15:17]
        with pytest.raises(SFTPError):
            await talk.call(ext.CopyData(target, 0, 0, target, 1))


@pytest.mark.slow
async def test_a_long_listing_takes_little_memory() -> None:
    count = 20_000

    class Many(Filesystem):
        def scandir(self, path: str) -> Iterator[Entry]:
            attributes = Attributes(size=1, uid=1, gid=1, permissions=0o100644, atime=1, mtime=1)
            return (Entry(f"a name of some length, and {n}", "", attributes) for n in range(count))

    async with Talk(Many()) as talk:
        directory = await talk.call(msg.OpenDir("."))
        seen = 0
        tracemalloc.start()
        while entries := await talk.call(msg.ReadDir(directory)):
            seen += len(entries)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert seen == count
    assert peak < 2 * MIB


async def test_one_line_for_embedding(make_server: Any) -> None:
    shared = MemoryFilesystem()
    shared["/hello"] = b"hello, world"
    server = await make_server(handler=None, sftp=lambda session: shared)
    async with client_for(server) as ssh:
        async with ssh.process(subsystem="sftp") as process:
            talker = SFTPClientProtocol()
            for piece in talker.data_to_send():
                await process.stdin.write(piece)
            while not talker.ready:
                talker.receive(await process.stdout.read(1000))
            number = talker.send(msg.Stat("hello"))
            for piece in talker.data_to_send():
                await process.stdin.write(piece)
            answers = dict(talker.receive(await process.stdout.read(1000)))
            found = answers[number]
            assert isinstance(found, Attributes)
            assert found.size == 12
            process.stdin.write_eof()
            assert await process.wait() == 0
        done = await ssh.run("scp -t /new", input=b"C0644 3 any\nyes\0", encoding=None)
        assert (done.stdout, done.exit_status) == (b"\0\0\0", 0)
        assert shared["/new"] == b"yes"
        for refused in ("id", None):
            with pytest.raises(nacre.RequestFailed):
                await ssh.run(refused)


class Listing:
    """Entries without end; each waits for ``go``."""

    def __init__(self) -> None:
        self.reading, self.go = asyncio.Event(), asyncio.Event()
        self.closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Entry:
        self.reading.set()
        await self.go.wait()
        return Entry("again", "", Attributes(permissions=0o100644))

    async def aclose(self) -> None:
        self.closed = True


class Listed(MemoryFilesystem):
    def __init__(self) -> None:
        super().__init__()
        self.listing = Listing()

    def scandir(self, path: str) -> Listing:  # type: ignore[override]
        return self.listing


async def test_a_close_that_waits_when_the_session_ends_closes_its_directory() -> None:
    files = Listed()
    talk = await Talk(files).__aenter__()
    handle = await talk.call(msg.OpenDir("/"))
    talk.send(msg.ReadDir(handle))
    await asyncio.wait_for(files.listing.reading.wait(), 30)
    talk.send(msg.Close(handle))
    await until(lambda: not talk.service._server.files)
    talk.task.cancel()
    files.listing.go.set()
    await asyncio.wait({talk.task}, timeout=30)
    assert files.listing.closed


@pytest.mark.parametrize("blocking", [True, False])
async def test_a_session_lives_on_after_a_request_that_can_not_be_read(
    tmp_path: Path, blocking: bool
) -> None:
    records: list[dict[str, Any]] = []
    journal = Journal(lambda event, **fields: records.append(fields), detailed=False)
    files = LocalFilesystem(tmp_path) if blocking else MemoryFilesystem()
    async with Talk(files, journal=journal) as talk:
        handle = await talk.open("/file", NEW)
        number = talk.client.send(msg.Stat("/file"))
        talk.client.data_to_send()
        # The same number, but a path that is longer than its packet.
        talk.service.feed(string(b"\x11" + u32(number) + u32(1000) + b"/file"))
        with pytest.raises(SFTPError, match="Bad message"):
            await talk.result(number)
        assert [(one["request"], bool(one["reason"])) for one in records] == [("stat", True)]
        await talk.call(msg.Write(handle, 0, b"it goes on"))
        # Bytes behind the data of a WRITE are no part of it.
        number = talk.client.send_write(handle, 10, b"!")
        body = b"".join(bytes(piece) for piece in talk.client.data_to_send())[4:]
        packet = string(body + b"bytes behind the data")
        for portion in (packet[:40], packet[40:]):
            talk.service.feed(portion)
            await asyncio.sleep(0)
        assert await talk.result(number) is None
        assert await talk.call(msg.Read(handle, 0, 100)) == b"it goes on!"


async def test_a_packet_that_is_too_long_ends_the_session_with_a_record(
    make_server: Any, records: list[dict[str, Any]]
) -> None:
    server = await make_server(sftp=lambda session: MemoryFilesystem())
    async with client_for(server) as ssh, ssh.process(subsystem="sftp") as process:
        await process.stdin.write(string(b"\x01" + u32(3)) + u32(1 << 20))
        assert await process.wait() is not None
    (found,) = [one for one in records if one["event"] == "sftp"]
    assert "1048576 bytes" in found["error"]


class Endless(Filesystem):
    """Has files that nobody can read to their end."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.opened: list[str] = []
        self.closed: list[str] = []

    def open(self, path: str, flags: OpenFlag, attributes: Attributes) -> File:
        self.opened.append(path)
        return EndlessFile(self, path)


class EndlessFile(File):
    def __init__(self, files: Endless, path: str) -> None:
        self._files, self._path = files, path

    def stat(self) -> Attributes:
        return Attributes(size=1 << 60)

    def pread(self, size: int, offset: int) -> bytes:
        self._files.begun.set()
        return bytes(size)

    def close(self) -> None:
        self._files.closed.append(self._path)


@pytest.mark.parametrize("by_name", [True, False])
async def test_a_file_that_is_hashed_does_not_outlive_the_session(by_name: bool) -> None:
    files = Endless()
    talk = await Talk(files).__aenter__()
    for name in ("first", "second"):
        if by_name:
            talk.send(ext.CheckFileName(name, "sha256", 0, 0, 0))
        else:
            handle = await talk.open(name)
            talk.send(ext.CheckFileHandle(handle, "sha256", 0, 0, 0))
    talk.flush()
    assert await asyncio.to_thread(files.begun.wait, 10)
    talk.task.cancel()
    done, _ = await asyncio.wait({talk.task}, timeout=30)
    assert done
    # By name, the second call has not begun.
    wanted = ["first"] if by_name else ["first", "second"]
    assert (files.opened, sorted(files.closed)) == (wanted, wanted)
