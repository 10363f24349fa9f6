"""Paths, names, patterns."""

from __future__ import annotations

import fnmatch
import posixpath
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.errors import RemoteProtocolError
from nacre.sftp.protocol.paths import (
    alternatives,
    check_name,
    components,
    has_wildcards,
    is_name,
    join,
    last_name,
    literal,
    matches,
    normalise,
)

HOSTILE_NAMES = [
    "", ".", "..", "/", "a/b", "../x", "/etc/passwd", "a/", "./a", "..\0", "a\0b", "\0",
    "../../../../root/.ssh/authorized_keys", "/..", "../", "a/../b", "//",
]  # fmt: skip
ODD_NAMES = ["...", ". .", " ", "a b", "-rf", "~", "a\nb", "\x1b[2J", "..a", "\udcff", "*", "\\"]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_what_is_no_name(name: str) -> None:
    assert not is_name(name)
    with pytest.raises(RemoteProtocolError, match="not one component"):
        check_name(name)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_names(name: str) -> None:
    assert check_name(name) == name


def test_a_bad_name_is_shown_safely() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        check_name("/\x1b[2J")
    assert "\x1b" not in str(caught.value)


@given(st.text("ab./~", max_size=20), st.text("ab./", max_size=12))
def test_normalise_is_absolute_and_without_dots(path: str, base: str) -> None:
    found = normalise(path, "/" + base)
    assert found.startswith("/")
    assert not {"", ".", ".."} & set(found.split("/")[1:]) or found == "/"
    assert normalise(found) == found
    if not path.startswith("/"):
        expected = posixpath.normpath(posixpath.join("/" + base, path))
        assert found == expected.replace("//", "/", 1)


@pytest.mark.parametrize(
    ("path", "base", "expected"),
    [
        ("", "/", "/"),
        (".", "/home/me", "/home/me"),
        ("../../../etc", "/home", "/etc"),
        ("/a//b/./c/..", "/x", "/a/b"),
        ("x", "/a", "/a/x"),
        ("a\0b", "/", "/a\0b"),
    ],
)
def test_normalise(path: str, base: str, expected: str) -> None:
    assert normalise(path, base) == expected


def test_join_and_last_name() -> None:
    assert (join("a", "b"), join("a/", "b"), join("", "b"), join("a", "/b")) == (
        "a/b",
        "a/b",
        "b",
        "/b",
    )
    assert [last_name(p) for p in ("a/b", "a/b//", "/", "", "x")] == ["b", "b", "", "", "x"]


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("*", ["a", "abc"], [".a", ".", ".."]),
        (".*", [".a", "..", "."], ["a"]),
        ("?", ["a", "ü"], ["", "ab", "."]),
        ("a*c", ["ac", "abc", "abcc"], ["ab", "xac"]),
        ("*.tar.*", ["x.tar.gz"], ["x.tar", ".tar.gz"]),
        ("[a-c]x", ["ax", "cx"], ["dx", "x"]),
        ("[!a-c]", ["d", "-", "!"], ["a", "b"]),
        ("[]]", ["]"], ["[", "a"]),
        ("[!]]", ["a"], ["]"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("[[:digit:]x]", ["3", "x"], ["a", ":", "["]),
        ("[[:nonsense:]]", [], ["n"]),
        (r"[\]]", ["]"], ["\\"]),
        ("[a", ["[a"], ["a"]),
        ("[]", ["[]"], ["["]),
        (r"\*", ["*"], ["a", "\\*"]),
        (r"\[a]", ["[a]"], ["a"]),
        ("a\\", ["a\\"], ["a"]),
        ("", [""], ["a"]),
        ("**", ["", "a"], [".a"]),
    ],
)
def test_matches(pattern: str, yes: list[str], no: list[str]) -> None:
    assert [name for name in yes if not matches(name, pattern)] == []
    assert [name for name in no if matches(name, pattern)] == []


@given(st.text("ab?*", max_size=8), st.text("ab", max_size=8))
def test_plain_patterns_match_as_fnmatch_does(pattern: str, name: str) -> None:
    assert matches(name, pattern) == fnmatch.fnmatchcase(name, pattern)


@given(st.text("ab[]!-\\:*?", max_size=12), st.text("ab[]!-\\:.", max_size=6))
def test_no_pattern_breaks(pattern: str, name: str) -> None:
    matches(name, pattern)
    if not has_wildcards(pattern):
        assert matches(literal(pattern), pattern, hidden=True)


def test_a_hostile_pattern_takes_no_exponential_time() -> None:
    began = time.process_time()
    assert not matches("a" * 2000, "a*" * 40 + "b")
    assert time.process_time() - began < 2


def test_hidden_names_match_where_asked() -> None:
    assert matches(".a", "*", hidden=True)


def test_wildcards_and_components() -> None:
    assert [has_wildcards(p) for p in ("a", "a*", "[a]", "[a", r"\*", "?")] == [
        False,
        True,
        True,
        False,
        False,
        True,
    ]
    assert literal(r"a\*\\b") == "a*\\b"
    assert components("/a//*.c") == ("/", ("a", "*.c"))
    assert components("a/b/") == ("", ("a", "b"))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("abc", ["abc"]),
        ("a{b,c}d", ["abd", "acd"]),
        ("{a,b}{1,2}", ["a1", "a2", "b1", "b2"]),
        ("a{b,c{d,e}}", ["ab", "acd", "ace"]),
        ("a{b}", ["ab"]),
        ("a{,b}", ["a", "ab"]),
        ("{}", ["{}"]),
        ("a{b", ["a{b"]),
        ("a}b", ["a}b"]),
        (r"a\{b,c}", [r"a\{b,c}"]),
        (r"{a\,b,c}", [r"a\,b", "c"]),
        ("{a{b,c}", ["{ab", "{ac"]),
    ],
)
def test_alternatives(pattern: str, expected: list[str]) -> None:
    assert alternatives(pattern) == expected


def test_alternatives_are_bounded() -> None:
    with pytest.raises(ValueError, match="too many"):
        alternatives("{a,b}" * 40)
