"""How many colours a terminal has."""

from __future__ import annotations

import pytest

from nacre.apps.colours import ColourDepth, depth_of, fitted, is_plain


@pytest.mark.parametrize(
    ("term", "environment", "depth"),
    [
        ("xterm", {}, ColourDepth.SIXTEEN),
        ("linux", {}, ColourDepth.SIXTEEN),
        ("xterm-256color", {}, ColourDepth.PALETTE),
        ("xterm-kitty", {}, ColourDepth.TRUE),
        ("xterm-direct", {}, ColourDepth.TRUE),
        ("xterm", {"COLORTERM": "TrueColor"}, ColourDepth.TRUE),
        ("xterm", {"COLORTERM": "yes"}, ColourDepth.SIXTEEN),
        ("xterm-256color", {"NO_COLOR": "1", "COLORTERM": "truecolor"}, ColourDepth.NONE),
        ("xterm-256color", {"NO_COLOR": ""}, ColourDepth.PALETTE),
        ("vt220", {}, ColourDepth.NONE),
        ("dumb", {"COLORTERM": "truecolor"}, ColourDepth.NONE),
        ("", {}, ColourDepth.NONE),
    ],
)
def test_terminals_have_the_colours_that_they_tell(
    term: str, environment: dict[str, str], depth: ColourDepth
) -> None:
    assert depth_of(term, environment) is depth


def test_nothing_can_be_drawn_on_a_dumb_terminal() -> None:
    assert [is_plain(term) for term in ("", "dumb", "vt100", "xterm")] == [True, True, False, False]


@pytest.mark.parametrize(
    ("depth", "codes"),
    [
        (ColourDepth.TRUE, "\x1b[1;38;2;255;0;0;48;5;21m"),
        (ColourDepth.PALETTE, "\x1b[1;38;5;196;48;5;21m"),
        (ColourDepth.SIXTEEN, "\x1b[1;31;44m"),
        (ColourDepth.NONE, "\x1b[1m"),
    ],
)
def test_colours_become_the_nearest_that_there_are(depth: ColourDepth, codes: str) -> None:
    assert fitted("a\x1b[1;38;2;255;0;0;48;5;21mb", depth) == f"a{codes}b"


@pytest.mark.parametrize("codes", ["38", "38;2;1", "38;5", "48;9;9", "31", "97;41"])
def test_a_terminal_without_colours_gets_none(codes: str) -> None:
    assert fitted(f"\x1b[{codes}m", ColourDepth.NONE) == ""


def test_other_sequences_stay() -> None:
    assert fitted("\x1b[?25l\x1b[0m\x1b[m\x1b[3;4H", ColourDepth.NONE) == (
        "\x1b[?25l\x1b[0m\x1b[m\x1b[3;4H"
    )
