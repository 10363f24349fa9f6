"""What a local directory, memory and a storage of fsspec have in common."""

from __future__ import annotations

import errno
import os
import pwd
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nacre.limits import MIB
from nacre.sftp.filesystems.base import File, Filesystem
from nacre.sftp.filesystems.fsspec import FsspecFilesystem
from nacre.sftp.filesystems.local import LocalFilesystem, SystemFilesystem
from nacre.sftp.filesystems.memory import MemoryFilesystem
from nacre.sftp.protocol.attributes import Attributes, Entry
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.protocol.status import numbered
from sftp.filesystems.objects import BareObjects, Objects, object_store

READ = OpenFlag.READ
NEW = OpenFlag.WRITE | OpenFlag.CREAT | OpenFlag.TRUNC
CHANGE = OpenFlag.READ | OpenFlag.WRITE | OpenFlag.CREAT
NONE = Attributes()


def storage() -> FsspecFilesystem:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory", skip_instance_cache=True)
    memory.store, memory.pseudo_dirs = {}, [""]
    memory.mkdir("/root")
    return FsspecFilesystem(memory, "/root")


def directory_of(storage: Any, root: Path | str) -> FsspecFilesystem:
    """Return a directory of a storage as a storage of its own (``dir::…``)."""
    dirfs = pytest.importorskip("fsspec.implementations.dirfs")
    return FsspecFilesystem(dirfs.DirFileSystem(str(root), storage))


def local_storage() -> Any:
    return pytest.importorskip("fsspec").filesystem("file")


def bucket(inside: str) -> Any:
    """Return an empty bucket of an S3 server in this process, as a storage, and a prefix in it."""
    name = uuid.uuid4().hex
    made = object_store()
    made.mkdir(name)
    return FsspecFilesystem(made, f"{name}/{inside}".rstrip("/"))


KINDS: dict[str, Callable[[Path], Filesystem]] = {
    "local": LocalFilesystem,
    "memory": lambda _: MemoryFilesystem(),
    "fsspec": lambda _: storage(),
    "dir::memory": lambda _: directory_of(storage()._storage.inner, "/root"),
    "fsspec-local": lambda path: FsspecFilesystem(local_storage(), str(path)),
    "dir::file": lambda path: directory_of(local_storage(), path),
    "objects": lambda _: FsspecFilesystem(Objects(skip_instance_cache=True), "bucket/prefix"),
    "s3": lambda _: bucket("prefix"),
    "s3-bucket": lambda _: bucket(""),
    "dir::s3": lambda _: directory_of((made := bucket(""))._storage.inner, made._root),
}
SLOW = {"s3", "s3-bucket", "dir::s3"}


def marked(kinds: Iterable[str]) -> list[Any]:
    return [pytest.param(kind, marks=[pytest.mark.slow] * (kind in SLOW)) for kind in kinds]


@pytest.fixture(params=marked(KINDS))
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    filesystem = KINDS[request.param](tmp_path)
    yield filesystem
    filesystem.close()


@pytest.fixture(params=marked(sorted(KINDS.keys() - {"local", "memory"})))
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return KINDS[request.param](tmp_path)


