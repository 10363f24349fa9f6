"""Walks below a root: where they end, and that they stay below it."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from nacre.sftp.filesystems.walk import Walker, encoded, pointing_at


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """``a/b/file``, and links: to a directory, to the root, out of it, to itself."""
    root = tmp_path / "root"
    (root / "a/b").mkdir(parents=True)
    (root / "a/b/file").write_bytes(b"inside")
    (tmp_path / "file").write_bytes(b"outside")
    for name, target in {
        "into": "a/b",
        "absolute": "/a/b",
        "out": "../../..",
        "a/up": "../a/b",
        "loop": "loop",
        "nowhere": "none",
    }.items():
        (root / name).symlink_to(target)
    return root


@pytest.fixture
def walker(root: Path) -> Iterator[Walker]:
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    before = len(os.listdir("/proc/self/fd"))
    yield Walker(descriptor)
    assert len(os.listdir("/proc/self/fd")) == before, "a descriptor is left open"
    os.close(descriptor)


def fails(number: int, walker: Walker, path: str, *, follow: bool = False) -> None:
    with pytest.raises(OSError, match=re.escape(os.strerror(number))):
        walker.place(path, follow=follow)


@pytest.mark.parametrize(
    ("path", "real"),
    [
        ("", "/"),
        ("/", "/"),
        ("../../..", "/"),
        ("a//./b/", "/a/b"),
        ("a/b/file", "/a/b/file"),
        ("a/b/../new", "/a/new"),
        ("into/file", "/a/b/file"),
        ("absolute", "/a/b"),
        ("into/..", "/a"),
        ("a/up/file", "/a/b/file"),
        ("out/a", "/a"),
        ("out/../../etc", "/etc"),
        ("nowhere", "/none"),
    ],
)
def test_where_a_path_leads(walker: Walker, path: str, real: str) -> None:
    assert walker.real(path) == real


def test_relative_paths_start_at_the_base(root: Path) -> None:
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        walker = Walker(descriptor, (b"a", b"b"))
        assert walker.real("file") == "/a/b/file"
        assert walker.real("..") == "/a"
        assert walker.real("/a") == "/a"
    finally:
        os.close(descriptor)


def test_a_link_at_the_end_is_followed_only_on_demand(walker: Walker) -> None:
    with walker.place("into") as place:
        assert place.name == b"into"
    for path, follow in (("into", True), ("into/", False), ("into/.", False)):
        with walker.place(path, follow=follow) as place:
            inside = os.open(place.name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=place.directory)
            try:
                assert os.listdir(inside) == ["file"]
            finally:
                os.close(inside)


def test_what_is_not_there_or_no_directory(walker: Walker) -> None:
    fails(errno.ENOENT, walker, "none/file")
    fails(errno.ENOTDIR, walker, "a/b/file/x")
    fails(errno.ENOTDIR, walker, "a/b/file/..")
    fails(errno.ELOOP, walker, "loop/x")
    fails(errno.ELOOP, walker, "loop", follow=True)


def test_a_walk_has_an_end(walker: Walker, root: Path) -> None:
    steps = "/".join(["a/.."] * 800)
    assert walker.real(steps) == "/"
    for number in range(12):  # each doubles the walk of the one before
        target = f"link{number - 1}/../link{number - 1}/.." if number else steps
        (root / f"link{number}").symlink_to(target + "/a")
    fails(errno.ELOOP, walker, "link11", follow=True)


@pytest.mark.parametrize(
    ("path", "number"), [("a\0b", errno.EINVAL), ("x" * 4097, errno.ENAMETOOLONG)]
)
def test_paths_that_no_system_takes(path: str, number: int) -> None:
    with pytest.raises(OSError, match=re.escape(os.strerror(number))):
        encoded(path)
    assert encoded("\udcff") == b"\xff"


def test_a_directory_that_was_moved_during_the_walk_leads_nowhere(
    walker: Walker, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise ``..`` of a directory that was moved out of the root would be outside."""
    opened = os.open

    def moving(path: object, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == b".." and (root / "a/b").exists():
            (root / "a/b").rename(root.parent / "moved")
        return opened(path, flags, mode, dir_fd=dir_fd)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", moving)
    fails(errno.ENOENT, walker, "a/b/../../file")
    assert (root.parent / "moved").exists()


def test_a_link_can_be_pointed_at_and_not_followed(walker: Walker) -> None:
    with walker.place("out") as place:
        number = pointing_at(place)
    try:
        assert os.readlink("", dir_fd=number) == "../../.."
    finally:
        os.close(number)
