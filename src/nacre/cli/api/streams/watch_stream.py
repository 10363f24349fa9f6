"""A session while it runs, as server-sent events. What it prints is text of UTF-8 here."""

from __future__ import annotations

import asyncio
import codecs
import json
import socket
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from nacre.cli.api.call import CheckedCall, Problem
from nacre.cli.api.streams.log_stream import COMMENT
from nacre.cli.control.live import chosen
from nacre.daemon.control.caller import ControlCaller
from nacre.daemon.control.requests import Who
from nacre.daemon.control.values import ControlError
from nacre.daemon.recording.frames import FrameReader, unpacked_json
from nacre.daemon.watching.frames import WatchFrame, WatchOrder
from nacre.errors import MalformedMessage
from nacre.limits import KIB

_QUIET = 15.0
"""Seconds after which a comment is sent, by which a client that is gone is noticed."""

_READ = 64 * KIB
_LARGEST = 10_000
"""Columns or rows of a terminal."""


async def watch(state: Path, call: CheckedCall) -> AsyncGenerator[str, None]:
    """Yield events: ``size``, ``screen``, ``output``, ``skipped`` and ``end``; first a comment.

    :raises Problem: the session can't be watched.
    """
    loop = asyncio.get_running_loop()
    try:
        caller, sock = await loop.run_in_executor(None, _begin, state, call)
    except ControlError as error:
        raise Problem(409, str(error)) from None
    with caller:
        sock.setblocking(False)
        yield COMMENT
        events = WatchEvents()
        while not events.over:
            try:
                async with asyncio.timeout(_QUIET):
                    data = await loop.sock_recv(sock, _READ)
            except TimeoutError:
                yield COMMENT
                continue
            except OSError:
                data = b""
            for text in events.feed(data):
                yield text


def _begin(state: Path, call: CheckedCall) -> tuple[ControlCaller, socket.socket]:
    """Begin to watch; who has the result closes the caller, and the socket with it.

    :raises ControlError: that can't be done.
    """
    number = call.path["id"]
    with ControlCaller(state) as asking:
        found = list(asking.ask("who", Who()))
    channel = chosen(found, number, call.query.get("channel"))
    caller = ControlCaller(state)
    try:
        _, sock = caller.watch(WatchOrder(id=number, channel=channel, by=_name_of(call)))
    except BaseException:
        with caller:
            raise
    return caller, sock


def _name_of(call: CheckedCall) -> str:
    """Return who watches, for the session's user: a user, or the key of a program."""
    if call.session is not None:
        return call.session.user
    return f"the key {call.caller}" if call.caller else ""


class WatchEvents:
    """Turns what the process of a session sends into events.

    :ivar over: whether the session has ended, or its process is gone.
    """

    def __init__(self) -> None:
        self.over = False
        self._frames = FrameReader(WatchFrame)
        self._decoders = {
            kind: codecs.getincrementaldecoder("utf-8")("replace")
            for kind in (WatchFrame.OUTPUT, WatchFrame.ERRORS)
        }

    def feed(self, data: bytes) -> Iterator[str]:
        """Yield the events that are whole with these bytes; none are the end."""
        try:
            for kind, payload in self._frames.feed(data):
                yield from _SAID[kind](self, kind, payload)
        except (MalformedMessage, KeyError, ValueError):
            data = b""
        if not data and not self.over:
            self.over = True
            yield _event("end", {"status": None})

    def _output(self, kind: WatchFrame, payload: bytes) -> Iterator[str]:
        if text := self._decoders[kind].decode(payload):
            yield _event("output", {"text": text})

    def _screen(self, _kind: WatchFrame, payload: bytes) -> Iterator[str]:
        for decoder in self._decoders.values():
            decoder.reset()
        yield _event("screen", {"text": payload.decode("utf-8", "replace")})

    def _size(self, _kind: WatchFrame, payload: bytes) -> Iterator[str]:
        columns, rows = unpacked_json(payload, list)
        if all(type(one) is int and 0 < one < _LARGEST for one in (columns, rows)):
            yield _event("size", {"columns": columns, "rows": rows})

    def _skipped(self, _kind: WatchFrame, payload: bytes) -> Iterator[str]:
        yield _event("skipped", {"bytes": int(payload)})

    def _end(self, _kind: WatchFrame, payload: bytes) -> Iterator[str]:
        self.over = True
        yield _event("end", {"status": int(payload) if payload else None})


_SAID: Mapping[WatchFrame, Callable[[WatchEvents, WatchFrame, bytes], Iterator[str]]] = {
    WatchFrame.OUTPUT: WatchEvents._output,
    WatchFrame.ERRORS: WatchEvents._output,
    WatchFrame.SCREEN: WatchEvents._screen,
    WatchFrame.SIZE: WatchEvents._size,
    WatchFrame.SKIPPED: WatchEvents._skipped,
    WatchFrame.END: WatchEvents._end,
}


def _event(name: str, data: Mapping[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
