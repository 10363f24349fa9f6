"""The session, the pumps and the files over a line that does what tests want."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from nacre.errors import ConnectionLost, LocalProtocolError, RemoteProtocolError, SFTPError
from nacre.sftp.client.client import SFTPClient
from nacre.sftp.client.movers import Uploader
from nacre.sftp.client.pace import Pace
from nacre.sftp.client.pumps import UploadPump, write_all
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes, Entry
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.protocol.pipeline import Window
from sftp.client.lines import MemoryLine, open_memory

CONTENT = hashlib.shake_256(b"pumps").digest(2_000_003)


@pytest.fixture
async def both() -> AsyncIterator[tuple[SFTPClient, MemoryLine]]:
    client, line = await open_memory()
    async with client:
        yield client, line


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


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0)


async def give_up(task: asyncio.Task[object], sftp: SFTPClient, line: MemoryLine) -> None:
    """Cancel it, let the answers come, and wait for what is sent because of them."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    line.release()
    await sftp.stat("/")
    await sftp.stat("/")


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


async def test_a_file_is_opened_while_its_attributes_are_on_their_way(
    both: tuple[SFTPClient, MemoryLine], tmp_path: Path
) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray(CONTENT)
    line.files.directories.add("/d")
    line.hold = True
    task = asyncio.create_task(sftp.get("/f", tmp_path / "f"))
    await until(lambda: any(line.held))
    assert sftp.session.client.waiting == 2
    line.release()
    await task
    assert (tmp_path / "f").read_bytes() == CONTENT
    with pytest.raises(IsADirectoryError):
        await sftp.get("/d", tmp_path / "d")
    with pytest.raises(FileNotFoundError):
        await sftp.get("/none", tmp_path / "none")
    line.hold = True
    task = asyncio.create_task(sftp.get("/f", tmp_path / "g"))
    await until(lambda: any(line.held))
    assert sftp.session.client.waiting == 2
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
    await until(lambda: any(line.held))
    assert sftp.session.client.waiting == 2
    line.release()
    await task
    assert line.files.files == {"/f": CONTENT}
    await sftp.put(tmp_path / "f", "/d")
    assert line.files.files == {"/f": CONTENT, "/d/f": CONTENT}
    line.hold = True
    task = asyncio.create_task(sftp.put(tmp_path / "f", "/g"))
    await until(lambda: any(line.held))
    assert sftp.session.client.waiting == 2
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
    await until(lambda: any(line.held))
    assert sftp.session.client.waiting == 2
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
    await until(lambda: any(line.held))
    assert sftp.session.client.waiting == 2
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


async def test_a_failed_write_is_told_by_flush_or_close(
    both: tuple[SFTPClient, MemoryLine],
) -> None:
    sftp, line = both
    line.files.room = 1000
    file = await sftp.open("/f", "wb")
    await file.write(bytes(2000))
    with pytest.raises(OSError, match="No space") as caught:
        await file.close()
    assert caught.value.filename == "/f"
    assert file.closed
    await sftp.stat("/")
    assert len(line.files.closed) == 1
    with pytest.raises(ValueError, match="closed"):
        await file.read()


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


async def test_verify_finds_a_wrong_copy(
    both: tuple[SFTPClient, MemoryLine], tmp_path: Path
) -> None:
    sftp, line = both
    (tmp_path / "f").write_bytes(CONTENT)
    write = line.files.write

    def spoil(file: bytearray, offset: int, data: bytes | bytearray | memoryview) -> None:
        write(file, offset, bytes(data).replace(CONTENT[5000:5004], b"????"))

    line.files.write = spoil  # type: ignore[method-assign]
    with pytest.raises(SFTPError, match="differs"):
        await sftp.put(tmp_path / "f", "/f", verify=True, atomic=True)
    assert line.files.files == {}


async def test_resume_compares_what_is_there(
    both: tuple[SFTPClient, MemoryLine], tmp_path: Path
) -> None:
    """The server of these tests hashes whole files: a part of one differs, and is sent anew."""
    sftp, line = both
    line.files.files["/f"] = bytearray(CONTENT)
    (tmp_path / "f").write_bytes(CONTENT)
    moved: list[int] = []
    await sftp.get(
        "/f", tmp_path / "f", resume=True, progress=lambda path, done, size: moved.append(done)
    )
    assert moved == [len(CONTENT)]
    (tmp_path / "f").write_bytes(b"other" + CONTENT[5:])
    moved.clear()
    await sftp.get(
        "/f", tmp_path / "f", resume=True, progress=lambda path, done, size: moved.append(done)
    )
    assert moved[0] == 0
    assert (tmp_path / "f").read_bytes() == CONTENT


