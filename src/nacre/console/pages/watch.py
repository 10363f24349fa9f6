"""A session while it runs, in asciinema's player."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import suppress
from typing import Any

from starlette.responses import Response

from nacre.console.web.calls import APIRefused, path_of, quoted
from nacre.console.web.guard import PLAYER_POLICY
from nacre.console.web.streams import event_stream
from nacre.console.web.visit import SEES, BrowserVisit, ConsolePage

_USUAL_SIZE = 80, 24
"""Columns and rows of what has no terminal."""


async def _show(visit: BrowserVisit) -> Response:
    number, channel = visit.part("id"), visit.asked("channel")
    events = f"/watch/{quoted(number)}/events" + (f"?channel={quoted(channel)}" if channel else "")
    answer = visit.show("watch.html", number=number, events=events)
    answer.headers["Content-Security-Policy"] = PLAYER_POLICY
    return answer


async def _events(visit: BrowserVisit) -> Response:
    return event_stream(visit, _messages(visit))


async def _messages(visit: BrowserVisit) -> AsyncGenerator[str, None]:
    path = path_of("connections", visit.part("id"), "watch")
    channel = visit.asked("channel")
    if channel.isascii() and channel.isdecimal():
        path += f"?channel={channel}"
    played = Played()
    with suppress(APIRefused):
        async with visit.console.api.stream(visit.own.token, path) as events:
            async for name, data in events:
                if not visit.console.sessions.holds(visit.own):
                    break
                for message in played.messages(name, data, time.monotonic()):
                    yield f"data: {json.dumps(message)}\n\n"
    yield "event: done\ndata:\n\n"


class Played:
    """Turns events of the API into what the player takes from a stream."""

    def __init__(self) -> None:
        self._columns, self._rows = _USUAL_SIZE
        self._terminal = False
        self._began: float | None = None

    def messages(self, name: str, data: Mapping[str, Any], now: float) -> Iterator[Any]:
        """Yield the messages for an event.

        :param now: seconds on any clock.
        """
        began = self._began if self._began is not None else now
        at = round(now - began, 3)
        if name == "screen":
            self._began = began
            yield {
                "cols": self._columns,
                "rows": self._rows,
                "time": at,
                "init": self._text(data["text"]),
            }
        elif name == "size":
            self._terminal = True
            self._columns, self._rows = data["columns"], data["rows"]
            if self._began is not None:
                yield [at, "r", f"{self._columns}x{self._rows}"]
        elif name == "output" and self._began is not None:
            yield [at, "o", self._text(data["text"])]

    def _text(self, text: str) -> str:
        # What has no terminal ends its lines by a line feed alone.
        return text if self._terminal else text.replace("\n", "\r\n")


PAGES = (
    ConsolePage(method="GET", path="/watch/{id}", roles=SEES, answer=_show),
    ConsolePage(method="GET", path="/watch/{id}/events", roles=SEES, answer=_events),
)