@pytest.fixture(params=["local", "memory"])
def full(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """One with links, modes and times."""
    filesystem = KINDS[request.param](tmp_path)
    yield filesystem
    filesystem.close()


def put(files: Any, path: str, content: bytes, flags: OpenFlag = NEW) -> None:
    file = files.open(path, flags, NONE)
    file.pwrite(content, 0)
    file.close()


def get(files: Any, path: str) -> bytes:
    file = files.open(path, READ, NONE)
    try:
        return bytes(file.pread(1 << 20, 0))
    finally:
        file.close()


def names(files: Any, path: str) -> list[str]:
    listing = files.scandir(path)
    try:
        return sorted(entry.name for entry in listing if entry.name not in (".", ".."))
    finally:
        listing.close()


def fails(number: int, call: Callable[[], object]) -> None:
    with pytest.raises(OSError) as caught:  # noqa: PT011
        call()
    assert numbered(caught.value).errno == number, caught.value


def test_files(files: Any) -> None:
    put(files, "one", b"first")
    assert get(files, "/one") == get(files, "./one") == b"first"
    put(files, "one", b"2nd")
    assert get(files, "../../one") == b"2nd"
    assert files.stat("one").size == 3
    assert files.stat("one").is_file
    fails(errno.EEXIST, lambda: files.open("one", NEW | OpenFlag.EXCL, NONE))
    fails(errno.ENOENT, lambda: files.open("none", READ, NONE))
    fails(errno.ENOENT, lambda: files.stat("none"))
    fails(errno.ENOENT, lambda: files.remove("none"))
    files.remove("one")
    assert names(files, "/") == []


def test_changes_inside_a_file(files: Any) -> None:
    put(files, "file", b"0123456789")
    file = files.open("file", CHANGE, NONE)
    file.pwrite(b"ab", 4)
    file.pwrite(b"end", 12)
    assert bytes(file.pread(100, 2)) == b"23ab6789\0\0end"
    assert file.stat().size == 15
    file.close()
    assert get(files, "file") == b"0123ab6789\0\0end"
    files.set_attributes("file", Attributes(size=5))
    assert get(files, "file") == b"0123a"
    files.set_attributes("file", Attributes(size=7))
    assert get(files, "file") == b"0123a\0\0"


def test_appending(files: Any) -> None:
    put(files, "file", b"one")
    file = files.open("file", OpenFlag.WRITE | OpenFlag.APPEND, NONE)
    file.pwrite(b"two", 0)
    file.close()
    assert get(files, "file") == b"onetwo"


def test_reads_behind_the_end(files: Any) -> None:
    put(files, "file", b"abc")
    file = files.open("file", READ, NONE)
    assert [bytes(file.pread(2, offset)) for offset in (0, 2, 3, 100)] == [b"ab", b"c", b"", b""]
    file.close()


def test_directories(files: Any) -> None:
    files.mkdir("d", NONE)
    files.mkdir("/d/e", NONE)
    put(files, "d/f", b"x")
    assert names(files, "d") == ["e", "f"]
    assert files.stat("d/e").is_directory
    fails(errno.EEXIST, lambda: files.mkdir("d", NONE))
    fails(errno.ENOENT, lambda: files.mkdir("none/d", NONE))
    fails(errno.ENOTDIR, lambda: files.scandir("d/f"))
    fails(errno.EISDIR, lambda: files.open("d", READ, NONE))
    fails(errno.ENOTEMPTY, lambda: files.rmdir("d"))
    fails(errno.ENOTDIR, lambda: files.rmdir("d/f"))
    fails(errno.EISDIR, lambda: files.remove("d"))
    files.rmdir("d/e")
    files.remove("d/f")
    files.rmdir("d")
    fails(errno.ENOENT, lambda: files.scandir("d"))


def test_renaming(files: Any) -> None:
    put(files, "a", b"a")
    put(files, "b", b"b")
    fails(errno.EEXIST, lambda: files.rename("a", "b", replace=False))
    assert get(files, "b") == b"b"
    files.rename("a", "b", replace=True)
    assert (names(files, "/"), get(files, "b")) == (["b"], b"a")
    files.rename("b", "c", replace=False)
    files.mkdir("d", NONE)
    files.rename("c", "d/c", replace=False)
    files.rename("d", "e", replace=False)
    assert get(files, "e/c") == b"a"
    fails(errno.ENOENT, lambda: files.rename("none", "x", replace=True))


def test_real_paths(files: Any) -> None:
    assert files.realpath(".") == files.realpath("") == files.realpath("/..") == "/"
    assert files.realpath("new") == "/new"
    assert files.home("") == "/"
    fails(errno.ENOENT, lambda: files.home("root"))


def test_links(full: Any) -> None:
    full.mkdir("d", NONE)
    put(full, "d/file", b"content")
    full.symlink("d/file", "relative")
    full.symlink("/d", "absolute")
    full.symlink("../../d", "d/up")
    assert get(full, "relative") == get(full, "absolute/file") == get(full, "d/up/file")
    assert full.readlink("absolute") == "/d"
    assert full.lstat("relative").is_symlink
    assert full.stat("relative").size == 7
    assert full.realpath("absolute/up/file") == "/d/file"
    fails(errno.EINVAL, lambda: full.readlink("d"))
    full.symlink("loop", "loop")
    fails(errno.ELOOP, lambda: full.stat("loop"))
    full.symlink("made", "dangling")
    put(full, "dangling", b"through")
    assert get(full, "made") == b"through"
    fails(errno.EEXIST, lambda: full.open("dangling", NEW | OpenFlag.EXCL, NONE))
    full.remove("relative")
    assert get(full, "d/file") == b"content"


def test_hard_links(full: Any) -> None:
    put(full, "a", b"both")
    full.link("a", "b")
    put(full, "b", b"new!", OpenFlag.WRITE)
    assert get(full, "a") == b"new!"
    fails(errno.EEXIST, lambda: full.link("a", "b"))
    full.mkdir("d", NONE)
    fails(errno.EPERM, lambda: full.link("d", "e"))


def test_attributes(full: Any) -> None:
    put(full, "file", b"x")
    full.set_attributes("file", Attributes(permissions=0o640, atime=100, mtime=200))
    found = full.stat("file")
    assert (found.permissions & 0o777, found.atime, found.mtime) == (0o640, 100, 200)
    file = full.open("file", CHANGE, NONE)
    file.set_attributes(Attributes(size=4, permissions=0o600, atime=1, mtime=2))
    assert (file.stat().size, file.stat().mtime) == (4, 2)
    file.close()
    full.symlink("file", "link")
    full.set_attributes("link", Attributes(atime=5, mtime=6), follow_symlinks=False)
    assert (full.lstat("link").mtime, full.stat("link").mtime) == (6, 2)
    full.set_attributes("link", Attributes(atime=7, mtime=8))
    assert (full.lstat("link").mtime, full.stat("link").mtime) == (6, 8)
    assert full.statvfs("file").namemax == 255


@pytest.mark.parametrize("name", ["invalid-\udcff", "new\nline", "ünï", "-x", " ", "...", "a\\b"])
def test_odd_names(full: Any, name: str) -> None:
    put(full, name, b"x")
    assert names(full, "/") == [name]
    assert full.realpath(name) == f"/{name}"
    full.symlink(name, "link")
    assert get(full, "link") == b"x"


def test_paths_no_system_has(files: Any) -> None:
    fails(errno.EINVAL, lambda: files.stat("a\0b"))
    fails(errno.ENAMETOOLONG, lambda: files.stat("a/" * 3000))


def test_numbers_too_large(tmp_path: Path) -> None:
    files = LocalFilesystem(tmp_path)
    file = cast(File, files.open("file", CHANGE, NONE))
    fails(errno.EFBIG, lambda: file.pwrite(b"x", 1 << 63))
    fails(errno.EFBIG, lambda: files.set_attributes("file", Attributes(size=1 << 63)))
    file.close()
    files.close()


def test_memory_has_an_end() -> None:
    files = MemoryFilesystem(size=100)
    files["/d/one"] = bytes(60)
    fails(errno.ENOSPC, lambda: files.__setitem__("/d/two", bytes(60)))
    files.remove("/d/one")
    files["/d/two"] = bytes(60)
    fails(errno.ENOSPC, lambda: files.set_attributes("/d/two", Attributes(size=1 << 40)))
    fails(errno.EINVAL, lambda: files.rename("/d", "/d/inside", replace=False))


def test_storages_commit_whole_files_alone() -> None:
    files = storage()
    put(files, "file", b"there")
    file = files.open("file", CHANGE, NONE)
    file.pwrite(b"else", 0)
    file.abort()
    assert get(files, "file") == b"there"
    file = files.open("new", NEW, NONE)
    file.pwrite(b"half", 0)
    file.abort()
    streamed = files.open("holes", NEW, NONE)
    streamed.pwrite(b"end", 5)
    fails(errno.ESPIPE, lambda: streamed.pwrite(b"x", 0))
    streamed.close()
    assert get(files, "holes") == b"\0\0\0\0\0end"


def test_storages_stay_below_their_prefix() -> None:
    files = storage()
    files._storage.inner.pipe_file("/secret", b"outside")
    for path in ("../secret", "/../secret", "a/../../secret", "//secret"):
        fails(errno.ENOENT, lambda path=path: files.open(path, READ, NONE))  # type: ignore[misc]
    put(files, "../new", b"x")
    assert files._storage.inner.cat_file("/root/new") == b"x"


def test_a_listing_may_be_left_early(tmp_path: Path) -> None:
    files = LocalFilesystem(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    listing = files.scandir(".")
    assert isinstance(next(iter(listing)), Entry)
    listing.close()
    unread = files.scandir("/")
    unread.close()
    assert len(os.listdir("/proc/self/fd")) == before
    files.close()
    assert len(os.listdir("/proc/self/fd")) == before - 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 300), st.binary(min_size=1, max_size=100)), max_size=20),
    st.lists(st.integers(1, 90), min_size=1, max_size=8),
)
def test_vectors_are_what_single_calls_are(
    tmp_path_factory: pytest.TempPathFactory,
    writes: list[tuple[int, bytes]],
    sizes: list[int],
) -> None:
    files = LocalFilesystem(tmp_path_factory.mktemp("vectors"))
    memory = MemoryFilesystem()
    ours = files.open("f", CHANGE, NONE)
    model = memory.open("f", CHANGE, NONE)
    for offset, data in writes:
        ours.pwritev([data[:3], b"", data[3:]], offset)
        model.pwrite(data, offset)
    buffer = memoryview(bytearray(sum(sizes)))
    views, at = [], 0
    for size in sizes:
        views.append(buffer[at : at + size])
        at += size
    count = ours.preadv(views, 3)
    assert bytes(buffer[:count]) == model.pread(sum(sizes), 3)
    ours.close()
    files.close()


