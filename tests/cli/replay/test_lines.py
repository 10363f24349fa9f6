"""The lines of an output."""

from __future__ import annotations

from typing import Any, cast

from nacre.cli.replay import lines as module
from nacre.cli.replay.lines import lines_of


def test_a_line_has_the_time_at_which_it_began() -> None:
    pieces = [(1.0, b"a"), (2.0, b"b\r\nc\n"), (3.0, b"d")]
    assert list(lines_of(pieces)) == [(1.0, "ab"), (2.0, "c"), (3.0, "d")]


def test_control_sequences_are_left_out_also_in_two_pieces() -> None:
    assert list(lines_of([(1.0, b"\x1b[3"), (2.0, b"1mred\x1b[0m\n")])) == [(1.0, "red")]


def test_a_line_without_an_end_is_bounded() -> None:
    found = list(lines_of([(1.0, b"x" * module._LONGEST_LINE), (2.0, b"xx")]))
    assert [len(line) for _, line in found] == [module._LONGEST_LINE + 2]


def test_a_line_in_many_pieces_is_put_together_once() -> None:
    pieces: list[tuple[float, bytes]] = [(1.0, b"a"), (2.0, b""), (3.0, b"b\n\nc"), (4.0, b"\n")]
    assert list(lines_of(pieces)) == [(1.0, "ab"), (3.0, ""), (3.0, "c")]


class Piece(str):
    """Text of a piece of output. It is not to be put behind all that came before, each time."""

    def decode(self, *_: str) -> Piece:
        return self

    def split(self, *_: Any, **__: Any) -> list[Any]:
        return [self]

    def __radd__(self, other: str) -> str:
        raise AssertionError("this takes the longer, the more there is")


def test_the_time_for_a_line_is_in_proportion_to_its_length() -> None:
    pieces = [(0.0, cast(bytes, Piece("x")))] * 1000
    assert list(lines_of(pieces)) == [(0.0, "x" * 1000)]
