"""Unix sockets with the rights of this process."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from nacre.errors import ConnectFailed
from nacre.tunnels.unix import UnixSockets


@pytest.fixture
def short() -> Iterator[Path]:
    with TemporaryDirectory(prefix="f", dir="/tmp") as path:
        yield Path(path)


async def test_what_listens_can_be_connected_to_and_its_file_is_removed(short: Path) -> None:
    listening, release = await UnixSockets().listen(f"{short}/s")
    with listening, await UnixSockets().connect(f"{short}/s") as client:
        assert client.getblocking() is False
        listening.accept()[0].close()
    release()
    assert os.listdir(short) == []


async def test_a_file_that_another_has_put_there_stays(short: Path) -> None:
    listening, release = await UnixSockets().listen(f"{short}/s")
    os.unlink(f"{short}/s")
    with listening, socket.socket(socket.AF_UNIX) as other:
        other.bind(f"{short}/s")
        release()
    assert os.listdir(short) == ["s"]


@pytest.mark.parametrize("path", ["/nonexistent/s", "/tmp/a\0b", "/" + "x" * 200])
async def test_a_path_that_can_not_be_used(path: str) -> None:
    with pytest.raises(ConnectFailed, match="no connection to"):
        await UnixSockets().connect(path)
    with pytest.raises(OSError, match=r"No such file|Invalid argument|too long"):
        await UnixSockets().listen(path)
