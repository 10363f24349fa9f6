"""What pages follow: one stream of the API for each user and thing, shared by the user's pages.

The API decides what a user may follow, and the user of a session is told who watches: so no stream
is shared by two users.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from nacre.console.web.browsers import BrowserSession, BrowserSessions
from nacre.console.web.calls import APIRefused, ConsoleAPI

LOOK_AGAIN = 15.0
"""Seconds after which the API is asked again whether the sessions of the pages hold."""

_CHECK = "/v1/own/session"


class Feed:
    """A stream of the API, and the pages that follow it. It belongs to a loop.

    :param sessions: tells which sessions have not ended.
    :param path: of the stream, with what is behind it.
    :ivar changed: is set when there is something new, or the stream is over. Each change has its
        own: a page takes it before it looks.
    :ivar over: whether nothing more comes.
    """

    def __init__(self, api: ConsoleAPI, sessions: BrowserSessions, path: str) -> None:
        self.api = api
        self.changed = asyncio.Event()
        self.over = False
        self._sessions = sessions
        self._path = path
        self._pages: list[BrowserSession] = []
        self._task: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None

    async def take(self, name: str, data: Any, token: str) -> bool:
        """Take an event, and tell whether more may come.

        :param token: the session that the stream is open in.
        """
        raise NotImplementedError

    def is_stale(self) -> bool:
        """Tell whether the stream has to begin anew for a page that comes now."""
        return False

    def holds(self, session: BrowserSession) -> bool:
        """Tell whether the session of a page has not ended."""
        return self._sessions.holds(session)

    def join(self, session: BrowserSession) -> None:
        """Have a page follow; the first one opens the stream.

        The caller has just asked the API whether the session holds.
        """
        self._pages.append(session)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        if self._task is not None and self.is_stale():
            self._task.cancel()
            self._task = None
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    def leave(self, session: BrowserSession) -> bool:
        """Have a page follow no more; the last one closes the stream. Tell whether it was that."""
        self._pages.remove(session)
        if not self._pages:
            self.close()
        return not self._pages

    def close(self) -> None:
        """Close the stream."""
        for task in (self._task, self._looking):
            if task is not None:
                task.cancel()

    async def _look(self) -> None:
        """Look at the sessions of the pages now and then: any of them may be over, or idle."""
        while True:
            await asyncio.sleep(LOOK_AGAIN)
            await self._check()
            self._tell()

    async def _check(self) -> None:
        """End the pages' sessions that the API does not know any more. This is no use of them."""
        for session in set(self._pages):
            if not self.holds(session):
                continue
            try:
                await self.api.call(session.token, "GET", _CHECK)
            except APIRefused as error:
                if error.status == 401:
                    self._sessions.end(session)

    async def _run(self) -> None:
        tried: set[str] = set()
        try:
            # The session that the stream is open in may end before that of another page.
            while (token := self._token(tried)) is not None:
                tried.add(token)
                with suppress(APIRefused):
                    if not await self._follow(token):
                        break
                await self._check()
        finally:
            if self._task is asyncio.current_task():  # and not one that begins anew
                self.over = True
                self._tell()

    def _token(self, tried: set[str]) -> str | None:
        held = (one.token for one in self._pages if self.holds(one))
        return next((token for token in held if token not in tried), None)

    async def _follow(self, token: str) -> bool:
        """Follow in a session, and tell whether more may come in another one."""
        async with self.api.stream(token, self._path) as events:
            async for name, data in events:
                more = await self.take(name, data, token)
                self._tell()
                if not more:
                    return False
        return True

    def _tell(self) -> None:
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()


F = TypeVar("F", bound=Feed)


class Feeds:
    """The feeds, by user and path. It belongs to a loop."""

    def __init__(self, api: ConsoleAPI, sessions: BrowserSessions) -> None:
        self._api = api
        self._sessions = sessions
        self._feeds: dict[tuple[str, str], Feed] = {}

    @contextmanager
    def joined(self, session: BrowserSession, path: str, kind: type[F]) -> Iterator[F]:
        """Follow what the API has at a path, up to the end of the context.

        :param kind: what keeps the events; the same one for all pages of a path.
        """
        key = session.name, path
        feed = self._feeds.get(key)
        if not isinstance(feed, kind) or feed.over:
            feed = self._feeds[key] = kind(self._api, self._sessions, path)
        feed.join(session)
        try:
            yield feed
        finally:
            if feed.leave(session) and self._feeds.get(key) is feed:
                del self._feeds[key]
