"""What is shown of somebody else's terminal."""

from __future__ import annotations

import pytest

from nacre.cli.control.screen import PlainText, resized


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("a\tb\r\n", "a\tb\n"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]0;title\x1b\\text", "text"),
        ("\x1b7\x1bM\x08\x00bell\x07", "7bell"),
        ("\x9b31mred\u202e", "31mred"),
        ("äöü €", "äöü €"),
    ],
)
def test_what_is_printable_is_kept_however_it_comes(output: str, text: str) -> None:
    assert PlainText().feed(output.encode()) == text
    plain = PlainText()
    assert "".join(plain.feed(bytes((byte,))) for byte in output.encode()) == text


def test_what_is_no_utf_8_is_replaced() -> None:
    assert PlainText().feed(b"\xff\xc3x") == "��x"


def test_a_sequence_without_an_end_holds_back_so_much_at_most() -> None:
    plain = PlainText()
    assert plain.feed(b"\x1b]0;") == ""
    for _ in range(100):
        shown = plain.feed(b"x" * 1000)
        assert len(plain._begun) <= 4096 + 1000
    assert "\x1b" not in shown


def test_a_size_is_asked_for() -> None:
    assert resized(100, 30) == b"\x1b[8;30;100t"
