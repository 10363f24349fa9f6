"""The calls about attributes, on a server over a real connection."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from nacre.errors import SFTPError
from nacre.sftp.client.attributes import with_owner
from nacre.sftp.client.client import SFTPClient
from nacre.sftp.protocol.attributes import Attributes, FileDetails
from sftp.client.lines import MemoryLine

Both = tuple[SFTPClient, MemoryLine]
Served = tuple[SFTPClient, Path]


async def test_kinds_of_files(served: Served) -> None:
    sftp, root = served
    (root / "d").mkdir()
    (root / "f").write_bytes(b"12345")
    (root / "l").symlink_to("f")
    (root / "ld").symlink_to("d")
    (root / "dangling").symlink_to("none")
    calls = (sftp.exists, sftp.lexists, sftp.isfile, sftp.isdir, sftp.islink)
    table = {
        "/f": [True, True, True, False, False],
        "/d": [True, True, False, True, False],
        "/l": [True, True, True, False, True],
        "/ld": [True, True, False, True, True],
        "/dangling": [False, True, False, False, True],
        "/none": [False] * 5,
        "/f/none": [False] * 5,
    }
    for path, expected in table.items():
        assert [await call(path) for call in calls] == expected, path


async def test_stat_is_that_of_os(served: Served) -> None:
    sftp, root = served
    (root / "f").write_bytes(b"12345")
    os.utime(root / "f", (1000, 2000))
    (root / "l").symlink_to("f")
    here, there = (root / "f").stat(), await sftp.stat("/l")
    for name in ("st_size", "st_mode", "st_uid", "st_gid", "st_atime", "st_mtime"):
        assert getattr(there, name) == getattr(here, name)
    assert stat.S_ISLNK((await sftp.lstat("/l")).st_mode)
    assert stat.S_ISLNK((await sftp.stat("/l", follow_symlinks=False)).st_mode)
    assert await sftp.getsize("/f") == 5
    assert await sftp.getmtime("/f") == 2000
    with pytest.raises(FileNotFoundError) as caught:
        await sftp.stat("/none")
    assert caught.value.filename == "/none"


async def test_attributes_are_changed(served: Served) -> None:
    sftp, root = served
    (root / "f").write_bytes(b"12345")
    await sftp.chmod("/f", 0o100600)
    assert stat.S_IMODE((root / "f").stat().st_mode) == 0o600
    await sftp.utime("/f", (1000.9, 2000.9))
    assert ((root / "f").stat().st_atime, (root / "f").stat().st_mtime) == (1000, 2000)
    await sftp.truncate("/f", 3)
    assert (root / "f").read_bytes() == b"123"
    await sftp.utime("/f")
    assert (root / "f").stat().st_mtime > 2000


async def test_an_owner_that_is_minus_one_stays(both: Both) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray()
    await sftp.chown("/f", -1, 7)
    await sftp.chown("/f", 8, -1)
    await sftp.chown("/f", 8, 9)
    given = [(found.uid, found.gid) for _, found in line.files.set]
    assert given == [(1, 7), (8, 2), (8, 9)]


async def test_a_links_own_attributes_need_an_extension(both: Both) -> None:
    sftp, line = both
    await sftp.chmod("/l", 0o600, follow_symlinks=False)
    assert line.files.set == [("/l", Attributes(permissions=0o600))]
    line.session.client.extensions = {}
    with pytest.raises(SFTPError, match="lsetstat"):
        await sftp.utime("/l", (1, 2), follow_symlinks=False)


async def test_the_file_system_is_described(served: Served) -> None:
    sftp, root = served
    found, expected = await sftp.statvfs("/"), os.statvfs(root)
    assert (found.f_frsize, found.f_blocks) == (expected.f_frsize, expected.f_blocks)


async def test_a_file_is_hashed(served: Served) -> None:
    sftp, root = served
    (root / "f").write_bytes(b"12345")
    assert await sftp.digest("/f") == hashlib.sha256(b"12345").digest()
    with pytest.raises(FileNotFoundError):
        await sftp.digest("/none")


async def test_numbers_have_names(both: Both) -> None:
    sftp, line = both
    assert await sftp.names((0, 5), (6,)) == (("root", ""), ("g6",))
    line.session.client.extensions = {}
    with pytest.raises(SFTPError, match="users-groups"):
        await sftp.names((0,), ())


async def test_version_3_has_no_names_of_owners(served: Served) -> None:
    sftp, root = served
    (root / "f").touch()
    for owner in (("root", 0), (0, "root"), ("root", -1)):
        with pytest.raises(ValueError, match="version 3 of SFTP has no names"):
            await sftp.chown("f", *owner)


def test_one_of_owner_and_group_is_kept() -> None:
    numbers = Attributes(uid=1, gid=2)
    named = Attributes(details=FileDetails(owner="a", group="b"))
    assert with_owner(numbers, 7, -1) == Attributes(uid=7, gid=2)
    assert with_owner(numbers, -1, 0) == Attributes(uid=1, gid=0)
    assert with_owner(named, 7, -1).details == FileDetails(owner="7", group="b")
    assert with_owner(named, -1, "c").details == FileDetails(owner="a", group="c")
    assert with_owner(Attributes(), 0, 0) == Attributes(uid=0, gid=0)
    with pytest.raises(ValueError, match="does not tell who owns"):
        with_owner(Attributes(), 7, -1)
