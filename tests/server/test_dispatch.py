"""A session with files: SFTP, scp or a command that is neither."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest

import nacre
from nacre.server import dispatch
from nacre.server.dispatch import NOT_FOUND, serve_files
from nacre.server.session import Session
from nacre.sftp.filesystems.base import Filesystem
from nacre.sftp.filesystems.local import LocalFilesystem
from nacre.sftp.filesystems.memory import MemoryFilesystem
from parties import client_for


class Stream:
    def __init__(self, *typed: bytes) -> None:
        self.typed = list(typed)
        self.written = b""

    async def read(self, n: int = -1) -> bytes:
        return self.typed.pop(0) if self.typed else b""

    async def write(self, data: Any) -> None:
        self.written += data


class Silent:
    def record(self, event: str, **fields: object) -> None:
        pass


class Asked:
    """A session that asks for a subsystem or a command."""

    def __init__(
        self, *typed: bytes, subsystem: str | None = None, command: bytes | None = None
    ) -> None:
        self.subsystem = subsystem
        self.command = command
        self.connection = Silent()
        self.stdin = Stream(*typed)
        self.stdout = Stream()
        self.stderr = Stream()

    async def serve(self, filesystem: Filesystem) -> int:
        async with asyncio.timeout(30):
            return await serve_files(cast(Session, self), filesystem)


class Closed(MemoryFilesystem):
    closed = 0

    def close(self) -> None:
        self.closed += 1


async def test_a_subsystem_is_served_by_sftp(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[object] = []

    async def serve_sftp(session: object, filesystem: object) -> int:
        served.extend([session, filesystem])
        return 5

    monkeypatch.setattr(dispatch, "serve_sftp", serve_sftp)
    asked, files = Asked(subsystem="sftp"), MemoryFilesystem()
    assert await asked.serve(files) == 5
    assert served == [asked, files]


async def test_a_command_that_is_scp_is_served() -> None:
    asked, files = Asked(b"C0644 5 f\nhello\0", command=b"scp -t ."), Closed()
    assert await asked.serve(files) == 0
    assert files["/f"] == b"hello"
    assert asked.stdout.written == b"\0\0\0"
    assert files.closed == 1


async def test_over_a_filesystem_that_blocks_it_works_in_one_thread(tmp_path: Path) -> None:
    threads: list[int] = []

    class Noted(LocalFilesystem):
        def open(self, *arguments: Any) -> Any:
            threads.append(threading.get_ident())
            return super().open(*arguments)

        def close(self) -> None:
            threads.append(threading.get_ident())
            super().close()

    asked = Asked(b"C0644 5 f\nhello\0", b"C0644 1 g\nx\0", command=b"scp -t .")
    assert await asked.serve(Noted(tmp_path)) == 0
    assert (tmp_path / "f").read_bytes() == b"hello"
    assert len(threads) == 3
    assert len(set(threads)) == 1
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("command", [None, b"ls", b"scp -t . ; ls", b"scp -t"])
async def test_anything_else_is_not_found_and_the_filesystem_is_closed(
    command: bytes | None,
) -> None:
    asked, files = Asked(command=command), Closed()
    assert await asked.serve(files) == NOT_FOUND
    assert asked.stderr.written == b"this server offers sftp and scp only\n"
    assert files.closed == 1


async def test_a_filesystem_that_can_not_be_closed_does_not_change_the_status() -> None:
    class Stuck(MemoryFilesystem):
        def close(self) -> None:
            raise OSError("as asked")

    assert await Asked(command=b"ls").serve(Stuck()) == NOT_FOUND
    assert await Asked(b"C0644 1 f\nx\0", command=b"scp -t .").serve(Stuck()) == 0


@pytest.mark.parametrize("command", [None, "scp -f x"])
async def test_without_threads_no_descriptor_is_left(
    make_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str | None
) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    server = await make_server(handler=None, sftp=lambda _: nacre.LocalFilesystem(tmp_path))
    async with client_for(server) as ssh:
        monkeypatch.setattr(threading.Thread, "start", fail)
        counts = []
        for _ in range(4):
            if command is None:
                async with ssh.sftp() as sftp:
                    with suppress(OSError):
                        await sftp.listdir(".")
            else:
                await ssh.run(command, check=False)
            counts.append(descriptors())
        assert counts[0] == counts[-1]


async def test_without_threads_no_coroutine_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with pytest.raises(BlockingIOError):
            await Asked(command=b"scp -t .").serve(LocalFilesystem(tmp_path))
        gc.collect()
    assert [str(one.message) for one in warned] == []
