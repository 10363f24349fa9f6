"""Answers without an end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from nacre.console.web.browsers import MOST_STREAMS, BrowserSession
from nacre.console.web.calls import APIRefused
from nacre.console.web.streams import event_stream


class Visitor:
    def __init__(self) -> None:
        self.own = BrowserSession(token="t", name="ada", role="admin", used=1.0)
        self.role = "admin"

    async def get(self, *words: str) -> dict[str, str]:
        assert words == ("own", "session")
        return {"role": self.role}


async def test_who_has_lost_the_role_follows_nothing() -> None:
    visitor: Any = Visitor()
    visitor.role = "user"

    async def events() -> AsyncGenerator[str, None]:
        yield "data: x\n\n"

    with pytest.raises(APIRefused) as raised:
        await event_stream(visitor, events())
    assert raised.value.status == 403


async def test_a_session_has_so_many_and_gives_back_what_breaks_off() -> None:
    visitor: Any = Visitor()
    closed: list[int] = []

    async def events(number: int) -> AsyncGenerator[str, None]:
        try:
            yield "data: x\n\n"
            await asyncio.Event().wait()
        finally:
            closed.append(number)

    late = await event_stream(visitor, events(9))
    assert isinstance(late, StreamingResponse)
    running = []
    for number in range(MOST_STREAMS):
        answer = await event_stream(visitor, events(number))
        assert isinstance(answer, StreamingResponse)
        assert answer.headers["content-type"].startswith("text/event-stream")
        running.append(answer.body_iterator)
        assert await anext(aiter(answer.body_iterator)) == "data: x\n\n"
    with pytest.raises(HTTPException) as raised:
        await event_stream(visitor, events(9))
    assert raised.value.status_code == 429
    assert [one async for one in late.body_iterator] == []
    for one in running:
        await one.aclose()  # type: ignore[attr-defined]
    assert (sorted(closed), visitor.own.streams) == (list(range(MOST_STREAMS)), 0)
