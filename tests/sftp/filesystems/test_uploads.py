"""Uploads that are atomic, or removed when they break off."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nacre.sftp.filesystems.base import Upload
from nacre.sftp.filesystems.fsspec import FsspecFilesystem
from nacre.sftp.filesystems.local import LocalFilesystem
from nacre.sftp.filesystems.memory import MemoryFilesystem
from nacre.sftp.filesystems.uploads import UploadsFilesystem, with_uploads
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.messages import OpenFlag

READ, WRITE = OpenFlag.READ, OpenFlag.WRITE
NEW = WRITE | OpenFlag.CREAT | OpenFlag.TRUNC
ONLY_NEW = WRITE | OpenFlag.CREAT | OpenFlag.EXCL
NONE = Attributes()


@pytest.fixture(params=["local", "memory"])
def inner(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return LocalFilesystem(tmp_path) if request.param == "local" else MemoryFilesystem()


def put(files: Any, path: str, content: bytes) -> None:
    file = files.open(path, NEW, NONE)
    file.pwrite(content, 0)
    file.close()


def get(files: Any, path: str) -> bytes:
    file = files.open(path, READ, NONE)
    try:
        return bytes(file.pread(1000, 0))
    finally:
        file.close()


def names(files: Any) -> list[str]:
    listing = files.scandir("/")
    try:
        return sorted(entry.name for entry in listing if entry.name not in (".", ".."))
    finally:
        getattr(listing, "close", lambda: None)()


def atomic(inner: Any, partial: str = "keep") -> Any:
    return with_uploads(inner, "atomic", partial)


@pytest.mark.parametrize("flags", [NEW, ONLY_NEW])
def test_a_new_file_has_its_name_when_it_is_closed(inner: Any, flags: OpenFlag) -> None:
    files = atomic(inner)
    file = files.open("new", flags, NONE)
    file.pwrite(b"content", 0)
    (part,) = names(files)
    assert part.startswith(".new.")
    assert part.endswith(".part")
    with pytest.raises(FileNotFoundError):
        inner.stat("new")
    # The session that writes it sees it.
    assert files.stat("/new").size == files.lstat("new").size == 7
    files.set_attributes("new", Attributes(atime=1, mtime=1))
    file.close()
    assert names(files) == ["new"]
    assert get(files, "new") == b"content"
    assert files.stat("new").mtime == 1


def test_who_reads_a_file_has_the_old_one_or_the_new_one(inner: Any) -> None:
    files = atomic(inner)
    put(files, "file", b"old")
    file = files.open("file", NEW, NONE)
    file.pwrite(b"new", 0)
    assert get(inner, "file") == b"old"
    file.close()
    assert get(inner, "file") == b"new"


@pytest.mark.parametrize(
    ("uploads", "partial", "left"),
    [
        ("atomic", "keep", {"old": b"old", "old.part": b"n", "new.part": b"n"}),
        ("atomic", "remove", {"old": b"old"}),
        ("direct", "keep", {"old": b"n", "new": b"n"}),
        ("direct", "remove", {}),
    ],
)
@pytest.mark.parametrize("how", ["abort", "fail"])
def test_what_breaks_off_is_kept_or_removed(
    inner: Any, uploads: str, partial: str, left: dict[str, bytes], how: str
) -> None:
    files: Any = with_uploads(inner, uploads, partial)
    put(inner, "old", b"old")
    for name in ("old", "new"):
        file = files.open(name, NEW, NONE)
        file.pwrite(b"n", 0)
        if how == "abort":
            file.abort()
        elif isinstance(files, UploadsFilesystem):
            with pytest.raises(OSError):  # noqa: PT011
                file.pwrite(b"x", 1 << 63)
            with pytest.raises(OSError, match="the upload is not complete"):
                file.close()
        else:
            file.close()
    assert {name: get(files, name) for name in names(files)} == left


@pytest.mark.parametrize("flags", [WRITE, WRITE | OpenFlag.CREAT, WRITE | OpenFlag.APPEND])
@pytest.mark.parametrize("uploads", ["atomic", "direct"])
def test_a_resumed_upload_changes_the_file_in_place_and_is_kept(
    inner: Any, uploads: str, flags: OpenFlag
) -> None:
    files: Any = with_uploads(inner, uploads, "remove")
    put(inner, "file", b"first")
    file = files.open("file", flags, NONE)
    file.pwrite(b" and more", 5)
    file.abort()
    assert get(inner, "file") == b"first and more"
    assert names(files) == ["file"]


def test_a_kept_part_is_resumed_under_its_name(inner: Any) -> None:
    files = atomic(inner)
    file = files.open("big", NEW, NONE)
    file.pwrite(b"half", 0)
    file.abort()
    again = files.open("big.part", WRITE, NONE)
    again.pwrite(b" and half", 4)
    again.close()
    files.rename("big.part", "big", replace=False)
    assert get(files, "big") == b"half and half"


def test_errors_are_those_of_the_file_itself(inner: Any) -> None:
    files = atomic(inner)
    files.mkdir("d", NONE)
    put(files, "file", b"x")
    wanted: list[tuple[int, Callable[[], object]]] = [
        (errno.EISDIR, lambda: files.open("d", NEW, NONE)),
        (errno.ENOENT, lambda: files.open("none/file", NEW, NONE)),
        (errno.ENOENT, lambda: files.open("none", WRITE | OpenFlag.TRUNC, NONE)),
        (errno.EEXIST, lambda: files.open("file", ONLY_NEW, NONE)),
        (errno.ENOENT, lambda: files.open("none", READ, NONE)),
    ]
    for number, call in wanted:
        with pytest.raises(OSError) as caught:  # noqa: PT011
            call()
        assert caught.value.errno == number
    assert names(files) == ["d", "file"]


def test_a_name_that_was_taken_meanwhile_is_not_replaced(inner: Any) -> None:
    files = atomic(inner, "remove")
    file = files.open("new", ONLY_NEW, NONE)
    put(inner, "new", b"of somebody else")
    with pytest.raises(FileExistsError):
        file.close()
    assert get(files, "new") == b"of somebody else"
    assert names(files) == ["new"]


def test_two_uploads_of_one_name_do_not_mix(inner: Any) -> None:
    files = atomic(inner)
    one, other = files.open("f", NEW, NONE), files.open("f", NEW, NONE)
    one.pwrite(b"one", 0)
    other.pwrite(b"other", 0)
    one.close()
    assert get(inner, "f") == b"one"
    other.close()
    assert get(files, "f") == b"other"
    assert names(files) == ["f"]


def test_an_existing_file_keeps_its_mode_and_links_stay_links(tmp_path: Path) -> None:
    files = atomic(LocalFilesystem(tmp_path))
    (tmp_path / "real").write_text("old")
    (tmp_path / "real").chmod(0o666)
    (tmp_path / "link").symlink_to("/real")
    put(files, "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o666
    file = files.open("private", NEW, Attributes(permissions=0o600))
    file.close()
    assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o600


def test_a_long_name_is_possible(tmp_path: Path) -> None:
    files = atomic(LocalFilesystem(tmp_path))
    name = "\u00e9" * 127
    put(files, name, b"x")
    assert os.listdir(tmp_path) == [name]


def test_rows_of_requests_and_copies_go_through(tmp_path: Path) -> None:
    files = atomic(LocalFilesystem(tmp_path))
    put(files, "source", b"0123456789")
    source = files.open("source", READ, NONE)
    file = files.open("new", NEW | READ, NONE)
    assert file.vectors
    file.pwritev([b"ab", b"cd"], 0)
    assert file.copy_from(source, 4, 3, 4) == 3
    view = memoryview(bytearray(7))
    assert file.preadv([view], 0) == 7
    file.set_attributes(Attributes(size=6))
    file.fsync()
    assert file.statvfs().bsize > 0
    assert file.stat().size == 6
    file.close()
    source.close()
    assert (tmp_path / "new").read_bytes() == b"abcd45"


def test_all_else_goes_through(tmp_path: Path) -> None:
    seen: list[Upload] = []

    class Local(LocalFilesystem):
        def upload_ended(self, upload: Upload) -> None:
            seen.append(upload)

    (tmp_path / "home").mkdir()
    inner = Local(tmp_path, user="alice", home=tmp_path / "home", read_only=True)
    files: Any = atomic(inner)
    assert (files.start, files.read_only, files.prompt) == ("/home", True, inner.prompt)
    files.speak(3)
    files.start_at("/")
    files.mkdir("d", NONE)
    files.symlink("d", "link")
    assert files.readlink("link") == "d"
    assert files.realpath("link") == "/d"
    put(files, "one", b"x")
    files.link("one", "two")
    files.remove("one")
    files.rename("two", "three", replace=False)
    files.rmdir("d")
    assert files.home("") == "/home"
    uid = os.geteuid()
    assert files.names((uid,), ()) == (("alice",), ())
    assert files.numbers(("alice",), ()) == ((uid,), ())
    assert files.statvfs("/").bsize > 0
    upload = Upload("/three", 1, True)
    files.upload_ended(upload)
    assert seen == [upload]
    files.close()


def test_what_is_so_anyway_is_not_wrapped(tmp_path: Path) -> None:
    local = LocalFilesystem(tmp_path)
    assert with_uploads(local, "direct", "keep") is local
    s3fs = pytest.importorskip("s3fs")
    client = s3fs.S3FileSystem(key="x", secret="x", skip_instance_cache=True)
    store = FsspecFilesystem(client, "bucket")
    assert with_uploads(store, "atomic", "remove") is store
