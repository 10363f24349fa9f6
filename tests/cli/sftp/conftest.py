"""A shell of ``sftp`` on a session with a server in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import nacre
from nacre.cli.common.meter import Meter
from nacre.cli.sftp.shell import SFTPShell, ShellSettings
from parties import PASSWORD, client_for


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root of the server's files."""
    path = tmp_path / "root"
    path.mkdir()
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The local directory."""
    path = tmp_path / "here"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


@pytest.fixture
async def shell(root: Path, here: Path) -> AsyncIterator[SFTPShell]:
    server = await nacre.listen(
        host_keys=[nacre.generate("ssh-ed25519")],
        policy=nacre.Users({"alice": PASSWORD}),
        sftp=lambda session: nacre.LocalFilesystem(root),
        log=lambda record: None,
    )
    async with server, client_for(server) as ssh, ssh.sftp() as sftp:
        await sftp.chdir("/")
        yield SFTPShell(sftp, "/", ShellSettings(), Meter(enabled=False))
