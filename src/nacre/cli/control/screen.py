"""What a program shows of somebody else's terminal: as it is, or as plain text."""

from __future__ import annotations

import codecs
import re

CLEAR = b"\x1b[0m\x1b[H\x1b[2J\x1b[3J"
RESTORE = b"\x1b[0m\x1b[?25h\x1b[?1049l\x1b[?2004l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l"
"""Ends what a session may have begun: attributes, other screens, reports of the mouse."""

CONTROLS = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
"""A control sequence."""

_BEGUN = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*\x1b?|)\Z")
"""The beginning of one, at the end of what has come so far."""

_LONGEST = 4096
"""Characters of a control sequence: a longer one is dropped in pieces."""


def resized(columns: int, rows: int) -> bytes:
    """Return what asks a terminal for a size; those that can't have another one ignore it."""
    return f"\x1b[8;{rows};{columns}t".encode()


class PlainText:
    """Output without control sequences and characters that can't be printed."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._begun = ""

    def feed(self, data: bytes) -> str:
        """Return the text that is complete with these bytes: lines, tabs and what is printable."""
        text = self._begun + self._decoder.decode(data)
        self._begun = ""
        if (begun := _BEGUN.search(text)) is not None and len(text) - begun.start() <= _LONGEST:
            self._begun = text[begun.start() :]
            text = text[: begun.start()]
        plain = CONTROLS.sub("", text)
        return "".join(one for one in plain if one.isprintable() or one in "\n\t")
