"""The output of ``ls`` and ``df``."""

from __future__ import annotations

import os

import pytest

from nacre.cli.sftp.listing import (
    Listed,
    columns,
    free_space,
    lines,
    ordered,
    ordered_names,
    scaled,
    show_names,
)
from nacre.sftp.protocol.attributes import Attributes


def test_orders_and_columns() -> None:
    files = [
        Listed(name, Attributes(size=size, atime=1, mtime=time))
        for name, size, time in (("b", 1, 3), ("a", 2, 1), ("c", 3, 2))
    ]

    def names(flags: str) -> str:
        return "".join(file.name for file in ordered(files, frozenset(flags)))

    assert (names(""), names("r"), names("f")) == ("abc", "cba", "bac")
    assert (names("t"), names("tr"), names("S")) == ("bca", "acb", "cab")
    assert columns(["a" * 30, "b", "c"]) == ["a" * 30 + " " * 10 + "b", "c"]
    assert [scaled(size) for size in (3, 4096, 2_000_000, 300 << 30)] == [
        "3B",
        "4.0K",
        "1.9M",
        "300G",
    ]


def test_names_are_safe_to_print() -> None:
    (line,) = lines([Listed("a\x1b[2Jb", Attributes())], frozenset("1"), {}, {})
    assert "\x1b" not in line


def test_a_long_line_names_user_and_group_where_they_are_known() -> None:
    known = Attributes(size=5, uid=1, gid=2, permissions=0o100644, atime=0, mtime=0)
    files = [Listed("f", known)]
    (named,) = lines(files, frozenset("l"), {1: "alice"}, {2: "staff"})
    (numbered,) = lines(files, frozenset("ln"), {1: "alice"}, {2: "staff"})
    (short,) = lines(files, frozenset("lh"), {1: "alice"}, {})
    assert named.split()[0] == "-rw-r--r--"
    assert named.split()[2:5] == ["alice", "staff", "5"]
    assert numbered.split()[2:5] == ["1", "2", "5"]
    assert short.split()[2:5] == ["alice", "2", "5B"]
    assert all(line.endswith(" f") for line in (named, numbered, short))


def test_without_permissions_the_server_s_line_is_shown() -> None:
    (line,) = lines([Listed("f", Attributes(), "the server's \x07line")], frozenset("l"), {}, {})
    assert line.startswith("the server's ")
    assert "\x07" not in line


@pytest.mark.parametrize(
    ("flags", "numbers"),
    [("", ["400", "300", "48", "100", "75%"]), ("h", ["400KB", "300KB", "48.0KB", "100KB", "75%"])],
)
def test_free_space(flags: str, numbers: list[str]) -> None:
    status = os.statvfs_result((4096, 4096, 100, 25, 12, 10, 4, 4, 0, 255))
    assert free_space(status, frozenset(flags))[1].split() == numbers


def test_free_inodes_and_a_file_system_without_any() -> None:
    status = os.statvfs_result((4096, 4096, 0, 0, 0, 10, 4, 3, 0, 255))
    assert free_space(status, frozenset("i"))[1].split() == ["10", "6", "3", "4", "60%"]
    assert free_space(status, frozenset())[1].split()[-1] == "-"


def test_names_sort_as_their_bytes() -> None:
    names = ["b", "\udcff", "\U0001f600", "a", "\ue000", "B"]
    in_order = ["B", "a", "b", "\ue000", "\U0001f600", "\udcff"]
    assert ordered_names(list(names), frozenset()) == in_order
    assert ordered_names(list(names), frozenset("r")) == in_order[::-1]
    assert ordered_names(list(names), frozenset("f")) == names
    assert ordered_names(["b", "a"], frozenset()) == ["a", "b"]


def test_names_are_printed_one_in_a_line_and_safe(capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"n{number}" for number in range(5000)]
    show_names([*names, "a\x1b[2J", "b\nc"], frozenset("1"))
    assert capsys.readouterr().out.splitlines() == [*names, "a\\x1b[2J", "b\\x0ac"]
    show_names(["a", "b\x07"], frozenset())
    assert capsys.readouterr().out == "a      b\\x07\n"
    show_names([], frozenset("1"))
    assert capsys.readouterr().out == ""
