"""What a task and the broker send each other: frames of a kind, a length and bytes."""

from __future__ import annotations

import struct
from enum import IntEnum

HEAD = struct.Struct(">BI")
LARGEST = 1 << 20
"""Bytes in a frame."""


class BrokerFrame(IntEnum):
    """The kinds of frames. JSON is an object."""

    REQUEST = 1  # to the broker, first: what to do, in JSON
    INPUT = 2  # to the broker: for standard input
    END = 3  # to the broker: the end of standard input
    TAKEN = 4  # from the broker, first: it does not end before this request does
    OUTPUT = 5  # from the broker: of standard output
    ERRORS = 6  # from the broker: of standard error
    DONE = 7  # from the broker, last: the exit status, or an error, in JSON


def frame(kind: BrokerFrame, data: bytes = b"") -> bytes:
    """Return a frame."""
    return HEAD.pack(kind, len(data)) + data


def head(data: bytes) -> tuple[BrokerFrame, int]:
    """Return the kind and the length that a frame begins with.

    :raises ValueError: there is no such frame.
    """
    kind, size = HEAD.unpack(data)
    if size > LARGEST:
        raise ValueError(f"a frame of {size} bytes")
    return BrokerFrame(kind), size
