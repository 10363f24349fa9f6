"""An SFTP server program of this machine, over pipes."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from nacre.cli.common.local_server import start_server
from nacre.errors import ConnectFailed, ConnectionLost, NacreError

SERVER = "/usr/lib/openssh/sftp-server"
DEADLINE = 20


@pytest.mark.parametrize("command", ["/no/such/program", "", "'unterminated"])
async def test_a_program_that_does_not_start(command: str) -> None:
    with pytest.raises(ConnectFailed, match="can't start the SFTP server program"):
        await start_server(command)


async def test_a_program_that_serves_nothing() -> None:
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(NacreError):
            await start_server(f"{shlex.quote(sys.executable)} -c pass")


@pytest.mark.skipif(not os.path.exists(SERVER), reason="OpenSSH's sftp-server is not installed")
async def test_files_over_pipes(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    (tmp_path / "original").write_bytes(content)
    async with asyncio.timeout(DEADLINE), await start_server(SERVER) as sftp:
        await sftp.put(tmp_path / "original", str(tmp_path / "up"))
        await sftp.get(str(tmp_path / "up"), tmp_path / "down")
        assert sorted(await sftp.listdir(str(tmp_path))) == ["down", "original", "up"]
    assert (tmp_path / "down").read_bytes() == content


@pytest.mark.skipif(not os.path.exists(SERVER), reason="OpenSSH's sftp-server is not installed")
async def test_a_program_that_is_killed_ends_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[asyncio.subprocess.Process] = []
    create = asyncio.create_subprocess_exec

    async def note(*words: bytes, **options: Any) -> asyncio.subprocess.Process:
        started.append(await create(*words, **options))
        return started[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", note)
    async with asyncio.timeout(DEADLINE):
        sftp = await start_server(SERVER)
        started[0].kill()
        await started[0].wait()
        with pytest.raises(ConnectionLost):
            await sftp.listdir(str(tmp_path))
        sftp.close()
        await sftp.wait_closed()
