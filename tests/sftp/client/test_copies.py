"""get, put, copy and glob: where copies go, and what patterns find."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nacre.errors import ConnectionLost
from nacre.sftp.client.client import SFTPClient
from nacre.sftp.client.copies import glob_in
from sftp.client.lines import MemoryLine, open_memory

Both = tuple[SFTPClient, MemoryLine]


@pytest.fixture
def files(both: Both) -> dict[str, bytearray]:
    """The files of a server that has some."""
    files = both[1].files
    files.directories |= {"/d", "/d/sub", "/d/.hidden"}
    for path in ("/a.txt", "/b.txt", "/[c].txt", "/d/e.txt", "/d/sub/f.txt", "/d/.hidden/g.txt"):
        files.files[path] = bytearray(path.encode())
    return files.files


# --- where a copy goes ---


async def test_a_copy_has_the_name_of_its_target_or_goes_into_it(
    both: Both, files: dict[str, bytearray], tmp_path: Path
) -> None:
    sftp, _ = both
    await sftp.get("/a.txt", tmp_path / "copy")
    await sftp.get("/a.txt", tmp_path)
    (tmp_path / "made").mkdir()
    await sftp.get("/a.txt", os.fspath(tmp_path / "made") + "/")
    await sftp.get(["/b.txt", b"/d/e.txt"], tmp_path / "made")
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert found == ["a.txt", "copy", "made", "made/a.txt", "made/b.txt", "made/e.txt"]
    assert (tmp_path / "made" / "e.txt").read_bytes() == b"/d/e.txt"


async def test_several_sources_need_a_directory(
    both: Both, files: dict[str, bytearray], tmp_path: Path
) -> None:
    sftp, _ = both
    with pytest.raises(FileNotFoundError):
        await sftp.get(["/a.txt", "/b.txt"], tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        await sftp.get("/a.txt", os.fspath(tmp_path / "none") + "/")


async def test_by_default_copies_go_to_the_current_directory(
    both: Both, files: dict[str, bytearray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sftp, _ = both
    monkeypatch.chdir(tmp_path)
    await sftp.get("/a.txt")
    assert (tmp_path / "a.txt").read_bytes() == b"/a.txt"
    (tmp_path / "h.txt").write_bytes(b"h")
    await sftp.chdir("/d")
    await sftp.put("h.txt")
    assert files["/d/h.txt"] == b"h"


async def test_remote_paths_are_relative_to_the_clients_directory(
    both: Both, files: dict[str, bytearray], tmp_path: Path
) -> None:
    sftp, _ = both
    await sftp.chdir("/d")
    await sftp.get("sub/f.txt", tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == b"/d/sub/f.txt"
    await sftp.put(tmp_path / "f", "sub/g.txt")
    await sftp.copy("sub/g.txt", "h.txt")
    assert files["/d/sub/g.txt"] == files["/d/h.txt"] == b"/d/sub/f.txt"


async def test_a_copy_may_go_to_another_server(both: Both, files: dict[str, bytearray]) -> None:
    sftp, _ = both
    there, line = await open_memory()
    async with there:
        line.files.directories.add("/there")
        await there.chdir("/there")
        await sftp.copy("/d", "d", there, recursive=True)
    assert line.files.files["/there/d/sub/f.txt"] == b"/d/sub/f.txt"


async def test_patterns_are_for_those_who_want_them(
    both: Both, files: dict[str, bytearray], tmp_path: Path
) -> None:
    sftp, _ = both
    await sftp.get("/?.txt", tmp_path, glob=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.txt"]
    await sftp.get("/[c].txt", tmp_path)
    assert (tmp_path / "[c].txt").read_bytes() == b"/[c].txt"
    await sftp.put(tmp_path / "[ab].txt", "/d/sub", glob=True)
    assert {"/d/sub/a.txt", "/d/sub/b.txt"} <= set(files)
    await sftp.copy("/d/sub/?.txt", "/d", glob=True)
    assert {"/d/a.txt", "/d/b.txt", "/d/f.txt"} <= set(files)


# --- patterns ---


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("/*.txt", ["/[c].txt", "/a.txt", "/b.txt"]),
        ("/[a-b].txt", ["/a.txt", "/b.txt"]),
        ("/\\[c\\].txt", ["/[c].txt"]),
        ("/d/*", ["/d/e.txt", "/d/sub"]),
        ("/d/.*", ["/d/.hidden"]),
        ("/*/sub/*", ["/d/sub/f.txt"]),
        ("/**/*.txt", ["/[c].txt", "/a.txt", "/b.txt", "/d/e.txt", "/d/sub/f.txt"]),
        ("/a.txt", ["/a.txt"]),
        ("/none", []),
        ("/none/*", []),
        ("/a.txt/*", []),
        ("/*.none", []),
    ],
)
async def test_patterns_find(
    both: Both, files: dict[str, bytearray], pattern: str, paths: list[str]
) -> None:
    assert await both[0].glob(pattern) == paths


async def test_relative_patterns_find_relative_paths(
    both: Both, files: dict[str, bytearray]
) -> None:
    sftp, _ = both
    await sftp.chdir("/d")
    assert await sftp.glob("*") == ["e.txt", "sub"]
    assert await sftp.glob("sub/*") == ["sub/f.txt"]
    assert await sftp.glob("/d/s*") == ["/d/sub"]


async def test_local_patterns_find_local_files(both: Both, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    (tmp_path / "b").mkdir()
    assert await glob_in(both[0].local, f"{tmp_path}/*") == [f"{tmp_path}/a", f"{tmp_path}/b"]


async def test_a_pattern_that_can_not_be_looked_up_is_no_empty_list(both: Both) -> None:
    sftp, line = both
    line.session.end(ConnectionLost("as asked"))
    for pattern in ("/*", "/f"):
        with pytest.raises(ConnectionLost):
            await sftp.glob(pattern)