async def test_names_that_lead_elsewhere_are_refused(
    both: tuple[SFTPClient, MemoryLine], tmp_path: Path
) -> None:
    sftp, line = both
    line.files.directories.add("/d")
    for name in ("../evil", "/evil", "a/b", "", "nul\0"):
        entry = Entry(name, "", Attributes(size=1, permissions=0o100644))
        line.files.children = lambda directory, entry=entry: iter([entry])  # type: ignore[method-assign,misc]
        with pytest.raises(SFTPError, match="a name that is not valid"):
            await sftp.get("/d", tmp_path / "copy", recursive=True)
    # The second call found the first one's directory, and made one in it.
    assert {path.name for path in tmp_path.rglob("*")} == {"copy", "d"}


async def test_a_link_then_a_directory_of_one_name_write_nothing_elsewhere(
    both: tuple[SFTPClient, MemoryLine], tmp_path: Path
) -> None:
    sftp, line = both
    outside = tmp_path / "outside"
    outside.mkdir()
    line.files.directories |= {"/d", "/d/x"}
    line.files.files["/d/x/evil"] = bytearray(b"evil")
    line.files.links["/d/x"] = str(outside)
    line.files.links["/d/y"] = str(outside)
    entries = {
        "/d": [
            Entry("x", "", Attributes(permissions=0o120777)),
            Entry("x", "", Attributes(permissions=0o040755)),
            Entry("y", "", Attributes(permissions=0o120777)),
        ],
        "/d/x": [Entry("evil", "", Attributes(size=4, permissions=0o100644))],
    }
    line.files.children = lambda directory: iter(entries[directory.rstrip("/")])  # type: ignore[method-assign]
    await sftp.get("/d", tmp_path / "copy", recursive=True, links="copy")
    assert list(outside.iterdir()) == []
    assert os.readlink(tmp_path / "copy" / "y") == str(outside)


async def test_on_error_lets_the_rest_be_copied(
    both: tuple[SFTPClient, MemoryLine], tmp_path: Path
) -> None:
    sftp, line = both
    line.files.directories.add("/d")
    for number in range(100):
        line.files.files[f"/d/{number}"] = bytearray(b"%d" % number)
    opened = line.files.open

    def refuse(path: str, flags: int) -> object:
        if path.endswith("7"):
            raise PermissionError(13, "")
        return opened(path, flags)

    line.files.open = refuse  # type: ignore[method-assign,assignment]
    told: list[OSError] = []
    await sftp.get("/d", tmp_path / "d", recursive=True, on_error=told.append)
    assert len(list((tmp_path / "d").iterdir())) == 90
    assert {error.filename for error in told} == {f"/d/{n}" for n in range(7, 100, 10)}
    assert all(isinstance(error, PermissionError) for error in told)
    with pytest.raises(PermissionError):
        await sftp.get("/d", tmp_path / "e", recursive=True)


async def test_an_extension_that_is_missing(both: tuple[SFTPClient, MemoryLine]) -> None:
    sftp, line = both
    line.session.client.extensions = {}
    with pytest.raises(SFTPError, match="no posix-rename") as caught:
        await sftp.replace("/a", "/b")
    assert caught.value.filename == "/a"
    with pytest.raises(LocalProtocolError):
        line.session.read(b"", 0, 1 << 30, lambda result: None)


async def test_modes_of_open(both: tuple[SFTPClient, MemoryLine]) -> None:
    sftp, _ = both
    for mode in ("", "rw", "rbt", "q", "bb", "+"):
        with pytest.raises(ValueError, match="invalid mode"):
            await sftp.open("/f", mode)
    async with await sftp.open("/f", "wb") as file:
        with pytest.raises(OSError, match="not open for reading"):
            await file.read()
    async with await sftp.open("/f", "rb") as file:
        with pytest.raises(OSError, match="not open for writing"):
            await file.write(b"x")


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


def test_a_pace_delays_what_is_over_it() -> None:
    pace = Pace(1000)
    assert pace.delay(5.0) == 0
    pace.spend(1000, 5.0)
    assert pace.delay(5.0) == pytest.approx(0.9)
    assert pace.delay(6.0) == 0


async def test_a_paced_copy_arrives(both: tuple[SFTPClient, MemoryLine], tmp_path: Path) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray(CONTENT)
    line.session.pace = Pace(8_000_000)
    began = asyncio.get_running_loop().time()
    await sftp.get("/f", tmp_path / "f")
    assert asyncio.get_running_loop().time() - began > 0.1
    assert (tmp_path / "f").read_bytes() == CONTENT
