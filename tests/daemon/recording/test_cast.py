"""asciicast v3: what is written is what other players read, and exact for nacre."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.daemon.recording.cast import (
    EXIT,
    INPUT,
    NOTE,
    OUTPUT,
    RESIZE,
    CastEvent,
    CastHeader,
    CastWriter,
    read_events,
    read_header,
)
from nacre.errors import StateError

PIECES = st.lists(
    st.tuples(
        st.sampled_from([(OUTPUT, False), (OUTPUT, True), (INPUT, False)]),
        st.binary(max_size=12) | st.text(max_size=4).map(str.encode),
    )
)


def lines(data: bytes) -> list[Any]:
    return [json.loads(line) for line in data.splitlines()]


@given(PIECES)
def test_each_stream_is_exact(pieces: list[tuple[tuple[str, bool], bytes]]) -> None:
    writer = CastWriter(5.0)
    data = b""
    for (code, errors), piece in pieces:
        data += writer.data(6.0, code, piece, errors=errors)
    data += writer.end(7.0, "0")
    found = list(read_events(data.split(b"\n"), ends=True))
    for stream in {one for one, _ in pieces}:
        read = b"".join(one.data for one in found if (one.code, one.errors) == stream)
        assert read == b"".join(piece for one, piece in pieces if one == stream)
    # Every line is text that any reader of JSON takes, without lone surrogates.
    for _, _, text in lines(data):
        text.encode()


def test_a_character_that_was_split_comes_with_its_end() -> None:
    writer = CastWriter(0.0)
    assert writer.data(0.0, OUTPUT, b"\xc3") == b""
    assert lines(writer.data(0.5, OUTPUT, b"\xa4!")) == [[0.5, "o", "ä!"]]


def test_bytes_that_are_no_text_are_replaced_for_players_and_exact_beside() -> None:
    writer = CastWriter(0.0)
    assert lines(writer.data(1.0, OUTPUT, b"a\xff", errors=True)) == [
        [1.0, "s", ""],
        [0.0, "b", "Yf8="],
        [0.0, "o", "a\N{REPLACEMENT CHARACTER}"],
    ]
    # What the text has itself needs no other form.
    assert len(lines(writer.data(1.0, OUTPUT, "\N{REPLACEMENT CHARACTER}".encode()))) == 1


def test_intervals_are_plain_numbers_whose_sum_is_the_time() -> None:
    writer = CastWriter(100.0)
    data = b"".join(writer.data(100.0 + n / 3000, OUTPUT, b"x") for n in range(3001))
    assert b"e-" not in data
    assert sum(interval for interval, _, _ in lines(data)) == pytest.approx(1.0)
    # A clock that goes back makes no interval below zero.
    assert lines(writer.data(3.0, OUTPUT, b"x"))[0][0] == 0


def test_the_header_has_what_players_want() -> None:
    header = CastHeader(
        started=12.9, columns=100000, rows=30, term="xterm", command="ls", about={"user": "a"}
    )
    assert read_header(header.line()) == {
        "version": 3,
        "term": {"cols": 65535, "rows": 30, "type": "xterm"},
        "timestamp": 12,
        "command": "ls",
        "nacre": {"user": "a"},
    }
    assert read_header(CastHeader(started=0.0, about={}).line())["term"] == {"cols": 80, "rows": 24}
    CastHeader(started=0.0, command="\udcff", about={}).line().decode()


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b'{"version":2}', b'{"version":3}', b"\xff"])
def test_what_is_no_header_is_refused(line: bytes) -> None:
    with pytest.raises(StateError):
        read_header(line)


def test_other_events() -> None:
    writer = CastWriter(0.0)
    data = writer.resize(0.0, 90, 20) + writer.note(1.0, {"event": "x"}) + writer.end(2.0, "3")
    assert list(read_events(data.splitlines(), ends=True)) == [
        CastEvent(0.0, RESIZE, b"90x20"),
        CastEvent(1.0, NOTE, b'{"event":"x"}'),
        CastEvent(2.0, EXIT, b"3"),
    ]


def test_comments_and_unknown_events_are_no_damage() -> None:
    found = list(read_events([b"# text", b"", b'[1, "?", "y"]', b'[1, "o", "z"]'], ends=False))
    assert [(one.at, one.code) for one in found] == [(1.0, "?"), (2.0, "o")]


@pytest.mark.parametrize(
    "line",
    [
        b"[",
        b"[1]",
        b'[-1,"o",""]',
        b'["1","o",""]',
        b'[1,"o",2]',
        b'[1,"b","?"]',
        b"7",
        b'[Infinity,"o",""]',
    ],
)
def test_what_was_read_before_the_damage_counts(line: bytes) -> None:
    events = read_events([b'[1,"o","kept"]', line], ends=True)
    assert next(events).data == b"kept"
    with pytest.raises(StateError):
        next(events)


def test_a_recording_without_an_end_is_not_whole() -> None:
    events = read_events([b'[1,"o","kept"]'], ends=True)
    next(events)
    with pytest.raises(StateError, match="no end"):
        next(events)
