"""The two places that files are copied between."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from nacre.errors import SFTPError
from nacre.sftp.client.client import SFTPClient
from nacre.sftp.client.disk import Disk
from nacre.sftp.client.places import LocalPlace, Place, RemotePlace, data_parts
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes, Entry
from sftp.client.lines import CONTENT, MemoryLine, until

Both = tuple[SFTPClient, MemoryLine]
Write = Callable[[str, bytes], None]


@pytest.fixture(params=["here", "on a server"])
async def place(
    request: pytest.FixtureRequest, both: Both, tmp_path: Path
) -> AsyncIterator[tuple[Place, str, Write]]:
    """A place, a directory in it, and a function that writes a file there."""
    sftp, line = both
    if request.param == "on a server":
        line.files.directories.add("/top")
        yield (
            RemotePlace(sftp.session),
            "/top",
            lambda path, data: line.files.files.update({path: bytearray(data)}),
        )
    else:
        disk = Disk()
        yield LocalPlace(disk), str(tmp_path), lambda path, data: _write(path, data)
        disk.close()


def _write(path: str, data: bytes) -> None:
    Path(path).write_bytes(data)


async def names(place: Place, path: str) -> list[str]:
    return sorted([entry.name async for entry in place.listing(path)])


async def test_both_places_make_list_and_remove(place: tuple[Place, str, Write]) -> None:
    where, top, write = place
    assert await names(where, top) == []
    await where.mkdir(f"{top}/d", 0o755)
    write(f"{top}/f", b"123")
    assert await names(where, top) == ["d", "f"]
    assert (await where.stat(f"{top}/d")).is_directory
    assert (await where.stat(f"{top}/f")).size == 3
    await where.replace(f"{top}/f", f"{top}/g")
    await where.remove(f"{top}/g")
    assert await names(where, top) == ["d"]
    with pytest.raises(FileNotFoundError):
        await where.remove(f"{top}/g")
    with pytest.raises(FileNotFoundError):
        await where.stat(f"{top}/g")
    with pytest.raises(OSError, match=r"(?i)not a directory|no such file"):
        await names(where, f"{top}/d/none")


async def test_both_places_follow_links_only_with_follow(place: tuple[Place, str, Write]) -> None:
    where, top, write = place
    write(f"{top}/f", b"123")
    await where.symlink(f"{top}/f", f"{top}/l")
    assert await where.readlink(f"{top}/l") == f"{top}/f"
    assert (await where.stat(f"{top}/l")).is_file
    assert (await where.stat(f"{top}/l", follow=False)).is_symlink
    entries = {entry.name: entry.attributes async for entry in where.listing(top)}
    assert entries["l"].is_symlink


@pytest.mark.slow
async def test_both_places_list_more_than_one_portion(place: tuple[Place, str, Write]) -> None:
    where, top, write = place
    expected = sorted(f"file {number}" for number in range(2000))
    for name in expected:
        write(f"{top}/{name}", b"")
    assert await names(where, top) == expected


async def test_both_places_hash_a_file(place: tuple[Place, str, Write]) -> None:
    where, top, write = place
    write(f"{top}/f", CONTENT)
    assert await where.digest(f"{top}/f", len(CONTENT)) == hashlib.sha256(CONTENT).digest()
    assert await where.digest(f"{top}/f", 0) == hashlib.sha256().digest()


async def test_the_start_of_a_local_file_is_hashed(tmp_path: Path) -> None:
    disk = Disk()
    (tmp_path / "f").write_bytes(CONTENT)
    found = await LocalPlace(disk).digest(str(tmp_path / "f"), 1_500_000)
    assert found == hashlib.sha256(CONTENT[:1_500_000]).digest()
    disk.close()


async def test_a_file_is_read_if_the_server_can_not_hash(both: Both) -> None:
    sftp, line = both
    where = RemotePlace(sftp.session)
    assert where.hashes_itself()
    for extensions in ({}, {"check-file": "md5,sha1"}):
        sftp.session.client.extensions = extensions
        assert not where.hashes_itself()
        line.files.files["/f"] = bytearray(CONTENT)
        assert await where.digest("/f", 1000) == hashlib.sha256(CONTENT[:1000]).digest()
        assert await where.digest("/f", len(CONTENT)) == hashlib.sha256(CONTENT).digest()
    await until(lambda: sftp.session.client.waiting == 0)
    assert len(line.files.closed) == 4


async def test_a_listing_that_is_left_early_closes_its_handle(both: Both) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray()
    listing = RemotePlace(sftp.session).listing("/")
    assert (await anext(listing)).name == "f"
    assert line.files.closed == []
    await listing.aclose()
    await until(lambda: sftp.session.client.waiting == 0)
    assert len(line.files.closed) == 1


async def test_the_dots_of_a_listing_are_left_out(both: Both) -> None:
    sftp, line = both
    entries = [Entry(name, "", Attributes()) for name in (".", "..", "...", "f")]
    line.files.children = lambda directory: iter(entries)  # type: ignore[method-assign]
    assert await names(RemotePlace(sftp.session), "/") == ["...", "f"]


async def test_names_that_lead_elsewhere_are_refused(both: Both, tmp_path: Path) -> None:
    sftp, line = both
    line.files.directories.add("/d")
    for name in ("../evil", "/evil", "a/b", "", "nul\0"):
        entry = Entry(name, "", Attributes(size=1, permissions=0o100644))
        line.files.children = lambda directory, entry=entry: iter([entry])  # type: ignore[method-assign,misc]
        with pytest.raises(SFTPError, match="a name that is not valid"):
            await sftp.get("/d", tmp_path / "copy", recursive=True)
    # The second call found the first one's directory, and made one in it.
    assert {path.name for path in tmp_path.rglob("*")} == {"copy", "d"}


async def test_without_posix_rename_a_plain_one_replaces(both: Both) -> None:
    sftp, line = both
    where = RemotePlace(sftp.session)
    requests: list[msg.SFTPRequest[object]] = []
    change = line.files.change
    line.files.change = lambda call: (requests.append(call.request), change(call))[1]  # type: ignore[method-assign,func-returns-value]
    for extensions in (sftp.session.client.extensions, {}):
        sftp.session.client.extensions = extensions
        line.files.files["/old"] = bytearray(b"new")
        await where.replace("/old", "/f")
    assert [type(request).__name__ for request in requests] == ["PosixRename", "Rename"]


async def test_only_given_attributes_are_set(tmp_path: Path) -> None:
    disk, path = Disk(), tmp_path / "f"
    where = LocalPlace(disk)
    path.write_bytes(b"")
    os.utime(path, (100, 200))
    path.chmod(0o600)
    await where.set_attributes(str(path), Attributes(permissions=stat.S_IFREG | 0o640))
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.stat().st_mtime == 200
    await where.set_attributes(str(path), Attributes(atime=300, mtime=400))
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert (path.stat().st_atime, path.stat().st_mtime) == (300, 400)
    disk.close()


async def test_a_remote_files_attributes_are_set(both: Both) -> None:
    sftp, line = both
    given = Attributes(permissions=0o640, atime=300, mtime=400)
    await RemotePlace(sftp.session).set_attributes("/f", given)
    assert line.files.set == [("/f", given)]


def sparse(path: Path) -> int:
    """Make a file of 3 MiB with data in the second one only; return its size."""
    with path.open("wb") as file:
        file.seek(1 << 20)
        file.write(b"x" * (1 << 20))
        file.truncate(3 << 20)
    if path.stat().st_blocks * 512 >= 3 << 20:
        pytest.skip("this file system keeps no holes")
    return 3 << 20


def test_the_holes_of_a_local_file_are_left_out(tmp_path: Path) -> None:
    size = sparse(tmp_path / "f")
    with (tmp_path / "f").open("rb") as file:
        parts = data_parts(file.fileno(), size)
    assert parts == [(1 << 20, 2 << 20)]


def test_a_file_without_holes_is_one_part(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 10_000)
    with (tmp_path / "f").open("rb") as file:
        assert data_parts(file.fileno(), 10_000) == [(0, 10_000)]


def test_a_file_system_that_reports_no_holes_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = sparse(tmp_path / "f")

    def refuse(descriptor: int, offset: int, whence: int) -> int:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "lseek", refuse)
    with (tmp_path / "f").open("rb") as file:
        assert data_parts(file.fileno(), size) == [(0, size)]


async def test_the_handle_of_an_empty_directory_is_closed(both: Both) -> None:
    sftp, line = both
    line.files.directories.add("/d")
    assert await names(RemotePlace(sftp.session), "/d") == []
    await until(lambda: sftp.session.client.waiting == 0)
    assert len(line.files.closed) == 1
