"""A session while it runs, as server-sent events, or as messages of who joins.

What it prints is text of UTF-8 here.
"""

from __future__ import annotations

import asyncio
import codecs
import json
import socket
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeAlias

from nacre.cli.api.call import CheckedCall, Problem
from nacre.cli.api.streams.log_stream import COMMENT
from nacre.cli.api.streams.messages import CallMessages
from nacre.cli.control.live import chosen
from nacre.daemon.control.caller import ControlCaller
from nacre.daemon.control.requests import Who
from nacre.daemon.control.values import ControlError
from nacre.daemon.recording.frames import FrameReader, frame, unpacked_json
from nacre.daemon.watching.frames import WatchFrame, WatchOrder
from nacre.errors import MalformedMessage
from nacre.limits import KIB

_QUIET = 15.0
"""Seconds after which a comment is sent, by which a client that is gone is noticed."""

WatchEvent: TypeAlias = tuple[str, Mapping[str, Any]]
"""The name of an event, and its members."""

_READ = 64 * KIB
_LARGEST = 10_000
"""Columns or rows of a terminal."""


async def watch(state: Path, call: CheckedCall) -> AsyncGenerator[str, None]:
    """Yield events: ``size``, ``screen``, ``output``, ``skipped`` and ``end``; first a comment.

    :raises Problem: the session can't be watched.
    """
    caller, sock = await _begun(state, call, joins=False)
    with caller:
        async for event in _events(sock):
            yield COMMENT if event is None else f"event: {event[0]}\ndata: {_text(event[1])}\n\n"


async def join(state: Path, call: CheckedCall, messages: CallMessages) -> AsyncGenerator[str, None]:
    """Yield the same events as objects of JSON, and type what the client says.

    First, and where nothing happens, there is an empty text.

    :raises Problem: nobody can join the session.
    """
    caller, sock = await _begun(state, call, joins=True)
    with caller:
        typing = asyncio.create_task(_type(sock, messages))
        try:
            async with aclosing(_events(sock)) as events:
                async for event in events:
                    yield "" if event is None else _text({"event": event[0], **event[1]})
                    if typing.done():
                        return
        finally:
            typing.cancel()
            await asyncio.gather(typing, return_exceptions=True)


async def _type(sock: socket.socket, messages: CallMessages) -> None:
    """Type what messages say (``{"typed": "ls"}``), up to one that says something else."""
    loop = asyncio.get_running_loop()
    try:
        async for text in messages:
            found = json.loads(text)
            typed = found["typed"].encode()
            await loop.sock_sendall(sock, frame(WatchFrame.TYPED, typed))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        # Nothing more comes from the session then, and the events end.
        sock.shutdown(socket.SHUT_RDWR)


async def _begun(
    state: Path, call: CheckedCall, *, joins: bool
) -> tuple[ControlCaller, socket.socket]:
    """Begin to watch; who has the result closes the caller, and the socket with it.

    :raises Problem: that can't be done.
    """
    loop = asyncio.get_running_loop()
    try:
        caller, sock = await loop.run_in_executor(None, _begin, state, call, joins)
    except ControlError as error:
        raise Problem(409, str(error)) from None
    sock.setblocking(False)
    return caller, sock


async def _events(sock: socket.socket) -> AsyncGenerator[WatchEvent | None, None]:
    """Yield events up to the end of the session; None first, and where there are none."""
    loop = asyncio.get_running_loop()
    yield None
    events = WatchEvents()
    while not events.over:
        try:
            async with asyncio.timeout(_QUIET):
                data = await loop.sock_recv(sock, _READ)
        except TimeoutError:
            yield None
            continue
        except OSError:
            data = b""
        for event in events.feed(data):
            yield event


def _begin(state: Path, call: CheckedCall, joins: bool) -> tuple[ControlCaller, socket.socket]:
    """Begin to watch, or to join.

    :raises ControlError: that can't be done.
    """
    number = call.path["id"]
    with ControlCaller(state) as asking:
        found = list(asking.ask("who", Who()))
    channel = chosen(found, number, call.query.get("channel"))
    caller = ControlCaller(state)
    try:
        order = WatchOrder(id=number, channel=channel, joins=joins, by=_name_of(call))
        _, sock = caller.watch(order)
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

    def feed(self, data: bytes) -> Iterator[WatchEvent]:
        """Yield the events that are whole with these bytes; none are the end."""
        try:
            for kind, payload in self._frames.feed(data):
                yield from _SAID[kind](self, kind, payload)
        except (MalformedMessage, KeyError, ValueError):
            data = b""
        if not data and not self.over:
            self.over = True
            yield "end", {"status": None}

    def _output(self, kind: WatchFrame, payload: bytes) -> Iterator[WatchEvent]:
        if text := self._decoders[kind].decode(payload):
            yield "output", {"text": text}

    def _screen(self, _kind: WatchFrame, payload: bytes) -> Iterator[WatchEvent]:
        for decoder in self._decoders.values():
            decoder.reset()
        yield "screen", {"text": payload.decode("utf-8", "replace")}

    def _size(self, _kind: WatchFrame, payload: bytes) -> Iterator[WatchEvent]:
        columns, rows = unpacked_json(payload, list)
        if all(type(one) is int and 0 < one < _LARGEST for one in (columns, rows)):
            yield "size", {"columns": columns, "rows": rows}

    def _skipped(self, _kind: WatchFrame, payload: bytes) -> Iterator[WatchEvent]:
        yield "skipped", {"bytes": int(payload)}

    def _end(self, _kind: WatchFrame, payload: bytes) -> Iterator[WatchEvent]:
        self.over = True
        yield "end", {"status": int(payload) if payload else None}


_SAID: Mapping[WatchFrame, Callable[[WatchEvents, WatchFrame, bytes], Iterator[WatchEvent]]] = {
    WatchFrame.OUTPUT: WatchEvents._output,
    WatchFrame.ERRORS: WatchEvents._output,
    WatchFrame.SCREEN: WatchEvents._screen,
    WatchFrame.SIZE: WatchEvents._size,
    WatchFrame.SKIPPED: WatchEvents._skipped,
    WatchFrame.END: WatchEvents._end,
}


def _text(data: Mapping[str, Any]) -> str:
    return json.dumps(data)
