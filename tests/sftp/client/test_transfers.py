"""Copies of files and trees between a server in memory and this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nacre.errors import SFTPError
from nacre.sftp.client.client import SFTPClient
from nacre.sftp.protocol.attributes import Attributes, Entry
from sftp.client.lines import CONTENT, MemoryLine


async def test_verify_finds_a_wrong_copy(
    both: tuple[SFTPClient, MemoryLine], tmp_path: Path
) -> None:
    sftp, line = both
    (tmp_path / "f").write_bytes(CONTENT)
    write = line.files.write

    def spoil(file: bytearray, offset: int, data: bytes | bytearray | memoryview) -> None:
        write(file, offset, bytes(data).replace(CONTENT[5000:5004], b"????"))

    line.files.write = spoil  # type: ignore[method-assign]
    with pytest.raises(SFTPError, match="differs"):
        await sftp.put(tmp_path / "f", "/f", verify=True, atomic=True)
    assert line.files.files == {}


async def test_resume_compares_what_is_there(
    both: tuple[SFTPClient, MemoryLine], tmp_path: Path
) -> None:
    """The server of these tests hashes whole files: a part of one differs, and is sent anew."""
    sftp, line = both
    line.files.files["/f"] = bytearray(CONTENT)
    (tmp_path / "f").write_bytes(CONTENT)
    moved: list[int] = []
    await sftp.get(
        "/f", tmp_path / "f", resume=True, progress=lambda path, done, size: moved.append(done)
    )
    assert moved == [len(CONTENT)]
    (tmp_path / "f").write_bytes(b"other" + CONTENT[5:])
    moved.clear()
    await sftp.get(
        "/f", tmp_path / "f", resume=True, progress=lambda path, done, size: moved.append(done)
    )
    assert moved[0] == 0
    assert (tmp_path / "f").read_bytes() == CONTENT


async def test_a_link_then_a_directory_of_one_name_write_nothing_elsewhere(
    both: tuple[SFTPClient, MemoryLine], tmp_path: Path
) -> None:
    sftp, line = both
    outside = tmp_path / "outside"
    outside.mkdir()
    line.files.directories |= {"/d", "/d/x"}
    line.files.files["/d/x/evil"] = bytearray(b"evil")
    line.files.links["/d/x"] = str(outside)
    line.files.links["/d/y"] = str(outside)
    entries = {
        "/d": [
            Entry("x", "", Attributes(permissions=0o120777)),
            Entry("x", "", Attributes(permissions=0o040755)),
            Entry("y", "", Attributes(permissions=0o120777)),
        ],
        "/d/x": [Entry("evil", "", Attributes(size=4, permissions=0o100644))],
    }
    line.files.children = lambda directory: iter(entries[directory.rstrip("/")])  # type: ignore[method-assign]
    await sftp.get("/d", tmp_path / "copy", recursive=True, links="copy")
    assert list(outside.iterdir()) == []
    assert os.readlink(tmp_path / "copy" / "y") == str(outside)


async def test_on_error_lets_the_rest_be_copied(
    both: tuple[SFTPClient, MemoryLine], tmp_path: Path
) -> None:
    sftp, line = both
    line.files.directories.add("/d")
    for number in range(100):
        line.files.files[f"/d/{number}"] = bytearray(b"%d" % number)
    opened = line.files.open

    def refuse(path: str, flags: int) -> object:
        if path.endswith("7"):
            raise PermissionError(13, "")
        return opened(path, flags)

    line.files.open = refuse  # type: ignore[method-assign,assignment]
    told: list[OSError] = []
    await sftp.get("/d", tmp_path / "d", recursive=True, on_error=told.append)
    assert len(list((tmp_path / "d").iterdir())) == 90
    assert {error.filename for error in told} == {f"/d/{n}" for n in range(7, 100, 10)}
    assert all(isinstance(error, PermissionError) for error in told)
    with pytest.raises(PermissionError):
        await sftp.get("/d", tmp_path / "e", recursive=True)
