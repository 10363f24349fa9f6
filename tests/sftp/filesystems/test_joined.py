"""A root and folders as one filesystem."""

from __future__ import annotations

import errno
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from nacre.aio.maybe import settled
from nacre.sftp.filesystems.base import File, Filesystem, Upload
from nacre.sftp.filesystems.joined import JoinedFilesystem
from nacre.sftp.filesystems.local import LocalFilesystem
from nacre.sftp.filesystems.memory import MemoryFilesystem
from nacre.sftp.filesystems.rights import RightsFilesystem
from nacre.sftp.filesystems.rules import parse_rules
from nacre.sftp.protocol.attributes import Attributes, Entry
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.server.opened import carried_out
from sftp.filesystems.test_every_filesystem import fails, put, storage

READ, WRITE, NEW = OpenFlag.READ, OpenFlag.WRITE, OpenFlag.WRITE | OpenFlag.CREAT
NONE = Attributes()


class Carried:
    """A filesystem whose coroutines wait for nothing, and are carried out."""

    def __init__(self, files: Filesystem) -> None:
        self.files = files

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.files, name)
        return lambda *args, **options: carried_out(settled(method(*args, **options)))

    def names(self, path: str) -> list[str]:
        listing = self.scandir(path)
        try:
            return sorted(entry.name for entry in listing if entry.name not in (".", ".."))
        finally:
            listing.close()


@pytest.fixture
def places(tmp_path: Path) -> Path:
    for name in ("root", "shared", "only"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "file").write_text(name)
    (tmp_path / "root" / "shared").mkdir()
    (tmp_path / "root" / "shared" / "hidden").touch()
    return tmp_path


@pytest.fixture
def joined(places: Path) -> Any:
    stored = storage()
    put(stored, "/file", b"stored")
    files = JoinedFilesystem(
        LocalFilesystem(places / "root", user="alice"),
        {
            "/shared": LocalFilesystem(places / "shared"),
            "/shared/sub/in": LocalFilesystem(places / "root" / "sub"),
            "/far/away/store": stored,
            "/only": LocalFilesystem(places / "only", read_only=True),
        },
    )
    carried = Carried(files)
    yield carried
    carried.close()


def content(files: Any, path: str) -> bytes:
    file = files.open(path, READ, NONE)
    try:
        return bytes(file.pread(100, 0))
    finally:
        file.close()


def test_paths_lead_into_their_folders(joined: Any) -> None:
    assert content(joined, "/file") == b"root"
    assert content(joined, "file") == b"root"
    assert content(joined, "/shared/file") == b"shared"
    assert content(joined, "/sub/../shared/./file") == b"shared"
    assert content(joined, "/shared/../file") == b"root"
    assert content(joined, "/far/away/store/file") == b"stored"
    assert content(joined, "/../only/file") == b"only"
    fails(errno.ENOENT, lambda: joined.stat("/shared/hidden"))
    fails(errno.ENOENT, lambda: joined.stat("/sharedfile"))
    fails(errno.EISDIR, lambda: joined.open("/shared", READ, NONE))
    fails(errno.EISDIR, lambda: joined.open("/far", READ, NONE))


def test_a_listing_shows_the_folders(joined: Any) -> None:
    assert joined.names("/") == ["far", "file", "only", "shared", "sub"]
    assert joined.names("/far") == ["away"]
    assert joined.names("/far/away") == ["store"]
    assert joined.names("/far/away/store") == ["file"]
    assert joined.names("/shared") == ["file", "sub"]
    assert joined.names("/shared/sub") == ["in"]
    for path in ("/", "/far", "/far/away", "/far/away/store", "/shared", "/only", "/shared/sub/in"):
        assert joined.stat(path).is_directory
        assert joined.lstat(path).is_directory
        assert joined.realpath(path) == path
    listed = {entry.name: entry for entry in joined.scandir("/")}
    assert listed["shared"].attributes.is_directory
    assert listed["far"].attributes.is_directory


