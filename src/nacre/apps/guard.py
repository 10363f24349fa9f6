"""A client's input as text, in which no part is without a bound.

The parsers of Textual and prompt_toolkit keep a paste until its end, and a control sequence as long
as it may still be one. Both are bounded here, before the parsers see them.
"""

from __future__ import annotations

from codecs import getincrementaldecoder

ESCAPE = "\x1b"

PASTE = 1 << 20
"""Characters of one paste that an app gets; the rest of the paste is dropped."""

SEQUENCE = 64
"""Characters of a control sequence that an app gets: the longest of a keyboard has half as many."""

_PASTE_START = "\x1b[200~"
_PASTE_END = "\x1b[201~"


class InputGuard:
    """Decodes UTF-8, and bounds pastes and control sequences (ECMA-48 section 5.4).

    Nothing is held back: an escape key that was pressed alone arrives at once.

    :param paste: the characters of one paste that are passed on.
    """

    # _sequence  the control sequence that has begun, at most SEQUENCE characters of it.
    # _pasted    characters of the paste so far, with those that were dropped; None outside of one.

    def __init__(self, paste: int = PASTE) -> None:
        self._decode = getincrementaldecoder("utf-8")("replace").decode
        self._paste = paste
        self._sequence = ""
        self._pasted: int | None = None

    def feed(self, data: bytes) -> str:
        """Return the text of a piece of input; bytes that are not UTF-8 become U+FFFD."""
        text = self._decode(data)
        if ESCAPE not in text and not self._sequence and self._pasted is None:
            return text
        return "".join(map(self._take, text))

    @property
    def _full(self) -> bool:
        return self._pasted is not None and self._pasted > self._paste

    def _take(self, character: str) -> str:
        if self._pasted is not None:
            self._pasted += 1
        if character == ESCAPE:
            self._sequence = ESCAPE
        elif self._sequence:
            return self._continue(character)
        return "" if self._full else character

    def _continue(self, character: str) -> str:
        sequence = self._sequence + character
        if not _is_whole(sequence):
            if len(sequence) > SEQUENCE:
                return ""
            self._sequence = sequence
            return "" if self._full else character
        self._sequence = ""
        if sequence == _PASTE_END:
            # Of a paste that is too long, the app has not seen the beginning of its end.
            shown = sequence if self._full else character
            self._pasted = None
            return shown
        if sequence == _PASTE_START and self._pasted is None:
            self._pasted = 0
        return "" if self._full else character


def _is_whole(sequence: str) -> bool:
    match sequence[1]:
        case "[":
            return len(sequence) > 2 and "@" <= sequence[-1] <= "~"
        case "O":
            return len(sequence) == 3
        case _:
            return True
