"""What processes say to each other of events, which are answered in their order.

This module imports little: the process of a session that serves files starts with it.

A process of files speaks with the thread of the audit, on a socket of its own, where a message has
its length in front (4 bytes). A session process speaks with the monitor, on their link.
"""

from __future__ import annotations

from collections.abc import Iterator

from nacre.daemon.audit.events import LONGEST
from nacre.wire.message import U32, Bool, Message, Rest, String, Text, message

_HEAD = 4
_LONGEST = LONGEST + 1024

MOST_UNANSWERED = 4096
"""Events of one process that are not answered yet."""

ENOUGH = 1024
"""Such events at which the process takes no further requests."""


@message(60)
class AuditedEvent(Message):
    """Have this kept.

    :ivar session: the connection; empty from a process of files, whose socket says which it is.
    :ivar waits: somebody waits for the answer.
    :ivar fields: more, as an object of JSON.
    """

    session: String
    event: Text
    outcome: Text
    waits: Bool
    fields: Rest


@message(61)
class Recorded(Message):
    """The next ``count`` events are kept; or they are not, because of a problem."""

    count: U32
    problem: Text


@message(62)
class AuditState(Message):
    """Why no event can be kept from now on; empty where they can."""

    problem: Text


class BadFrame(Exception):
    """The other end does what it may not do."""


def framed(one: Message) -> bytes:
    """Return a message with its length."""
    data = one.encode()
    return len(data).to_bytes(_HEAD) + data


class EventFrames:
    """Messages out of bytes that come in pieces."""

    def __init__(self) -> None:
        self._read = bytearray()

    def take(self, data: bytes) -> Iterator[bytes]:
        """Return the messages that are complete.

        :raises BadFrame: one is too long.
        """
        self._read += data
        while len(self._read) >= _HEAD:
            size = int.from_bytes(self._read[:_HEAD])
            if not 0 < size <= _LONGEST:
                raise BadFrame("a message is too long, or empty")
            if len(self._read) < _HEAD + size:
                return
            found = bytes(self._read[_HEAD : _HEAD + size])
            del self._read[: _HEAD + size]
            yield found