def test_more_pieces_than_one_call_takes(tmp_path: Path) -> None:
    files = LocalFilesystem(tmp_path)
    file = files.open("f", CHANGE, NONE)
    pieces = [bytes([n % 256]) * 3 for n in range(3000)]
    file.pwritev(pieces, 5)
    assert file.pread(10_000, 0) == bytes(5) + b"".join(pieces)
    file.close()
    files.close()


def test_a_read_that_must_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the page cache does not have is left to who may wait; who can't be asked is read."""
    (tmp_path / "f").write_bytes(b"content")
    files = LocalFilesystem(tmp_path)
    real, numbers = os.preadv, [errno.EAGAIN]

    def preadv(number: int, buffers: list[memoryview], offset: int, flags: int = 0) -> int:
        if flags:
            raise OSError(numbers[0], os.strerror(numbers[0]))
        return real(number, buffers, offset)

    monkeypatch.setattr(os, "preadv", preadv)
    file = files.open("f", OpenFlag.READ, NONE)
    view = memoryview(bytearray(20))
    with pytest.raises(BlockingIOError):
        file.preadv([view], 0, wait=False)
    assert file.preadv([view], 0) == 7
    numbers[0] = errno.EOPNOTSUPP
    assert file.preadv([view[8:]], 3, wait=False) == 4
    assert bytes(view[:12]) == b"content\0tent"
    file.close()
    files.close()


