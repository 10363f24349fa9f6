"""Files of keys on a host in this process, over SFTP; commands are in the interop tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import nacre
from nacre.cli.copy_id.identities import NewKey
from nacre.cli.copy_id.installing import NotInstalled, install
from parties import PASSWORD, client_for

KEYS = [nacre.generate("ssh-ed25519") for _ in range(2)]
WANTED = [NewKey(key.public, f"{key.public} k") for key in KEYS]
LINES = "".join(f"{identity.line}\n" for identity in WANTED)


@asynccontextmanager
async def host(root: Path) -> AsyncIterator[nacre.Connection]:
    async with (
        nacre.listen(
            host_keys=[KEYS[0]],
            policy=nacre.Users({"alice": PASSWORD}),
            sftp=lambda session: nacre.LocalFilesystem(root),
        ) as server,
        client_for(server) as ssh,
    ):
        yield ssh


async def test_a_file_and_its_directory_are_made(tmp_path: Path) -> None:
    async with host(tmp_path) as ssh:
        assert await install(ssh, WANTED, None, by_sftp=True) == WANTED
        assert await install(ssh, WANTED, None, by_sftp=True) == []
    file = tmp_path / ".ssh" / "authorized_keys"
    assert file.read_text() == LINES
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


async def test_lines_are_added_behind_those_that_are_there(tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    file = tmp_path / ".ssh" / "authorized_keys"
    file.write_text(f"# mine\n{WANTED[0].line}")  # without a line end
    async with host(tmp_path) as ssh:
        assert await install(ssh, WANTED, None, by_sftp=True) == WANTED[1:]
    assert file.read_text() == f"# mine\n{LINES}"


async def test_another_file_may_be_named(tmp_path: Path) -> None:
    async with host(tmp_path) as ssh:
        assert await install(ssh, WANTED, "keys", by_sftp=True) == WANTED
    assert (tmp_path / "keys").read_text() == LINES


async def test_a_host_without_commands_is_told(tmp_path: Path) -> None:
    async with host(tmp_path) as ssh:
        with pytest.raises(NotInstalled, match="-s does it without one"):
            await install(ssh, WANTED, None, by_sftp=False)
