"""Clients of SFTP to test with: of a server in memory, and of one on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

import nacre
from nacre.sftp.client.client import SFTPClient
from parties import client_for, until
from sftp.client.lines import MemoryLine, open_memory


@pytest.fixture
async def both() -> AsyncIterator[tuple[SFTPClient, MemoryLine]]:
    """A client whose server has its files in memory, and the line between them."""
    sftp, line = await open_memory()
    async with sftp:
        yield sftp, line


@pytest.fixture
async def served(
    make_server: Callable[..., Any], tmp_path: Path
) -> AsyncIterator[tuple[SFTPClient, Path]]:
    """A client of a server on loopback, and the directory whose files it has."""
    root = tmp_path / "served"
    root.mkdir()
    server = await make_server(sftp=lambda session: nacre.LocalFilesystem(root))
    async with client_for(server) as ssh, ssh.sftp() as sftp:
        yield sftp, root
        await until(lambda: sftp.session.client.waiting == 0 or sftp.session.error)
