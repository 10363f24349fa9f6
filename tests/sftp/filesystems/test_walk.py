"""Walks below a root: where they end, and that they stay below it."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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
        "a/beside": "b",
        "a/b/top": "/a",
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
        ("a/beside/file", "/a/b/file"),
        ("a/b/top/new", "/a/new"),
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
                assert sorted(os.listdir(inside)) == ["file", "top"]
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


def test_forty_links_are_followed_and_no_more(walker: Walker, root: Path) -> None:
    (root / "link1").symlink_to("a")
    for number in range(2, 42):
        (root / f"link{number}").symlink_to(f"link{number - 1}")
    assert walker.real("link40") == "/a"
    fails(errno.ELOOP, walker, "link41", follow=True)


def test_8192_names_are_walked_and_no_more(walker: Walker, root: Path) -> None:
    (root / "far").symlink_to("/".join([".."] * 1000))
    path = "far/" * 8 + "../" * 184
    assert walker.real(path) == "/"
    fails(errno.ELOOP, walker, path + "..")


def failing(
    monkeypatch: pytest.MonkeyPatch, name: str, number: int, matches: Callable[[object], bool]
) -> None:
    """Let a function of ``os`` fail where its first argument matches."""
    works = getattr(os, name)

    def fails(first: object, *rest: Any, **named: Any) -> Any:
        if matches(first):
            raise OSError(number, os.strerror(number))
        return works(first, *rest, **named)

    monkeypatch.setattr(os, name, fails)


@pytest.mark.parametrize(("name", "first"), [("open", b"b"), ("readlink", b"into"), ("stat", int)])
def test_what_the_system_refuses_ends_the_walk(
    walker: Walker, monkeypatch: pytest.MonkeyPatch, name: str, first: bytes | type
) -> None:
    """The walker's descriptors are counted: none is left open."""
    failing(monkeypatch, name, errno.EACCES, lambda given: first in (given, type(given)))
    fails(errno.EACCES, walker, "into/../b/file")


def test_numbers_are_looked_up_only_for_the_way_up(
    walker: Walker, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, "stat", errno.EIO, lambda given: isinstance(given, int))
    assert walker.real("a/b/file") == "/a/b/file"


@pytest.mark.parametrize(
    ("path", "number"), [("a\0b", errno.EINVAL), ("x" * 4097, errno.ENAMETOOLONG)]
)
def test_paths_that_no_system_takes(path: str, number: int) -> None:
    with pytest.raises(OSError, match=re.escape(os.strerror(number))):
        encoded(path)
    assert encoded("\udcff") == b"\xff"
    assert encoded("x" * 4096) == b"x" * 4096


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