def test_real_paths(joined: Any, places: Path) -> None:
    assert joined.realpath(".") == "/"
    assert joined.realpath("/shared/sub/../file") == "/shared/file"
    assert joined.realpath("/far/away/store/x") == "/far/away/store/x"
    (places / "shared" / "link").symlink_to("/sub")
    assert joined.realpath("/shared/link") == "/shared/sub"
    assert joined.realpath("/shared/link/") == "/shared/sub"
    assert joined.readlink("/shared/link") == "/sub"
    assert stat.S_ISLNK(joined.lstat("/shared/link").permissions)
    assert joined.lstat("/shared/link/").is_directory
    (places / "shared" / "out").symlink_to("../../root/file")
    fails(errno.ENOENT, lambda: joined.stat("/shared/out/x"))
    fails(errno.ENOENT, lambda: joined.realpath("/shared/out"))
    fails(errno.EINVAL, lambda: joined.readlink("/far"))


FIXED = ["/shared", "/shared/", "/far", "/far/away", "/far/away/store", "/", "/shared/sub"]


@pytest.mark.parametrize("path", FIXED)
def test_a_folder_stays(joined: Any, path: str) -> None:
    for act in (
        lambda: joined.rmdir(path),
        lambda: joined.remove(path),
        lambda: joined.rename(path, "/x", replace=True),
        lambda: joined.rename("/file", path, replace=True),
        lambda: joined.symlink("x", path),
        lambda: joined.link("/file", path),
        lambda: joined.set_attributes(path, Attributes(permissions=0o700)),
    ):
        fails(errno.EBUSY, act)
    fails(errno.EEXIST, lambda: joined.mkdir(path, NONE))


def test_nothing_goes_from_one_folder_to_another(joined: Any, places: Path) -> None:
    for old, new in (
        ("/file", "/shared/f"),
        ("/shared/file", "/f"),
        ("/file", "/far/away/store/f"),
    ):
        for replace in (True, False):
            fails(errno.EXDEV, lambda o=old, n=new, r=replace: joined.rename(o, n, replace=r))  # type: ignore[misc]
        fails(errno.EXDEV, lambda o=old, n=new: joined.link(o, n))  # type: ignore[misc]
    joined.rename("/shared/file", "/shared/sub/f", replace=False)
    assert (places / "shared" / "sub" / "f").read_text() == "shared"
    joined.link("/shared/sub/f", "/shared/g")
    joined.mkdir("/shared/d", NONE)
    joined.symlink("g", "/shared/l")
    joined.set_attributes("/shared/g", Attributes(permissions=0o600))
    joined.rmdir("/shared/d")
    joined.remove("/shared/l")
    assert joined.statvfs("/shared").blocks
    assert joined.statvfs("/far/away").blocks
    fails(errno.ENOENT, lambda: joined.statvfs("/missing"))


def test_a_folder_that_is_read_only(joined: Any, places: Path) -> None:
    assert not joined.files.read_only
    for act in (
        lambda: joined.open("/only/file", WRITE, NONE),
        lambda: joined.open("/only/new", NEW, NONE),
        lambda: joined.remove("/only/file"),
        lambda: joined.mkdir("/only/d", NONE),
        lambda: joined.rmdir("/only/sub"),
        lambda: joined.rename("/only/file", "/only/f", replace=True),
        lambda: joined.rename("/file", "/only/f", replace=True),
        lambda: joined.rename("/only/file", "/f", replace=True),
        lambda: joined.link("/only/file", "/only/f"),
        lambda: joined.symlink("file", "/only/f"),
        lambda: joined.set_attributes("/only/file", Attributes(permissions=0o600)),
    ):
        fails(errno.EROFS, act)
    file = joined.open("/only/file", READ, NONE)
    mode = (places / "only" / "file").stat().st_mode
    fails(errno.EROFS, lambda: file.set_attributes(Attributes(permissions=0o600)))
    fails(errno.EOPNOTSUPP, lambda: file.pwrite(b"x", 0))
    assert file.preadv([memoryview(bytearray(4))], 0) == 4
    assert file.stat().size == 4
    assert file.statvfs().blocks
    file.close()
    assert (places / "only" / "file").stat().st_mode == mode
    assert content(joined, "/only/file") == b"only"