@pytest.mark.parametrize(
    ("root", "home", "start"),
    [
        ("", "home/alice", "/home/alice"),
        ("home", "home/alice", "/alice"),
        ("home/alice", "home/alice", "/"),
        ("link", "home/alice", "/alice"),
        ("home", "linked", "/alice"),
        ("home", "none", "/"),
        ("home/alice", "home", "/"),
        ("home/alice", "other", "/"),
        ("home", "home/file", "/"),
    ],
)
def test_relative_paths_start_in_a_home_below_the_root(
    tmp_path: Path, root: str, home: str, start: str
) -> None:
    (tmp_path / "home/alice").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "home/file").touch()
    (tmp_path / "link").symlink_to("home")
    (tmp_path / "linked").symlink_to("home/alice")
    files = LocalFilesystem(tmp_path / root, home=tmp_path / home, user="alice")
    try:
        assert files.realpath(".") == files.home("") == files.home("alice") == start
        put(files, "new", b"x")
        assert get(files, f"{start}/new") == b"x"
        # `..` ends at the root, wherever the session starts.
        assert files.realpath("../../../..") == "/"
    finally:
        files.close()


def test_the_whole_system_starts_in_the_home(tmp_path: Path) -> None:
    files = SystemFilesystem(str(tmp_path), user="alice", read_only=True)
    try:
        assert files.read_only
        assert files.realpath(".") == files.home("alice") == str(tmp_path)
        put(files, "file", b"x")
        files.set_attributes("file", Attributes(permissions=0o6755))
        assert (tmp_path / "file").stat().st_mode & 0o7777 == 0o755
        assert files.home("root") == pwd.getpwnam("root").pw_dir
    finally:
        files.close()
    files = SystemFilesystem(str(tmp_path / "missing"), set_id=True)
    try:
        assert files.realpath(".") == "/"
        files.set_attributes(str(tmp_path / "file"), Attributes(permissions=0o4755))
        assert (tmp_path / "file").stat().st_mode & 0o7777 == 0o4755
    finally:
        files.close()


