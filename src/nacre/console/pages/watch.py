"""A session while it runs: to watch, and to join."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator

from starlette.responses import Response

from nacre.console.web.calls import APIRefused, path_of, quoted
from nacre.console.web.sockets import ConsoleSocket, SocketVisit, first_ended, text_of
from nacre.console.web.streams import event_stream
from nacre.console.web.visit import CHANGES, SEES, BrowserVisit, ConsolePage


def _behind(channel: str) -> str:
    """Return what is behind a path for the session of a channel."""
    return f"?channel={channel}" if channel.isascii() and channel.isdecimal() else ""


async def _show(visit: BrowserVisit) -> Response:
    number, behind = visit.part("id"), _behind(visit.asked("channel"))
    path = f"/watch/{quoted(number)}"
    return visit.show("watch.html", number=number, path=path, behind=behind)


async def _show_join(visit: BrowserVisit) -> Response:
    number, behind = visit.part("id"), _behind(visit.asked("channel"))
    path = f"/watch/{quoted(number)}"
    return visit.show("join.html", number=number, path=path, behind=behind)


async def _events(visit: BrowserVisit) -> Response:
    return event_stream(visit, _messages(visit))


async def _messages(visit: BrowserVisit) -> AsyncGenerator[str, None]:
    """Yield the events of the API as they are; the last one is ``over``."""
    path = path_of("connections", visit.part("id"), "watch") + _behind(visit.asked("channel"))
    detail = ""
    try:
        async with visit.console.api.stream(visit.own.token, path) as events:
            async for name, data in events:
                if not visit.console.sessions.holds(visit.own):
                    break
                yield f"event: {name}\ndata: {json.dumps(data)}\n\n"
    except APIRefused as error:
        detail = error.detail
    yield f"event: over\ndata: {json.dumps({'detail': detail})}\n\n"


async def _join(visit: SocketVisit) -> None:
    """Pass on what the session shows, and what is typed.

    :raises APIRefused: nobody can join, or the API is gone.
    :raises SocketRefused: the browser says something else.
    """
    path = path_of("connections", visit.part("id"), "join") + _behind(visit.asked("channel"))
    async with visit.console.api.dial(visit.session.token, path) as session:

        async def show() -> None:
            async for text in session:
                await visit.pass_on(text)

        async def type_in() -> None:
            async for message in visit.messages():
                await session.send({"typed": text_of(message, "typed")})

        await first_ended(show(), type_in())


PAGES = (
    ConsolePage(method="GET", path="/watch/{id}", roles=SEES, answer=_show),
    ConsolePage(method="GET", path="/watch/{id}/events", roles=SEES, answer=_events),
    ConsolePage(method="GET", path="/watch/{id}/join", roles=CHANGES, answer=_show_join),
)

SOCKETS = (ConsoleSocket(path="/watch/{id}/join/socket", roles=CHANGES, serve=_join),)
