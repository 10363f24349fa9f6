"""Paths and names of files, as browsers send and get them."""

from __future__ import annotations

import pytest

from nacre.console.files.names import (
    checked,
    child,
    disposition,
    link,
    name_of,
    parent,
    path_in,
    shown,
    steps,
)
from nacre.console.web.calls import APIRefused


@pytest.mark.parametrize(
    ("query", "path"),
    [
        (b"", ""),
        (b"path=/a/b", "/a/b"),
        (b"path=/a//b/./c/", "/a/b/c"),
        (b"path=%2Fa%20b", "/a b"),
        (b"path=/%FF", "/\udcff"),
        (b"path=/a&path=/b", "/b"),
        (b"path=/...", "/..."),
    ],
)
def test_a_path_is_read_whatever_bytes_it_has(query: bytes, path: str) -> None:
    assert path_in(query) == path


@pytest.mark.parametrize("path", ["a", "..", "/..", "/a/../b", "a/..", "/\0", "/" + "a" * 4096])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(APIRefused) as raised:
        checked(path)
    assert raised.value.status == 400


def test_too_many_parameters_are_refused() -> None:
    with pytest.raises(APIRefused):
        path_in(b"&".join(b"a=1" for _ in range(100)))


@pytest.mark.parametrize("path", ["/", "/a b/ü", "/\udcff", '/"<&?#%'])
def test_a_link_leads_to_the_same_path(path: str) -> None:
    query = link("/files", path).partition("?")[2]
    assert path_in(query.encode("ascii")) == path


def test_names_and_directories() -> None:
    assert child("/", "a") == "/a"
    assert child("/a", "b") == "/a/b"
    assert (parent("/a/b"), parent("/a"), parent("/")) == ("/a", "/", "/")
    assert (name_of("/a/b"), name_of("/")) == ("b", "/")
    assert shown("a\udcff\n\u202eb") == "a\ufffd\ufffd\ufffdb"
    assert steps("/a/b") == [("/", "/"), ("a", "/a"), ("b", "/a/b")]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "\0", "a" * 256, "ä" * 128])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(APIRefused) as raised:
        child("/", name)
    assert raised.value.status == 422


def test_a_download_keeps_its_name() -> None:
    assert disposition("a.txt") == "attachment; filename=\"a.txt\"; filename*=UTF-8''a.txt"
    said = disposition('ü";\r\n\\x')
    assert said.isascii()
    assert "\r" not in said
    assert said.count('"') == 2