def tree(files: Any, path: str) -> dict[str, bytes | None]:
    """Return what is below a directory: the bytes of files, and None for directories."""
    found: dict[str, bytes | None] = {}
    for name in names(files, path):
        inner = f"{path.rstrip('/')}/{name}"
        if files.stat(inner).is_directory:
            found[inner] = None
            found.update(tree(files, inner))
        else:
            found[inner] = get(files, inner)
    return found


def test_a_directory_is_renamed_with_all_it_holds(files: Any) -> None:
    for path in ("d", "d/sub", "d/sub/empty", "d/empty"):
        files.mkdir(path, NONE)
    put(files, "d/one", b"1")
    put(files, "d/sub/two", b"2")
    put(files, "dd", b"of another name")
    files.rename("d", "e", replace=False)
    assert tree(files, "/") == {
        "/dd": b"of another name",
        "/e": None,
        "/e/empty": None,
        "/e/one": b"1",
        "/e/sub": None,
        "/e/sub/empty": None,
        "/e/sub/two": b"2",
    }
    fails(errno.ENOENT, lambda: files.stat("d"))
    fails(errno.EEXIST, lambda: files.rename("e", "dd", replace=False))
    fails(errno.EINVAL, lambda: files.rename("e", "e/sub/e", replace=False))


def test_a_directory_that_was_made_stays_when_it_is_empty(files: Any) -> None:
    files.mkdir("d", NONE)
    assert files.stat("d").is_directory
    assert names(files, "/") == ["d"]
    assert names(files, "d") == []
    fails(errno.EEXIST, lambda: files.mkdir("d", NONE))
    put(files, "d/file", b"x")
    files.rename("d/file", "moved", replace=False)
    assert files.stat("d").is_directory
    put(files, "d/file", b"x")
    files.remove("d/file")
    assert files.stat("d").is_directory
    files.rmdir("d")
    fails(errno.ENOENT, lambda: files.stat("d"))
    assert names(files, "/") == ["moved"]


