"""Servers whose attributes do not tell the types of files: a type that is unknown is not "none"."""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from nacre.sftp.client.client import SFTPClient
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes, Entry, longname, type_in
from nacre.sftp.protocol.server import Call, SFTPServerProtocol
from sftp.client.lines import open_memory
from sftp.protocol.memory_files import MemoryFiles

DOS = "04-24-14  02:58PM       <DIR>          name"


class Untyped(MemoryFiles):
    """Tells the types of files in some answers only.

    :ivar tells: ``longname``, ``LStat`` and ``Stat``, as far as they tell it.
    :ivar sends: which permissions the other answers have: the bits, or none.
    """

    def __init__(self, tells: set[str], *, sends: bool) -> None:
        super().__init__()
        self.tells = tells
        self.sends = sends
        self.asked: list[str] = []
        self.directories |= {"/top", "/top/sub", "/top/empty"}
        self.files |= {"/top/a.csv": bytearray(b"a" * 10), "/top/sub/b.csv": bytearray(b"b")}
        self.links["/top/link"] = "/top/sub"

    def stripped(self, found: Attributes) -> Attributes:
        size, uid, gid, permissions, atime, mtime = found[:6]
        bits = stat.S_IMODE(permissions or 0) if self.sends else None
        return Attributes(size, uid, gid, bits, atime, mtime)

    def answer(self, server: SFTPServerProtocol, call: Call) -> None:
        kind = type(call.request).__name__
        self.asked.append(kind)
        if isinstance(call.request, (msg.Stat, msg.LStat)) and kind not in self.tells:
            path = call.request.path
            path = self.follow(path) if kind == "Stat" else path
            server.send_attributes(call.id, self.stripped(self.attributes(path)))
        elif isinstance(call.request, msg.OpenDir):
            request = msg.OpenDir(self.follow(call.request.path))
            super().answer(server, Call(call.id, request, call.files))
        else:
            super().answer(server, call)

    def children(self, directory: str) -> Iterator[Entry]:
        for entry in super().children(directory):
            line = longname(entry.name, entry.attributes, now=10.0)
            shown = line if "longname" in self.tells else DOS
            yield Entry(entry.name, shown, self.stripped(entry.attributes))


