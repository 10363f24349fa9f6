"""Archives that are made while they are sent."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import nacre
from nacre.console.files import archives
from nacre.console.files.archives import archive, listed, safe_name
from nacre.console.web.calls import APIRefused
from nacre.sftp.client.client import SFTPClient

KEY = nacre.generate("ssh-ed25519")


@pytest.fixture
async def sftp(tmp_path: Path) -> AsyncIterator[SFTPClient]:
    def files(_session: nacre.Session) -> nacre.Filesystem:
        return nacre.LocalFilesystem(tmp_path)

    users = nacre.Users({"alice": "secret"})
    async with (
        nacre.listen(host_keys=[KEY], policy=users, sftp=files) as server,
        nacre.connect(
            "127.0.0.1",
            server.port,
            user="alice",
            password="secret",
            trust=nacre.AnyHostKey(),
            agent=False,
            keys=[],
            config=None,
        ) as connection,
        connection.sftp() as sftp,
    ):
        yield sftp


async def made_of(sftp: SFTPClient, path: str) -> zipfile.ZipFile:
    files = await listed(sftp, path)
    parts = [part async for part in archive(sftp, files)]
    return zipfile.ZipFile(io.BytesIO(b"".join(parts)))


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a b ü.txt", "a b ü.txt"),
        ("..\\..\\x", ".._.._x"),
        ("C:x", "C_x"),
        ("a\nb", "a_b"),
        ("...", "_"),
        ("x. .", "x"),
        ("\udcff", "_"),
    ],
)
def test_a_name_leads_nowhere_else_on_any_system(name: str, safe: str) -> None:
    assert safe_name(name) == safe


async def test_names_that_become_equal_stay_apart(sftp: SFTPClient, tmp_path: Path) -> None:
    for name in ("a\\b", "a:b", "A_B"):
        (tmp_path / name).write_text(name)
    with await made_of(sftp, "/") as made:
        assert len({name.casefold() for name in made.namelist()}) == 3
        assert sorted(made.read(name) for name in made.namelist()) == [b"A_B", b"a:b", b"a\\b"]


async def test_a_file_that_is_gone_meanwhile_is_told_of(sftp: SFTPClient, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "gone").write_text("gone")
    files = await listed(sftp, "/")
    (tmp_path / "gone").unlink()
    parts = [part async for part in archive(sftp, files)]
    with zipfile.ZipFile(io.BytesIO(b"".join(parts))) as made:
        assert sorted(made.namelist()) == ["kept", "not in this archive.txt"]
        assert b"/gone: No such file" in made.read("not in this archive.txt")


async def test_an_archive_is_bounded(
    sftp: SFTPClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        (tmp_path / str(number)).write_text("x")
    monkeypatch.setattr(archives, "MOST_FILES", 4)
    with pytest.raises(APIRefused) as raised:
        await listed(sftp, "/")
    assert raised.value.status == 413
    monkeypatch.setattr(archives, "MOST_FILES", 100)
    monkeypatch.setattr(archives, "_DEEPEST", 2)
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    with pytest.raises(APIRefused):
        await listed(sftp, "/")


async def test_pieces_are_sent_as_they_are_read(sftp: SFTPClient, tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(64 << 20)
    longest = 0
    async for part in archive(sftp, await listed(sftp, "/")):
        longest = max(longest, len(part))
    assert longest < 1 << 20


async def test_special_files_and_links_are_left_out(sftp: SFTPClient, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "old").write_text("x")
    os.utime(tmp_path / "old", (0, 0))
    with await made_of(sftp, "/") as made:
        assert [(one.filename, one.date_time[0]) for one in made.infolist()] == [("old", 1980)]


async def test_what_is_unpacked_can_be_entered_and_read(sftp: SFTPClient, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_text("a")
    with await made_of(sftp, "/") as made:
        modes = {one.filename: one.external_attr >> 16 for one in made.infolist()}
        assert modes == {"sub/": 0o40755, "sub/a": 0o100644}
        assert made.getinfo("sub/").external_attr & 0x10
