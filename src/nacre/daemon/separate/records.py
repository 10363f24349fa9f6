"""What processes tell the monitor: records for its log, and what happens on their connections."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any

from nacre.config.values import LogLevel
from nacre.daemon.control.roster import MOST_RUNNING, MOST_SHOWN
from nacre.daemon.control.values import Details, Running
from nacre.daemon.log.server_log import level_of
from nacre.daemon.separate.link import Link, LinkError
from nacre.daemon.separate.messages import Described, LogRecord
from nacre.wire.codec import WireReader, boolean, text, u32
from nacre.wire.text import safe

_LONGEST = 64 * 1024
"""Bytes of a record."""

_VALUES = {str, int, float, bool, type(None)}

# Made once: json.dumps makes an encoder for each call that has a default.
_ENCODE = json.JSONEncoder(default=str).encode
_DECODE = json.JSONDecoder().raw_decode

_MOST_UNSENT = 1024
"""Messages that wait for the monitor, from which on records are dropped."""

PATIENCE = 1.0
"""Seconds that a session process has to describe its connections."""

_MOST_REQUEST = 32
"""Characters of what a session was requested for."""

_MOST_ESCAPED = 12
"""Bytes that a character may take that is shown as an escape."""


class LinkLog:
    """A log that the monitor writes.

    :param level: that of the log; records that it does not show are not sent.
    :param always: fields of each record.
    :ivar detailed: whether it takes a record of each file operation.
    """

    def __init__(self, link: Link, level: LogLevel, **always: object) -> None:
        self._link = link
        self._level = level
        self._always = always
        self.detailed = level >= LogLevel.VERBOSE

    def __call__(self, record: Mapping[str, object]) -> None:
        """Send a record; drop it if the monitor is far behind, as a log does with a reader."""
        if level_of(record) <= self._level and self._link.unsent < _MOST_UNSENT:
            fields = _ENCODE({**record, **self._always}).encode()
            # An error may be the last word of this process.
            send = self._link.send if record["event"] == "error" else self._link.send_later
            send(LogRecord(fields).encode())

    def attend(self, loop: asyncio.AbstractEventLoop) -> None:
        """Log what asyncio reports, too, such as a lack of descriptors for a new connection."""
        loop.set_exception_handler(self._on_loop_error)

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        what, error = context.get("message", "an error on the loop"), context.get("exception")
        self({"event": "error", "what": what, "error": safe(str(error))})


def read(data: bytes) -> dict[str, object]:
    """Return the record that a process has sent.

    :raises LinkError: it is none.
    """
    found: object = None
    with suppress(ValueError, RecursionError):
        if len(data) <= _LONGEST:
            written = data.decode()
            one, end = _DECODE(written)
            found = one if end == len(written) else None
    if not isinstance(found, dict) or not isinstance(found.get("event"), str):
        raise LinkError("what was sent for the log is no record")
    if not all(map(_is_name, found)):
        raise LinkError("a record has names that no log takes")
    if not _VALUES.issuperset(map(type, found.values())):
        raise LinkError("a record has values that no log takes")
    return found


@lru_cache(256)
def _is_name(name: str) -> bool:
    return name.isascii() and name.isidentifier()


class Description:
    """The answer of a session process to one question.

    :ivar ask: the number of the question.
    :ivar found: what it has said, by the session identifiers.
    :ivar done: done when it has said everything, or has ended.
    """

    def __init__(self, done: asyncio.Future[None]) -> None:
        self.ask = 0
        self.found: dict[bytes, Details] = {}
        self.done = done


def described(ask: int, session: bytes, details: Details) -> Described:
    """Return the message about a connection."""
    return Described(
        ask=ask,
        session=session,
        idle=int(details.idle * 1000),
        counts=details.received is not None,
        received=details.received or 0,
        sent=details.sent or 0,
        sessions=details.sessions,
        forwards=details.forwards,
        listens=details.listens,
        running=b"".join(
            u32(one.channel) + text(one.request) + text(one.what) + boolean(one.terminal)
            for one in details.running
        ),
    )


def details_in(message: Described) -> Details:
    """Return what a message says; it is made safe to print, and otherwise believed.

    :raises LinkError: it says more than it may.
    :raises MalformedMessage: it can't be read.
    """
    return Details(
        idle=message.idle / 1000,
        received=message.received if message.counts else None,
        sent=message.sent if message.counts else None,
        sessions=message.sessions,
        forwards=message.forwards,
        listens=message.listens,
        running=tuple(_running(message.running)),
    )


def _running(data: bytes) -> Iterator[Running]:
    reader, count = WireReader(data), 0
    while reader.remaining:
        count += 1
        channel, request, what = reader.u32(), reader.text(), reader.text()
        if count > MOST_RUNNING or len(what) > _MOST_ESCAPED * MOST_SHOWN:
            raise LinkError("a description is too long")
        yield Running(
            channel=channel,
            request=safe(request, _MOST_REQUEST),
            what=what if what.isprintable() else safe(what, MOST_SHOWN),
            terminal=reader.boolean(),
        )
