"""Streams of the API that pages share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from nacre.console.web import feeds
from nacre.console.web.browsers import BrowserSession, BrowserSessions
from nacre.console.web.calls import APIRefused
from nacre.console.web.feeds import Feed, Feeds


class Noted(Feed):
    """Keeps what came."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.came: list[tuple[str, str]] = []
        self.stale = False

    def is_stale(self) -> bool:
        return self.stale

    async def take(self, name: str, data: Any, token: str) -> bool:
        self.came.append((token, data))
        return name != "end"


class FakeAPI:
    """Streams of events that a test sends.

    :ivar opened: the tokens and paths of those that were opened; ``closed`` counts the ends.
    """

    def __init__(self) -> None:
        self.opened: list[tuple[str, str]] = []
        self.closed = 0
        self.refuses: set[str] = set()
        self.ended: set[str] = set()
        self.events: asyncio.Queue[tuple[str, Any] | None] = asyncio.Queue()

    async def call(self, token: str, _method: str, _path: str) -> None:
        """Judge a session."""
        if token in self.ended:
            raise APIRefused(401, "no session")

    @asynccontextmanager
    async def stream(self, token: str, path: str) -> AsyncIterator[Any]:
        self.opened.append((token, path))
        if token in self.refuses:
            raise APIRefused(401, "no session")
        try:
            yield self._sent()
        finally:
            self.closed += 1

    async def _sent(self) -> AsyncIterator[tuple[str, Any]]:
        while (event := await self.events.get()) is not None:
            yield event


class Shared:
    """Feeds, and the sessions of two users."""

    def __init__(self) -> None:
        self.api: Any = FakeAPI()
        self.sessions = BrowserSessions(secure=False)
        self.feeds = Feeds(cast(Any, self.api), self.sessions)

    def session(self, name: str, token: str) -> BrowserSession:
        cookie = self.sessions.begin(token, name, "admin")
        found = self.sessions.find({self.sessions.cookie: cookie})
        assert found is not None
        return found


@pytest.fixture
def shared() -> Shared:
    return Shared()


async def turned(feed: Feed) -> None:
    """Wait for the next change."""
    await asyncio.wait_for(feed.changed.wait(), 30)


async def test_pages_of_a_user_share_a_stream_and_the_last_one_closes_it(shared: Shared) -> None:
    one, two = shared.session("ada", "a"), shared.session("ada", "b")
    with shared.feeds.joined(one, "/x", Noted) as feed:
        shared.api.events.put_nowait(("some", "data"))
        await turned(feed)
        with shared.feeds.joined(two, "/x", Noted) as other:
            assert other is feed
        assert shared.api.opened == [("a", "/x")]
        assert feed.came == [("a", "data")]
    await turned(feed)
    assert (feed.over, shared.api.closed) == (True, 1)
    with shared.feeds.joined(two, "/x", Noted) as anew:
        assert anew is not feed


async def test_no_stream_is_shared_by_two_users_or_for_two_things(shared: Shared) -> None:
    ada, otto = shared.session("ada", "a"), shared.session("otto", "o")
    with (
        shared.feeds.joined(ada, "/x", Noted) as one,
        shared.feeds.joined(otto, "/x", Noted) as two,
        shared.feeds.joined(ada, "/y", Noted) as three,
    ):
        assert len({id(feed) for feed in (one, two, three)}) == 3


async def test_a_stream_goes_on_in_the_session_of_another_page(shared: Shared) -> None:
    gone, refused, held = (shared.session("ada", token) for token in "abc")
    shared.api.refuses.add("b")
    with (
        shared.feeds.joined(gone, "/x", Noted) as feed,
        shared.feeds.joined(refused, "/x", Noted),
        shared.feeds.joined(held, "/x", Noted),
    ):
        shared.api.events.put_nowait(("some", 1))
        await turned(feed)
        shared.sessions.end(gone)
        shared.api.events.put_nowait(None)  # the API ends what is of no session
        shared.api.events.put_nowait(("some", 2))
        await turned(feed)
        assert feed.came == [("a", 1), ("c", 2)]
        shared.api.events.put_nowait(None)
        await turned(feed)
        assert feed.over, "each session was tried once"


async def test_a_session_that_is_over_ends_in_the_stream_of_another_one(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "LOOK_AGAIN", 0.01)
    held, gone = shared.session("ada", "a"), shared.session("ada", "b")
    with shared.feeds.joined(held, "/x", Noted) as feed, shared.feeds.joined(gone, "/x", Noted):
        await turned(feed)
        assert feed.holds(gone)
        shared.api.ended.add("b")
        async with asyncio.timeout(30):
            while feed.holds(gone):
                await turned(feed)
        assert (feed.holds(held), feed.over, shared.api.opened) == (True, False, [("a", "/x")])


async def test_the_end_of_a_stream_has_each_session_looked_at(shared: Shared) -> None:
    first, gone, held = (shared.session("ada", token) for token in "abc")
    with (
        shared.feeds.joined(first, "/x", Noted) as feed,
        shared.feeds.joined(gone, "/x", Noted),
        shared.feeds.joined(held, "/x", Noted),
    ):
        shared.api.events.put_nowait(("some", 1))
        await turned(feed)
        shared.api.ended |= {"a", "b"}
        shared.api.events.put_nowait(None)
        shared.api.events.put_nowait(("some", 2))
        await turned(feed)
        assert feed.came == [("a", 1), ("c", 2)]
        assert [feed.holds(one) for one in (first, gone, held)] == [False, False, True]


async def test_what_ends_by_itself_is_not_followed_again(shared: Shared) -> None:
    one, two = shared.session("ada", "a"), shared.session("ada", "b")
    with shared.feeds.joined(one, "/x", Noted) as feed, shared.feeds.joined(two, "/x", Noted):
        shared.api.events.put_nowait(("end", None))
        while not feed.over:
            await turned(feed)
        assert shared.api.opened == [("a", "/x")]


async def test_a_stale_stream_begins_anew_for_a_page_that_comes(shared: Shared) -> None:
    one, two = shared.session("ada", "a"), shared.session("ada", "b")
    with shared.feeds.joined(one, "/x", Noted) as feed:
        shared.api.events.put_nowait(("some", 1))
        await turned(feed)
        feed.stale = True
        with shared.feeds.joined(two, "/x", Noted) as same:
            assert same is feed
            shared.api.events.put_nowait(("some", 2))
            await turned(feed)
            assert (feed.over, len(shared.api.opened)) == (False, 2)
            assert [data for _, data in feed.came] == [1, 2]
