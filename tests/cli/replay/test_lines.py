"""The lines of an output."""

from __future__ import annotations

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