def test_a_session_starts_in_a_folder(joined: Any) -> None:
    joined.start_at("/shared/sub")
    assert joined.files.start == "/shared/sub"
    assert content(joined, "../file") == b"shared"
    fails(errno.ENOTDIR, lambda: joined.start_at("/file"))
    assert joined.home("") == "/"


def test_rights_hold_over_folders(joined: Any, places: Path) -> None:
    rules = parse_rules(["/:list", "/shared:list,download", "/far/away/store:list,upload"])
    judged = Carried(RightsFilesystem(joined.files, rules))
    assert judged.names("/") == ["far", "file", "only", "shared", "sub"]
    assert content(judged, "/shared/file") == b"shared"
    fails(errno.EACCES, lambda: judged.open("/file", READ, NONE))
    fails(errno.EACCES, lambda: judged.open("/shared/new", NEW, NONE))
    file = judged.open("/far/away/store/new", NEW, NONE)
    file.pwrite(b"x", 0)
    file.close()
    (places / "root" / "link").symlink_to("/shared/file")
    # A link does not lead out of its folder; its path is judged as that of the folder.
    assert judged.realpath("/link") == "/shared/file"
    fails(errno.EACCES, lambda: judged.open("/link", WRITE, NONE))


def test_the_ends_of_uploads_are_told_to_their_folder(tmp_path: Path) -> None:
    told: list[tuple[str, Upload]] = []

    class Told(MemoryFilesystem):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def upload_ended(self, upload: Upload) -> None:
            told.append((self.name, upload))

    files = Carried(JoinedFilesystem(Told("root"), {"/in": Told("in")}))
    files.upload_ended(Upload("/in/x", 3, True))
    files.upload_ended(Upload("y", 4, False))
    assert told == [("in", Upload("/x", 3, True)), ("root", Upload("/y", 4, False))]


def test_those_that_block_go_with_their_like(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="can't be joined"):
        JoinedFilesystem(MemoryFilesystem(), {"/a": LocalFilesystem(tmp_path)})


def test_all_are_closed_when_one_fails(tmp_path: Path) -> None:
    closed: list[str] = []

    class Closing(Filesystem):
        def __init__(self, name: str) -> None:
            self.name = name

        def close(self) -> None:
            closed.append(self.name)
            if self.name == "root":
                raise OSError(errno.EIO, "no")

    files = JoinedFilesystem(Closing("root"), {"/a": Closing("a"), "/b": Closing("b")})
    fails(errno.EIO, files.close)
    assert sorted(closed) == ["a", "b", "root"]
    # Processes that serve files call it plainly.
    assert JoinedFilesystem(Closing("a"), {"/b": Closing("b")}).close() is None


class Waiting(Filesystem):
    """A filesystem with coroutines."""

    blocking = False

    async def stat(self, path: str) -> Attributes:
        return Attributes(permissions=stat.S_IFDIR | 0o755)

    async def scandir(self, path: str) -> AsyncIterator[Entry]:
        async def entries() -> AsyncIterator[Entry]:
            for name in (".", "a", "b"):
                yield Entry(name, "", NONE)

        return entries()

    async def open(self, path: str, flags: OpenFlag, attributes: Attributes) -> File:
        return File()


async def test_over_coroutines() -> None:
    closed = 0

    class Closing(Waiting):
        async def close(self) -> None:
            nonlocal closed
            closed += 1
            if closed == 1:
                raise OSError(errno.EIO, "the root")

    files = JoinedFilesystem(Closing(), {"/b": Closing()})
    listing: Any = await files.scandir("/")
    found = [(entry.name, entry.attributes.is_directory) async for entry in listing]
    assert found == [(".", False), ("a", False), ("b", True)]
    await listing.aclose()
    await files.open("/b/x", READ, NONE)
    closing = files.close()
    assert closing is not None
    with pytest.raises(OSError, match="root"):
        await closing
    assert closed == 2
