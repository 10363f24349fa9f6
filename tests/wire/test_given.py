"""Arguments of the wrong type, and what their errors advise."""

from __future__ import annotations

from typing import Any

import pytest

import nacre
from nacre.wire import given


@pytest.mark.parametrize("value", ["text", None])
def test_text(value: str | None) -> None:
    assert given.text(value, "user") is value


def test_binary_is_not_copied() -> None:
    data = bytearray(b"ab")
    view = given.binary(data, "data")
    data[0] = 0x7A
    assert view == b"zb"


def test_lists_and_variables() -> None:
    assert given.several(None, "keys") is None
    assert given.several(("a",), "keys") == ("a",)
    variables = {"A": "1"}
    assert given.variables(variables) == variables
    assert given.variables(None) == {}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: given.text(b"hush", "user"), "user must be str, not bytes: decode it"),
        (lambda: given.text(5, "user"), "user must be str, not int"),
        (lambda: given.command(["ls", "hush"]), r"not list: .* shlex\.join\(words\)"),
        (lambda: given.command(5), "str or bytes, not int"),
        (lambda: given.binary("hush", "data"), "data must be bytes, not str: encode it"),
        (lambda: given.binary(5, "data"), "data must be bytes, not int$"),
        (lambda: given.several("hush", "keys"), r"must be a list, not str: write keys=\[...]"),
        (lambda: given.several(5, "keys"), "must be a list, not int"),
        (lambda: given.variables(["A=hush"]), "env must be a dict, not list"),
        (lambda: given.variables({"A": 5}), "env must have str .* not int"),
        (lambda: given.variables({b"A": "hush"}), "env must have str .* not bytes"),
        (lambda: nacre.connect(b"h"), "host must be str"),  # type: ignore[arg-type]
        (lambda: nacre.connect("h", user=b"hush"), "user must"),  # type: ignore[arg-type]
        (lambda: nacre.connect("h", password=b"hush"), "password must"),  # type: ignore[arg-type]
        (lambda: nacre.connect("h", keys="hush"), "keys must be a list"),
        (lambda: nacre.Users({"a": b"hush"}), "password as str, a PublicKey or a .*, not int"),  # type: ignore[dict-item]
    ],
)
def test_the_error_says_what_to_write_and_shows_no_value(call: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message) as caught:
        call()
    assert "hush" not in str(caught.value)
