"""A session while it runs: to watch, in asciinema's player, and to join, in a terminal."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Mapping
from itertools import islice
from typing import Any

from starlette.responses import Response

from nacre.console.web.calls import path_of, quoted
from nacre.console.web.feeds import Feed
from nacre.console.web.guard import PLAYER_POLICY
from nacre.console.web.sockets import ConsoleSocket, SocketVisit, first_ended, text_of
from nacre.console.web.streams import event_stream
from nacre.console.web.visit import CHANGES, SEES, BrowserVisit, ConsolePage
from nacre.limits import KIB

_USUAL_SIZE = 80, 24
"""Columns and rows of what has no terminal."""

_SCREEN = 32 * KIB
"""Characters of output that a page which comes later begins with, as in the API."""

_KEPT = 256 * KIB
"""Characters of messages that wait for pages which are slow."""


def _channel(visit: BrowserVisit | SocketVisit) -> str:
    """Return what is behind a path for the session of a channel."""
    channel = visit.asked("channel")
    return f"?channel={channel}" if channel.isascii() and channel.isdecimal() else ""


async def _show(visit: BrowserVisit) -> Response:
    number, channel = visit.part("id"), _channel(visit)
    events = f"/watch/{quoted(number)}/events{channel}"
    join = f"/watch/{quoted(number)}/join{channel}"
    answer = visit.show("watch.html", number=number, events=events, join=join)
    answer.headers["Content-Security-Policy"] = PLAYER_POLICY
    return answer


async def _events(visit: BrowserVisit) -> Response:
    return await event_stream(visit, _messages(visit))


async def _messages(visit: BrowserVisit) -> AsyncGenerator[str, None]:
    path = path_of("connections", visit.part("id"), "watch") + _channel(visit)
    with visit.console.feeds.joined(visit.own, path, WatchFeed) as feed:
        place = -1
        while True:
            changed = feed.changed
            if not feed.holds(visit.own):
                break
            place, text = feed.behind(place)
            if text:
                yield text
            if feed.over:
                break
            await changed.wait()
    yield "event: done\ndata:\n\n"


async def _show_join(visit: BrowserVisit) -> Response:
    number, channel = visit.part("id"), _channel(visit)
    watch = f"/watch/{quoted(number)}{channel}"
    socket = f"/watch/{quoted(number)}/join/socket{channel}"
    return visit.show("join.html", number=number, socket=socket, watch=watch)


async def _join(visit: SocketVisit) -> None:
    """Pass on what the session shows, and what is typed.

    :raises APIRefused: nobody can join, or the API is gone.
    :raises SocketRefused: the browser says something else.
    """
    path = path_of("connections", visit.part("id"), "join") + _channel(visit)
    async with visit.console.api.dial(visit.session.token, path) as session:

        async def show() -> None:
            async for text in session:
                await visit.pass_on(text)

        async def type_in() -> None:
            async for message in visit.messages():
                await session.send({"typed": text_of(message, "typed")})

        await first_ended(show(), type_in())


class WatchFeed(Feed):
    """What a session prints, for all pages of a user: messages to the player, each made once.

    A page that comes later, or reads too slowly, gets the end of the output as its screen.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._played = Played()
        self._messages: deque[str] = deque()
        self._next = self._length = 0
        self._screen: str | None = None
        self._stale = False

    def is_stale(self) -> bool:
        """Tell whether a full-screen program has to draw itself anew for who comes now."""
        return self._stale

    async def take(self, name: str, data: Any, _token: str) -> bool:
        """Take an event of the session."""
        for message in self._played.messages(name, data, time.monotonic()):
            self._keep(_written(message))
        if name == "screen":
            self._screen, self._stale = data["text"], False
        elif self._screen is not None and name == "output":
            self._screen += data["text"]
            if len(self._screen) > _SCREEN:
                self._screen, self._stale = _end_of(self._screen), True
        elif self._screen is not None and name == "size":
            self._stale = True
        return name != "end"

    def _keep(self, text: str) -> None:
        self._messages.append(text)
        self._next += 1
        self._length += len(text)
        while self._length > _KEPT and len(self._messages) > 1:
            self._length -= len(self._messages.popleft())

    def behind(self, place: int) -> tuple[int, str]:
        """Return the messages behind a place, and the place behind these.

        :param place: -1 for a page that has had nothing.
        """
        if self._screen is None:
            return place, ""
        missed = self._next - place
        if place < 0 or missed > len(self._messages):
            return self._next, _written(self._played.screen(self._screen, time.monotonic()))
        return self._next, "".join(islice(self._messages, len(self._messages) - missed, None))


def _written(message: Any) -> str:
    return f"data: {json.dumps(message)}\n\n"


def _end_of(text: str) -> str:
    """Return the end of an output, from the beginning of a line on if there is one."""
    end = text[-_SCREEN // 2 :]
    return end[end.find("\n") + 1 :]


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
            yield self.screen(data["text"], now)
        elif name == "size":
            self._terminal = True
            self._columns, self._rows = data["columns"], data["rows"]
            if self._began is not None:
                yield [at, "r", f"{self._columns}x{self._rows}"]
        elif name == "output" and self._began is not None:
            yield [at, "o", self._text(data["text"])]

    def screen(self, text: str, now: float) -> dict[str, Any]:
        """Return the message that a player begins with, or begins anew with.

        :param text: what the screen shows.
        """
        at = 0.0 if self._began is None else round(now - self._began, 3)
        size = {"cols": self._columns, "rows": self._rows}
        return {**size, "time": at, "init": self._text(text)}

    def _text(self, text: str) -> str:
        # What has no terminal ends its lines by a line feed alone.
        return text if self._terminal else text.replace("\n", "\r\n")


PAGES = (
    ConsolePage(method="GET", path="/watch/{id}", roles=SEES, answer=_show),
    ConsolePage(method="GET", path="/watch/{id}/events", roles=SEES, answer=_events),
    ConsolePage(method="GET", path="/watch/{id}/join", roles=CHANGES, answer=_show_join),
)

SOCKETS = (ConsoleSocket(path="/watch/{id}/join/socket", roles=CHANGES, serve=_join),)
