from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.cli.ssh.escapes import Escape, Escapes


def feed(*typed, character=b"~"):
    escapes = Escapes(character)
    return [part for text in typed for part in escapes.feed(text)]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ([b"~."], [Escape.DISCONNECT]),
        ([b"~", b"."], [Escape.DISCONNECT]),
        ([b"ls\r~."], [b"ls\r", Escape.DISCONNECT]),
        ([b"a~."], [b"a~."]),
        ([b"~~."], [b"~."]),
        ([b"~~\r~?"], [b"~\r", Escape.HELP]),
        ([b"~x"], [b"~x"]),
        ([b"~?~R~B~#"], [Escape.HELP, Escape.REKEY, Escape.BREAK, Escape.CHANNELS]),
        ([b"\n~\x1a"], [b"\n", Escape.SUSPEND]),
        ([b"~C~V~v~&"], [Escape.COMMAND_LINE, Escape.QUIETER, Escape.LOUDER, Escape.BACKGROUND]),
        ([b"~\r~."], [b"~\r", Escape.DISCONNECT]),
    ],
)
def test_feed(typed, expected):
    assert feed(*typed) == expected


def test_another_character():
    assert feed(b"~.%.", character=b"%") == [b"~.%."]
    assert feed(b"%.", character=b"%") == [Escape.DISCONNECT]


@given(st.binary(max_size=40), st.lists(st.integers(0, 40), max_size=4))
def test_the_split_of_what_is_typed_changes_nothing(typed, cuts):
    marks = [0, *sorted(cuts), 40]
    parts = [typed[a:b] for a, b in pairwise(marks)]

    def joined(found):
        merged: list[Any] = []
        for part in found:
            if merged and isinstance(part, bytes) and isinstance(merged[-1], bytes):
                merged[-1] += part
            else:
                merged.append(part)
        return merged

    assert joined(feed(*parts)) == joined(feed(typed))


@given(st.binary(max_size=40).filter(lambda b: b"~" not in b))
def test_without_the_character_nothing_changes(typed):
    assert b"".join(feed(typed)) == typed


def test_help_names_the_character():
    assert " ~.   - end the connection (" in Escapes(b"~").help()
    assert " ^X.  - end the connection (" in Escapes(b"\x18").help()
    assert " ~^Z  - suspend" in Escapes(b"~").help()
    assert "suspend" not in Escapes(b"~", frozenset({Escape.SUSPEND})).help()
