"""What the two processes of the API say to each other: lines of JSON, checked by those who read.

The process with the HTTP of strangers asks, and the other one answers. A value is a dataclass, and
a line is an object with its name; :mod:`nacre.daemon.control.values` decodes it member by member.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nacre.daemon.control.values import ControlError, made, object_of
from nacre.limits import KIB, MIB

LONGEST_BODY = 64 * KIB
"""Bytes of the body of a request."""

LONGEST_ASKED = 1 * MIB
"""Bytes of a line of the process that asks: an escaped character of a body has six."""

LONGEST_MESSAGE = 16 * KIB
"""Bytes of a message of a WebSocket."""

LONGEST_ANSWER = 8 * MIB
"""Bytes of the body of an answer."""

LONGEST_ANSWERED = 3 * LONGEST_ANSWER
"""Bytes of a line of the process that answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class APICall:
    """A call.

    :ivar number: of the call, as the process that asks counts them.
    :ivar action: the name of an action.
    :ivar token: the key that was shown; empty for none.
    :ivar peer: the client's address and port.
    :ivar path: the parameters of the path: a name and a value each, ``query`` those behind it.
    :ivar body: the body as text; None for none.
    """

    number: int
    action: str
    token: str
    peer: str
    path: tuple[str, ...]
    query: tuple[str, ...]
    body: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallDropped:
    """A client has gone before its answer was complete."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class APIAnswer:
    """The whole answer to a call.

    :ivar kind: the media type; empty for no body.
    :ivar headers: names and values of further headers.
    """

    number: int
    status: int
    kind: str
    headers: tuple[str, ...]
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPart:
    """A part of an answer that has no end."""

    number: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerEnd:
    """The end of such an answer."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallMessage:
    """A message of the client of a WebSocket."""

    number: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageTaken:
    """The last message was taken: the next one may follow."""

    number: int


_KINDS: Mapping[str, type[Any]] = {
    one.__name__.lower(): one
    for one in (
        *(APICall, CallDropped, APIAnswer, AnswerPart, AnswerEnd),
        *(CallMessage, MessageTaken),
    )
}


def line_of(value: object) -> bytes:
    """Return a value as a line."""
    members = asdict(value)  # type: ignore[call-overload]
    return json.dumps({type(value).__name__.lower(): members}).encode() + b"\n"


def value_of(line: bytes) -> Any:
    """Return the value of a line.

    :raises ControlError: it is none.
    """
    found = object_of(line)
    if len(found) != 1 or not _KINDS.keys() >= found.keys():
        raise ControlError("this is no message of the API's processes")
    ((name, members),) = found.items()
    return made(_KINDS[name], members)


def paired(words: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return names and values that stand one after the other.

    :raises ControlError: one is missing.
    """
    if len(words) % 2:
        raise ControlError("a value is missing")
    return list(zip(words[::2], words[1::2], strict=True))
