"""Open files and the session's end; other calls are tested by the module that has them."""

from __future__ import annotations

import asyncio
import inspect
import os
from pathlib import Path

import pytest

import nacre
from nacre.errors import AlreadyExists, ConnectionLost, LocalProtocolError, SFTPError
from nacre.sftp.client.client import SFTPClient, open_sftp_over
from nacre.sftp.client.file import SFTPFile, SFTPTextFile
from nacre.sftp.client.session import SFTPSession
from nacre.sftp.protocol.attributes import Attributes
from sftp.client.lines import CONTENT, MemoryLine, open_memory, until, until_held
from sftp.protocol.memory_files import MemoryFiles

Both = tuple[SFTPClient, MemoryLine]
Served = tuple[SFTPClient, Path]


async def test_an_extension_that_is_missing(both: Both) -> None:
    sftp, line = both
    line.session.client.extensions = {}
    with pytest.raises(SFTPError, match="no posix-rename") as caught:
        await sftp.replace("/a", "/b")
    assert caught.value.filename == "/a"
    with pytest.raises(LocalProtocolError):
        line.session.read(b"", 0, 1 << 30, lambda result: None)


async def test_modes_of_open(both: Both) -> None:
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


# --- opening ---


async def test_files_are_read_and_written_over_a_connection(served: Served) -> None:
    sftp, root = served
    assert await sftp.write_bytes("/f", CONTENT) == len(CONTENT)
    assert (root / "f").read_bytes() == CONTENT == await sftp.read_bytes("/f")
    assert await sftp.write_text("/t", "äöü") == 3
    assert (root / "t").read_text("utf-8") == "äöü" == await sftp.read_text("/t")
    await sftp.write_text("/t", "ä", "latin-1")
    assert (root / "t").read_bytes() == b"\xe4"
    assert await sftp.read_text("/t", "latin-1") == "ä"
    with pytest.raises(FileNotFoundError) as caught:
        await sftp.read_bytes("/none")
    assert caught.value.filename == "/none"


async def test_a_mode_chooses_the_kind_of_file(served: Served) -> None:
    sftp, root = served
    (root / "f").write_bytes(b"12345")
    for mode, kind, readable, writable in (
        ("rb", SFTPFile, True, False),
        ("r+b", SFTPFile, True, True),
        ("ab", SFTPFile, False, True),
        ("r", SFTPTextFile, True, False),
        ("w+", SFTPTextFile, True, True),
    ):
        async with await sftp.open("/f", mode) as file:
            assert type(file) is kind
            binary = file.buffer if isinstance(file, SFTPTextFile) else file
            assert (binary.readable(), binary.writable()) == (readable, writable)
    assert (root / "f").read_bytes() == b""


async def test_a_new_file_must_be_new(served: Served) -> None:
    sftp, root = served
    async with await sftp.open("/f", "xb", permissions=0o600) as file:
        await file.write(b"x")
    assert (root / "f").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        await sftp.open("/f", "xb")


async def test_a_server_that_gives_no_reason_may_have_the_file(both: Both) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray()

    def refuse(path: str, flags: int) -> object:
        raise OSError(0, "")

    line.files.open = refuse  # type: ignore[method-assign,assignment]
    with pytest.raises(AlreadyExists):
        await sftp.open("/f", "x")
    with pytest.raises(SFTPError) as caught:
        await sftp.open("/f", "w")
    assert not isinstance(caught.value, FileExistsError)


async def test_a_file_whose_end_can_not_be_found_is_closed(both: Both) -> None:
    sftp, line = both
    attributes = line.files.attributes

    def refuse(path: str) -> Attributes:
        if path == "/f":
            raise PermissionError(13, "")
        return attributes(path)

    line.files.attributes = refuse  # type: ignore[method-assign]
    with pytest.raises(PermissionError):
        await sftp.open("/f", "ab")
    await until(lambda: sftp.session.client.waiting == 0)
    assert len(line.files.closed) == 1


# --- the session ---


async def test_a_client_that_is_left_ends_its_session() -> None:
    sftp, line = await open_memory()
    async with sftp:
        line.hold = True
        waiting = asyncio.create_task(sftp.stat("/"))
        await until_held(sftp, 1)
    with pytest.raises(ConnectionLost, match="closed"):
        await waiting
    assert line.closed
    await sftp.wait_closed()
    with pytest.raises(ConnectionLost):
        await sftp.listdir("/")


async def test_a_server_that_ends_the_session_ends_the_client(both: Both) -> None:
    sftp, line = both
    line.session.end()
    await sftp.wait_closed()
    with pytest.raises(ConnectionLost, match="server ended"):
        await sftp.stat("/")


async def test_a_session_that_does_not_begin_is_closed() -> None:
    session = SFTPSession()
    line = MemoryLine(session, MemoryFiles())
    line.hold = True
    opening = asyncio.create_task(open_sftp_over(line, session))
    await until(lambda: bool(line.held))
    session.end(ConnectionLost("as asked"))
    with pytest.raises(ConnectionLost, match="as asked"):
        await opening
    assert line.closed
    assert session.error is not None


async def test_sizes_of_requests_and_of_the_window_are_options() -> None:
    session = SFTPSession()
    line = MemoryLine(session, MemoryFiles())
    async with await open_sftp_over(line, session, read_size=5000, window=20_000) as sftp:
        line.files.files["/f"] = bytearray(CONTENT)
        assert (session.read_size, session.write_size) == (5000, 5000)
        assert (session.window.limit, session.window.ceiling) == (20_000, 20_000)
        assert await sftp.read_bytes("/f") == CONTENT


def test_each_call_of_the_client_is_documented() -> None:
    for name in dir(SFTPClient):
        if not name.startswith("_"):
            assert inspect.getdoc(getattr(SFTPClient, name)), name


async def test_a_subsystem_or_command_that_is_refused_leaves_nothing_open(
    ssh: nacre.Connection,
) -> None:
    files = len(os.listdir("/proc/self/fd"))
    with pytest.raises(nacre.RequestFailed):
        await ssh.sftp()
    assert len(os.listdir("/proc/self/fd")) == files
    assert (await ssh.run("exit 7")).exit_status == 7