@pytest.fixture(params=[True, False], ids=["bits", "no permissions"])
def sends(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(params=["longname", "LStat", "Stat", "nothing"])
async def untyped(request: pytest.FixtureRequest, sends: bool) -> tuple[SFTPClient, Untyped]:
    files = Untyped({request.param}, sends=sends)
    sftp, _ = await open_memory(files)
    return sftp, files


async def test_listings_have_types(untyped: tuple[SFTPClient, Untyped]) -> None:
    sftp, _ = untyped
    found = {
        entry.name: (entry.is_dir(), entry.is_file(), entry.is_symlink())
        async for entry in sftp.scandir("/top")
    }
    assert found == {
        "a.csv": (False, True, False),
        "sub": (True, False, False),
        "empty": (True, False, False),
        "link": (False, False, True),
    }
    walked = [(at, sorted(below), sorted(names)) async for at, below, names in sftp.walk("/top")]
    assert sorted(walked) == [
        ("/top", ["empty", "sub"], ["a.csv", "link"]),
        ("/top/empty", [], []),
        ("/top/sub", [], ["b.csv"]),
    ]
    assert await sftp.glob("/top/**/*.csv") == ["/top/a.csv", "/top/sub/b.csv"]


async def test_single_files_have_types(untyped: tuple[SFTPClient, Untyped]) -> None:
    sftp, _ = untyped
    assert await sftp.isdir("/top")
    assert await sftp.isdir("/top/link")
    assert await sftp.isfile("/top/a.csv")
    assert not await sftp.isfile("/top")
    assert await sftp.islink("/top/link")
    assert not await sftp.islink("/top/sub")
    assert stat.S_ISREG((await sftp.stat("/top/a.csv")).st_mode)
    await sftp.chdir("/top/sub")
    with pytest.raises(NotADirectoryError):
        await sftp.chdir("b.csv")


async def test_trees_are_copied_whole(
    untyped: tuple[SFTPClient, Untyped], sends: bool, tmp_path: Path
) -> None:
    sftp, files = untyped
    await sftp.get("/top", tmp_path, recursive=True, links="copy", preserve=True)
    top = tmp_path / "top"
    assert (top / "a.csv").read_bytes() == b"a" * 10
    assert (top / "sub" / "b.csv").read_bytes() == b"b"
    assert (top / "empty").is_dir()
    assert (top / "link").is_symlink()
    (top / "link").unlink()
    assert stat.S_IMODE((top / "a.csv").stat().st_mode) == 0o644
    await sftp.mkdir("/back")
    await sftp.put(top, "/back", recursive=True)
    await sftp.put(top / "a.csv", "/back")
    await sftp.copy("/top/a.csv", "/back/top/sub")
    assert {path for path in files.files if path.startswith("/back")} == {
        "/back/a.csv",
        "/back/top/a.csv",
        "/back/top/sub/a.csv",
        "/back/top/sub/b.csv",
    }


async def test_a_tree_is_removed_and_not_what_its_links_point_at(
    untyped: tuple[SFTPClient, Untyped],
) -> None:
    sftp, files = untyped
    files.directories.add("/other")
    files.files["/other/kept"] = bytearray(b"x")
    files.links["/top/link"] = "/other"
    removed: list[str] = []
    change = files.change

    def count(call: Call) -> None:
        if isinstance(call.request, msg.Remove):
            removed.append(call.request.path)
            if files.links.pop(call.request.path, None) is not None:
                return
        change(call)

    files.change = count  # type: ignore[method-assign]
    await sftp.rmtree("/top")
    assert files.directories == {"/", "/other"}
    assert sorted(removed) == ["/top/a.csv", "/top/link", "/top/sub/b.csv"]
    assert list(files.files) == ["/other/kept"]


async def test_names_alone_cost_no_questions(untyped: tuple[SFTPClient, Untyped]) -> None:
    sftp, files = untyped
    files.asked.clear()
    assert sorted(await sftp.listdir("/top")) == ["a.csv", "empty", "link", "sub"]
    assert not {"LStat", "Stat", "ReadLink"} & set(files.asked)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("-rw-rw-rw- 1 root root 9 Apr 24 14:58 a", stat.S_IFREG),
        ("drwxr-sr-t 1 root root 9 Apr 24 14:58 a", stat.S_IFDIR),
        ("lrwxrwxrwx+ 1 root", stat.S_IFLNK),
        ("prw-------", stat.S_IFIFO),
        ("d", 0),
        ("", 0),
        ("download.csv", 0),
        ("-0777 root a", 0),
        (DOS, 0),
    ],
)
def test_the_type_in_a_line_of_ls(line: str, kind: int) -> None:
    assert type_in(line) == kind


async def test_what_is_left_out_is_said_at_the_end(tmp_path: Path) -> None:
    class Pipes(MemoryFiles):
        def attributes(self, path: str) -> Attributes:
            found = super().attributes(path)
            if not path.endswith("pipe"):
                return found
            return Attributes(0, 1, 2, stat.S_IFIFO | 0o644, 5, 6)

    sftp, line = await open_memory(Pipes())
    line.files.directories.add("/top")
    for name in ("a", "pipe", "z"):
        line.files.files[f"/top/{name}"] = bytearray(b"x")
    with pytest.raises(OSError, match=r"1 files were left out.*on_skip") as caught:
        await sftp.get("/top", tmp_path / "one", recursive=True)
    assert caught.value.errno == errno.EOPNOTSUPP
    assert caught.value.filename == "/top/pipe"
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["a", "z"]
    errors: list[OSError] = []
    await sftp.get("/top", tmp_path / "two", recursive=True, on_error=errors.append)
    assert [error.filename for error in errors] == ["/top/pipe"]
    skipped: list[str] = []
    await sftp.get("/top", tmp_path / "three", recursive=True, on_skip=skipped.append)
    assert skipped == ["/top/pipe"]
