"""asciicast v3: a header, and an event on each line (https://docs.asciinema.org).

The text of an event is UTF-8. A character that two reads have split is written when it is whole.
Bytes that are no UTF-8 are U+FFFD in the event, which every player shows, and exact in an event
before it, which players skip. These codes are nacre's:

``b``
    the bytes of the next event, in base64
``s``
    the next event is of standard error, and not of standard output
``n``
    something that was done, such as an operation on a file: a JSON object
"""

from __future__ import annotations

import base64
import binascii
import codecs
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nacre.errors import StateError

VERSION = 3
OWN = "nacre"
"""The key of the header for what the format has no key for."""

OUTPUT, INPUT, RESIZE, MARKER, EXIT = "o", "i", "r", "m", "x"
EXACT, ERRORS, NOTE = "b", "s", "n"

MOST_CELLS = 65535
"""Columns or rows of a terminal: players have 16 bits for them."""

LONGEST = 1e9
"""Seconds between two events, from which on a line is damaged."""

_USUAL_SIZE = 80, 24
"""The size where there is no terminal."""

_JSON = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)

_FACTOR = 1000
"""Intervals are in milliseconds: some players can't read what is less, as 1.7e-05."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CastHeader:
    """The first line.

    :ivar started: seconds since the epoch.
    :ivar columns: the terminal's width, ``rows`` its height; 0 without one.
    :ivar term: its TERM.
    :ivar command: the command line; None for a shell.
    :ivar about: whose recording it is, and of what; see :data:`OWN`.
    """

    started: float
    columns: int = 0
    rows: int = 0
    term: str = ""
    command: str | None = None
    about: Mapping[str, Any]

    def line(self) -> bytes:
        """Return the line."""
        columns, rows = _size(self.columns, self.rows)
        term: dict[str, Any] = {"cols": columns, "rows": rows}
        if self.term:
            term["type"] = self.term
        found: dict[str, Any] = {
            "version": VERSION,
            "term": term,
            "timestamp": int(self.started),
        }
        if self.command is not None:
            found["command"] = self.command
        return _line(found | {OWN: dict(self.about)})


@dataclass(frozen=True, slots=True)
class CastEvent:
    """One event.

    :ivar at: seconds since the beginning.
    :ivar code: :data:`OUTPUT` and the like.
    :ivar data: its bytes, exactly.
    :ivar errors: of output, whether it is of standard error.
    """

    at: float
    code: str
    data: bytes
    errors: bool = False


class _Stream:
    """Makes text of the bytes of one stream."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._begun = b""

    def take(self, data: bytes, *, last: bool = False) -> tuple[str, bytes | None]:
        """Return the text of what is whole now, and its bytes if the text does not have them."""
        given = self._begun + data
        text = self._decoder.decode(data, last)
        self._begun = b"" if last else self._decoder.getstate()[0]
        whole = given[: len(given) - len(self._begun)]
        return text, None if text.encode() == whole else whole


class CastWriter:
    """Makes the lines of the events. The times that it is given are seconds of any clock.

    :param began: the time of the beginning.
    """

    def __init__(self, began: float) -> None:
        self._began = began
        self._last = 0
        self._streams: dict[tuple[str, bool], _Stream] = {}

    def data(self, at: float, code: str, data: bytes, *, errors: bool = False) -> bytes:
        """Return the lines of output or input; a split character comes with its end."""
        stream = self._streams.setdefault((code, errors), _Stream())
        return self._data(at, code, errors, *stream.take(data))

    def resize(self, at: float, columns: int, rows: int) -> bytes:
        """Return the line of a new size."""
        columns, rows = _size(columns, rows)
        return self._event(at, RESIZE, f"{columns}x{rows}")

    def note(self, at: float, fields: Mapping[str, Any]) -> bytes:
        """Return the line of something that was done."""
        return self._event(at, NOTE, json.dumps(fields, separators=(",", ":")))

    def end(self, at: float, status: str) -> bytes:
        """Return the last lines: what was not whole, and the exit status."""
        rest = b"".join(
            self._data(at, code, errors, *stream.take(b"", last=True))
            for (code, errors), stream in self._streams.items()
        )
        return rest + self._event(at, EXIT, status)

    def _data(self, at: float, code: str, errors: bool, text: str, exact: bytes | None) -> bytes:
        if not text:
            return b""
        lines = b""
        if errors:
            lines += self._event(at, ERRORS, "")
        if exact is not None:
            lines += self._event(at, EXACT, base64.b64encode(exact).decode())
        return lines + self._event(at, code, text)

    def _event(self, at: float, code: str, text: str) -> bytes:
        # Intervals are rounded so that their sum is not.
        now = max(self._last, round((at - self._began) * _FACTOR))
        interval, self._last = now - self._last, now
        return _line([interval / _FACTOR, code, text])


def _size(columns: int, rows: int) -> tuple[int, int]:
    if not (columns and rows):
        return _USUAL_SIZE
    return min(columns, MOST_CELLS), min(rows, MOST_CELLS)


def _line(value: object) -> bytes:
    text = _JSON.encode(value)
    # A command or a TERM may have bytes that are no UTF-8, of which players know nothing.
    return text.encode("utf-8", "replace") + b"\n"


def read_header(line: bytes) -> dict[str, Any]:
    """Return the header that a line has.

    :raises StateError: it is none of asciicast v3.
    """
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise StateError("it is no recording: the first line is no header of asciicast v3")
    if not isinstance(found.get("term"), dict):
        raise StateError("the header does not tell the size of the terminal")
    return found


def read_events(lines: Iterable[bytes], *, ends: bool) -> Iterator[CastEvent]:
    """Return the events of the lines behind the header.

    :param ends: whether a recording that is whole has an exit status.
    :raises StateError: at a line that can't be read, or at the end if there is no exit status.
    """
    at = 0.0
    exact: bytes | None = None
    errors = ended = False
    for line in lines:
        if line.startswith(b"#") or not line.strip():
            continue
        interval, code, text = _read_event(line)
        at += interval
        if code == EXACT:
            exact = _exact(text)
        elif code == ERRORS:
            errors = True
        else:
            ended = ended or code == EXIT
            data = text.encode("utf-8", "replace") if exact is None else exact
            yield CastEvent(at, code, data, errors)
            exact, errors = None, False
    if ends and not ended:
        raise StateError("the recording has no end: the recorder was ended, or the disk was full")


def _read_event(line: bytes) -> tuple[float, str, str]:
    try:
        interval, code, text = json.loads(line)
    except (ValueError, TypeError, RecursionError):
        raise StateError("a line is damaged") from None
    is_time = isinstance(interval, int | float) and 0 <= interval <= LONGEST
    if not (is_time and isinstance(code, str) and isinstance(text, str)):
        raise StateError("a line is no event")
    return float(interval), code, text


def _exact(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise StateError("a line is damaged") from None
