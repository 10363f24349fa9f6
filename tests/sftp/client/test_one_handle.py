"""Servers that give one handle to several open files, and those that truncate without APPEND."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from nacre.errors import ConnectionLost, SFTPError
from nacre.sftp.client.client import SFTPClient
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.client import HandleReused, OpenHandle, SFTPClientProtocol
from nacre.sftp.protocol.messages import FXP, OpenFlag
from nacre.sftp.protocol.server import SFTPServerProtocol, _Open
from nacre.wire.codec import string, text, u32
from sftp.client.lines import MemoryLine, open_memory, until_held

Both = tuple[SFTPClient, MemoryLine]


class Stacked(dict[bytes, _Open]):
    """Open files by handle, where the newest one of a handle counts, as in Erlang's ssh_sftpd."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[tuple[bytes, _Open]] = []

    def __setitem__(self, handle: bytes, opened: _Open) -> None:
        self.order.insert(0, (handle, opened))
        super().__setitem__(handle, opened)

    def __delitem__(self, handle: bytes) -> None:
        self.order.remove((handle, self[handle]))
        super().__delitem__(handle)
        for other, opened in reversed(self.order):
            if other == handle:
                super().__setitem__(handle, opened)


class Confused(SFTPServerProtocol):
    """Chooses handles as Erlang's ssh_sftpd does: with three open files two have the same one.

    :ivar worst: whether all open files have the same one; directories have their own.
    """

    def __init__(self, *, worst: bool) -> None:
        super().__init__()
        self._handles: Stacked = Stacked()
        self.worst = worst

    def send_handle(self, number: int, file: object) -> None:
        request = self._finish(number, msg.HandleRequest)
        kind = "directory" if isinstance(request, msg.OpenDir) else "file"
        self._last_handle += 1
        chosen = self._last_handle if self.worst and kind == "directory" else 0
        for handle, _ in self._handles.order:
            if int(handle) <= chosen and not self.worst:
                chosen = int(handle) + 1
        handle = str(chosen).encode()
        self._handles[handle] = _Open(kind, file)
        self._packet(FXP.HANDLE, number, string(handle))


@pytest.fixture(params=[False, True], ids=["erlang", "worst"])
async def confused(request: pytest.FixtureRequest) -> Both:
    sftp, line = await open_memory()
    line.server = Confused(worst=request.param)
    line.server._ready = True
    return sftp, line


def content(number: int) -> bytes:
    # Small ones are one request, others are pumped.
    return bytes((number, 1, 2, 3)) * (10 if number % 2 else 30_000)


@pytest.mark.slow
async def test_files_keep_their_contents(confused: Both, tmp_path: Path) -> None:
    sftp, line = confused
    tree = tmp_path / "tree"
    expected: dict[str, bytes] = {}
    for directory in ("", "a", "a/b", "a/b/c"):
        (tree / directory).mkdir()
        for number in range(20):
            name = os.path.join(directory, str(number))
            expected[name] = content(number)
            (tree / name).write_bytes(expected[name])
    await sftp.put(tree, "/up", recursive=True)
    assert {path.removeprefix("/up/"): bytes(data) for path, data in line.files.files.items()} == (
        expected
    )
    assert sftp.session.turns.alone
    sftp.session.client.reuses_handles = False
    await sftp.get("/up", tmp_path / "down", recursive=True, verify=True)
    for name, data in expected.items():
        assert (tmp_path / "down" / name).read_bytes() == data


def make_tree(tree: Path, count: int) -> dict[str, bytes]:
    tree.mkdir()
    expected = {str(number): content(number) for number in range(count)}
    for name, data in expected.items():
        (tree / name).write_bytes(data)
    return expected


async def test_files_with_one_handle_are_all_closed(confused: Both, tmp_path: Path) -> None:
    """What stays open at the server takes part in its choice of the next handles."""
    sftp, line = confused
    make_tree(tmp_path / "tree", 40)
    await sftp.put(tmp_path / "tree", "/up", recursive=True)
    await sftp.stat("/up")
    assert sftp.session.turns.alone
    assert isinstance(line.server, Confused)
    assert line.server._handles.order == []
    assert sftp.session.client.open_handles == 0


@pytest.mark.parametrize("known", [False, True])
async def test_copies_beside_each_other_take_turns(
    confused: Both, tmp_path: Path, known: bool
) -> None:
    sftp, line = confused
    expected = make_tree(tmp_path / "tree", 12)
    sftp.session.client.reuses_handles = known
    await asyncio.gather(*(sftp.put(tmp_path / "tree" / name, f"/{name}") for name in expected))
    assert {path[1:]: bytes(data) for path, data in line.files.files.items()} == expected
    copies = (sftp.get(f"/{name}", tmp_path / f"copy{name}") for name in expected)
    await asyncio.gather(*copies)
    for name, data in expected.items():
        assert (tmp_path / f"copy{name}").read_bytes() == data