def test_a_directory_that_objects_imply_stays_when_they_are_gone() -> None:
    store = Objects(skip_instance_cache=True)
    store.objects["bucket/d/sub/file"] = b"by another program"
    files: Any = FsspecFilesystem(store, "bucket")
    files.remove("d/sub/file")
    assert list(store.objects) == ["bucket/d/sub/"]
    files.rmdir("d/sub")
    assert list(store.objects) == ["bucket/d/"]
    files.rmdir("d")
    assert not store.objects


def test_a_storage_that_drops_slashes_keeps_directories_by_an_object_in_them() -> None:
    store = BareObjects(skip_instance_cache=True)
    files: Any = FsspecFilesystem(store, "bucket")
    files.mkdir("d", NONE)
    assert files.stat("d").is_directory
    assert names(files, "d") == []
    put(files, "d/file", b"x")
    files.rename("d", "e", replace=False)
    assert names(files, "e") == ["file"]
    files.remove("e/file")
    assert names(files, "/") == ["e"]
    files.rmdir("e")
    assert store.objects == {}


def test_a_directory_whose_copy_fails_stays_as_it_was() -> None:
    store = Objects(skip_instance_cache=True)
    files: Any = FsspecFilesystem(store, "bucket")
    files.mkdir("d", NONE)
    for name in ("a", "b", "c"):
        put(files, f"d/{name}", name.encode())
    before = dict(store.objects)
    store.refused.add("bucket/e/b")
    fails(errno.EACCES, lambda: files.rename("d", "e", replace=False))
    assert store.objects == before


def test_what_another_program_has_stored_is_found(stored: Any) -> None:
    files = stored
    put(files, "first", b"1")
    assert names(files, "/") == ["first"]
    there = files._path("second")
    files._storage.inner.pipe_file(there, b"2")
    assert names(files, "/") == ["first", "second"]


@pytest.mark.parametrize("flags", [NEW, CHANGE])
@pytest.mark.parametrize("far", [33 * MIB, 1 << 40, (1 << 64) - 1])
def test_storages_are_not_filled_with_zeros(flags: OpenFlag, far: int) -> None:
    files: Any = storage()
    file = files.open("file", flags, NONE)
    file.pwrite(b"x", 10)
    fails(errno.EFBIG, lambda: file.pwrite(b"x", far))
    fails(errno.EFBIG, lambda: file.set_attributes(Attributes(size=far)))
    file.close()
    fails(errno.EFBIG, lambda: files.set_attributes("file", Attributes(size=far)))
    assert get(files, "file") == bytes(10) + b"x"


def test_the_zeros_of_one_upload_are_bounded_together() -> None:
    file: Any = storage().open("file", NEW, NONE)
    file.pwrite(b"x", 20 * MIB)
    fails(errno.EFBIG, lambda: file.pwrite(b"x", 40 * MIB))
    file.pwrite(b"x", 20 * MIB + 1)
    file.abort()


def test_the_files_that_a_session_changes_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nacre.sftp.filesystems.stored._SPOOL", 100)
    files: Any = storage()
    put(files, "large", bytes(101))
    fails(errno.EFBIG, lambda: files.open("large", CHANGE, NONE))
    one = files.open("one", CHANGE, NONE)
    one.pwrite(bytes(60), 0)
    fails(errno.EFBIG, lambda: one.pwrite(bytes(2), 99))
    fails(errno.EFBIG, lambda: one.set_attributes(Attributes(size=101)))
    other = files.open("other", CHANGE | OpenFlag.APPEND, NONE)
    fails(errno.EFBIG, lambda: other.pwrite(bytes(41), 0))
    one.set_attributes(Attributes(size=50))
    other.pwrite(bytes(41), 0)
    one.close()
    other.pwrite(bytes(59), 0)
    fails(errno.EFBIG, lambda: other.pwrite(b"x", 0))
    other.abort()
    assert files.stat("one").size == 50
    again = files.open("one", CHANGE, NONE)
    again.pwrite(bytes(100), 0)
    again.close()
    assert files.stat("one").size == 100
