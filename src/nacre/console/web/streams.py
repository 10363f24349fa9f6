"""Answers that are long, or without an end: server-sent events to pages that follow something."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from nacre.console.web.browsers import MOST_STREAMS, BrowserSession
from nacre.console.web.calls import APIRefused
from nacre.console.web.visit import SEES, BrowserVisit


async def event_stream(visit: BrowserVisit, events: AsyncGenerator[str, None]) -> Response:
    """Return an answer with these events.

    The API judges this session first: what it says in another one may already be there.

    :raises APIRefused: the session is over, or its user has no right to this any more.
    :raises HTTPException: the session follows too much already.
    """
    if (await visit.get("own", "session"))["role"] not in SEES:
        raise APIRefused(403, "your role has no right to this")
    if visit.own.streams >= MOST_STREAMS:
        raise HTTPException(429, "too many pages are open that follow something")
    return StreamingResponse(_counted(visit.own, events), media_type="text/event-stream")


async def copied(visit: BrowserVisit, path: str, media: str) -> Response:
    """Return an answer with what the API has at a path.

    :raises APIRefused: it is refused.
    """
    pieces = _pieces(visit, path)
    # What is refused is refused here, and not in the middle of an answer.
    first = await anext(pieces, b"")
    return StreamingResponse(_behind(first, pieces), media_type=media)


async def _pieces(visit: BrowserVisit, path: str) -> AsyncGenerator[bytes, None]:
    async with visit.console.api.content(visit.own.token, path) as pieces:
        async for piece in pieces:
            yield piece


async def _behind(first: bytes, pieces: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    async with aclosing(pieces):
        yield first
        async for piece in pieces:
            yield piece


async def _counted(
    session: BrowserSession, events: AsyncGenerator[str, None]
) -> AsyncIterator[str]:
    if session.streams >= MOST_STREAMS:
        return  # others have begun since it was asked for
    session.streams += 1
    try:
        async with aclosing(events):
            async for text in events:
                yield text
    finally:
        session.streams -= 1