async def test_a_turn_that_waits_for_other_files_ends_with_the_session(confused: Both) -> None:
    sftp, line = confused
    sftp.session.client.reuses_handles = True
    line.hold = True
    sftp.session.start(msg.Open("/first", OpenFlag.READ | OpenFlag.CREAT)).cancel()

    async def take() -> None:
        async with sftp.session.turns.turn():
            raise AssertionError("another file may be open")

    task = asyncio.ensure_future(take())
    await until_held(sftp, 1)
    assert not task.done()
    sftp.session.fail(ConnectionLost("cut"))
    with pytest.raises(ConnectionLost):
        await asyncio.wait_for(task, 30)


async def test_a_handle_may_come_again_before_the_answer_to_its_close() -> None:
    """A server that does requests side by side may answer an OPEN before a CLOSE that it did."""
    client = SFTPClientProtocol()
    client.receive(string(b"\2" + u32(3)))

    def answer(kind: int, number: int, body: bytes) -> object:
        ((_, result),) = client.receive(string(bytes([kind]) + u32(number) + body))
        return result

    first = answer(FXP.HANDLE, client.send(msg.Open("/a", 1)), string(b"h"))
    assert isinstance(first, OpenHandle)
    early = client.send(msg.Open("/b", 1))
    closing = client.send(msg.Close(first))
    second = answer(FXP.HANDLE, client.send(msg.Open("/c", 1)), string(b"h"))
    assert isinstance(second, OpenHandle)
    assert answer(FXP.STATUS, closing, u32(0) + text("") + text("")) is None
    assert not any((first.spoiled, second.spoiled, client.reuses_handles))
    # But an OPEN that was sent before CLOSE may have been done before it.
    reused = answer(FXP.HANDLE, early, string(b"h"))
    assert isinstance(reused, HandleReused)
    assert second.spoiled
    assert client.reuses_handles
    for left in (1, 0):
        status = answer(FXP.STATUS, client.send(msg.Close(second)), u32(0) + text("") + text(""))
        assert isinstance(status, HandleReused)
        assert client.open_handles == left


async def test_an_open_file_is_told(confused: Both) -> None:
    sftp, line = confused
    line.files.files |= {"/a": bytearray(b"a" * 100), "/b": bytearray(b"b" * 100)}
    line.files.files["/c"] = bytearray(b"c")
    files = [await sftp.open("/a", "rb+")]
    assert isinstance(line.server, Confused)
    if not line.server.worst:
        files.append(await sftp.open("/b", "rb+"))
    with pytest.raises(SFTPError, match="one handle to two open files"):
        await sftp.open("/c", "rb+")
    with pytest.raises(SFTPError, match="one handle to two open files"):
        await files[-1].read()
    with pytest.raises(SFTPError, match="one handle to two open files"):
        await files[-1].close()


async def test_one_file_after_the_other_is_no_matter(confused: Both) -> None:
    sftp, _ = confused
    for name in ("/a", "/b", "/c"):
        await sftp.write_text(name, name)
        assert await sftp.read_text(name) == name
    assert not sftp.session.turns.alone


async def test_a_resumed_upload_keeps_what_is_there(tmp_path: Path) -> None:
    """As OpenSSH does: WRITE and APPEND, because some servers truncate otherwise."""
    sftp, line = await open_memory()
    whole = bytes(range(256)) * 2000
    (tmp_path / "f").write_bytes(whole)
    real = line.files.open

    def truncating(path: str, flags: int) -> object:
        if flags & OpenFlag.WRITE and not flags & OpenFlag.APPEND:
            flags |= OpenFlag.TRUNC
        return real(path, flags)

    line.files.open = truncating  # type: ignore[method-assign,assignment]
    for have in (1, 1000, len(whole)):
        line.files.files["/f"] = bytearray(whole[:have])
        await sftp.put(tmp_path / "f", "/f", resume=True)
        assert line.files.files["/f"] == whole
    line.files.files["/f"] = bytearray(b"another start")
    await sftp.put(tmp_path / "f", "/f", resume=True)
    assert line.files.files["/f"] == whole


async def test_what_is_appended_needs_no_offsets(tmp_path: Path) -> None:
    """Servers with O_APPEND ignore them, so the holes of a sparse file are sent."""
    sftp, line = await open_memory()
    with (tmp_path / "f").open("wb") as file:
        file.write(b"start")
        file.seek(5 << 20)
        file.write(b"end")
    whole = (tmp_path / "f").read_bytes()
    line.files.files["/f"] = bytearray(whole[:5])

    def append(file: bytearray, offset: int, data: bytes | bytearray | memoryview) -> None:
        file.extend(data)

    line.files.write = append  # type: ignore[method-assign]
    await sftp.put(tmp_path / "f", "/f", resume=True)
    assert line.files.files["/f"] == whole
