"""What a session and the recorder say to each other: frames over a Unix socket.

Those who watch a session get frames of other kinds: :mod:`nacre.daemon.watching.frames`.

A frame is the length of its payload (4 bytes), its kind (1 byte), and the payload.
"""

from __future__ import annotations

import json
import struct
from enum import IntEnum
from functools import cache
from typing import Any, Generic, TypeVar

from nacre.errors import MalformedMessage
from nacre.limits import KIB

LONGEST = 64 * KIB
"""Bytes of a payload."""

K = TypeVar("K", bound=IntEnum)

_HEAD = struct.Struct(">IB")
_JSON = json.JSONEncoder(separators=(",", ":"))


class FrameKind(IntEnum):
    """What a frame says; those from ``STARTED`` on are the recorder's."""

    OPEN = 1
    """The recording begins: a JSON object with what the session is."""

    OUTPUT = 2
    ERRORS = 3
    INPUT = 4
    """Bytes of standard output, of standard error, and of the client."""

    RESIZE = 5
    """A JSON list of columns and rows."""

    EVENT = 6
    """A JSON object: something that was done."""

    END = 7
    """The session has ended; the payload is the exit status in digits, or empty for a signal."""

    STARTED = 16
    """The file is there."""

    ENDED = 17
    """The file is whole."""

    FAILED = 18
    """Nothing is recorded any more; the payload is the reason."""


def frame(kind: IntEnum, payload: bytes = b"") -> bytes:
    """Return the bytes of a frame, whose payload has at most :data:`LONGEST` bytes."""
    assert len(payload) <= LONGEST
    return _HEAD.pack(len(payload), kind) + payload


@cache
def _numbered(kinds: type[Any]) -> dict[int, Any]:
    return {kind.value: kind for kind in kinds}


class FrameReader(Generic[K]):
    """Splits what comes over a socket into frames.

    :param kinds: the kinds that may come.
    """

    def __init__(self, kinds: type[K]) -> None:
        self._kinds: dict[int, K] = _numbered(kinds)
        self._read = bytearray()

    def feed(self, data: bytes) -> list[tuple[K, bytes]]:
        """Return the frames that are whole with these bytes.

        :raises MalformedMessage: one is too long, or of no kind.
        """
        self._read += data
        found = []
        start = 0
        while len(self._read) - start >= _HEAD.size:
            size, number = _HEAD.unpack_from(self._read, start)
            kind = self._kinds.get(number)
            if kind is None or size > LONGEST:
                raise MalformedMessage("a frame is too long, or of no kind")
            end = start + _HEAD.size + size
            if len(self._read) < end:
                break
            found.append((kind, bytes(self._read[start + _HEAD.size : end])))
            start = end
        del self._read[:start]
        return found


def packed_json(value: object) -> bytes:
    """Return a value as JSON; lone surrogates are escaped."""
    return _JSON.encode(value).encode()


def unpacked_json(data: bytes, kind: type) -> Any:
    """Return the value, a ``kind``, that a frame has as JSON.

    :raises MalformedMessage: it is none.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, kind):
        raise MalformedMessage("a frame's JSON can't be read")
    return found
