"""A shell for a page. It goes on for a while when the page has lost its connection."""

from __future__ import annotations

import asyncio
import codecs
import json
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from nacre.client.connection import Connection
from nacre.client.process import Process
from nacre.errors import NacreError
from nacre.limits import KIB
from nacre.wire.text import safe

KEPT = 256 * KIB
"""Characters of the last output that a page gets which comes back."""

_MOST_WAITING = 16
"""Events that wait for a page: with more the shell waits, too."""

_READ = 32 * KIB
_LONGEST_REASON = 300

Size: TypeAlias = tuple[int, int]
"""Columns and rows."""

LogIn: TypeAlias = Callable[[], Awaitable[Connection]]
"""Logs in; raises ShellRefused, NacreError or OSError."""

MOST_AHEAD = 4 * KIB
"""Characters that may be typed before the shell is there; further ones are dropped."""


class ShellRefused(Exception):
    """There is no shell for this user; the text says why."""


class AttachedPage:
    """A page that shows a shell, and the events that wait for it."""

    def __init__(self) -> None:
        self._events: deque[str] = deque()
        self._changed = asyncio.Event()
        self._left = self._over = False

    async def put(self, event: str, **members: Any) -> None:
        """Have an event shown; wait where too many are."""
        self.add(event, **members)
        while len(self._events) > _MOST_WAITING and not self._left:
            await self._wait()

    def add(self, event: str, **members: Any) -> None:
        """Have an event shown."""
        self._events.append(json.dumps({"event": event, **members}))
        self._changed.set()

    async def next(self) -> str | None:
        """Return the next event; None if there is none any more."""
        while not self._events:
            if self._over or self._left:
                return None
            await self._wait()
        self._changed.set()
        return self._events.popleft()

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def end(self) -> None:
        """Have no more events."""
        self._over = True
        self._changed.set()

    def leave(self) -> None:
        """Wait for the page no more: it is gone, or another one is in its place."""
        self._left = True
        self._events.clear()
        self._changed.set()


class ConsoleShell:
    """A shell of who has signed in.

    :param log_in: logs in by SSH.
    :param size: that of the terminal.
    :ivar session: that of the browser, whose it is.
    :ivar running: ends with the shell.
    :ivar page: what shows it, if anything does.
    :ivar over: whether it has ended.
    """

    def __init__(self, session: object, log_in: LogIn, size: Size) -> None:
        self.session = session
        self.page: AttachedPage | None = None
        self.over = False
        self._log_in = log_in
        self._size = size
        self._kept = ""
        self._status: int | None = None
        self._reason = ""
        self._ahead = ""
        self._process: Process | None = None
        self.running = asyncio.create_task(self._run())

    def attach(self) -> AttachedPage:
        """Show it on a page from now on, in place of the one before."""
        self.detach(self.page)
        self.page = AttachedPage()
        if self._kept:
            self.page.add("screen", text=self._kept)
        if self.over:
            self._tell_end(self.page)
        return self.page

    def detach(self, page: AttachedPage | None) -> None:
        """Show it on a page no more."""
        if page is not None:
            page.leave()
            if page is self.page:
                self.page = None

    async def type(self, text: str) -> None:
        """Take what is typed, no faster than the server."""
        if self._process is None:
            self._ahead = (self._ahead + text)[:MOST_AHEAD]
            return
        try:
            await self._process.stdin.write(text.encode())
        except NacreError:
            return  # it ends

    def resize(self, size: Size) -> None:
        """Have another size."""
        self._size = size
        if self._process is not None:
            self._process.resize(*size)

    async def close(self) -> None:
        """End it: the connection is closed."""
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)

    async def _run(self) -> None:
        try:
            async with await self._log_in() as connection:
                term, size = "xterm-256color", self._size
                async with connection.shell(term=term, size=size) as process:
                    while self._ahead:
                        ahead, self._ahead = self._ahead, ""
                        await process.stdin.write(ahead.encode())
                    self._process = process
                    if size != self._size:
                        process.resize(*self._size)
                    self._status = await self._copy(process)
        except (ShellRefused, NacreError, OSError) as error:
            self._reason = safe(str(error) or type(error).__name__, _LONGEST_REASON)
        finally:
            self._process, self.over = None, True
            if self.page is not None:
                self._tell_end(self.page)

    def _tell_end(self, page: AttachedPage) -> None:
        page.add("end", status=self._status, reason=self._reason)
        page.end()

    async def _copy(self, process: Process) -> int | None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while data := await process.stdout.read(_READ):
            if text := decoder.decode(data):
                await self._show(text)
        return await process.wait()

    async def _show(self, text: str) -> None:
        self._kept += text
        if len(self._kept) > 2 * KEPT:
            # Not in the middle of a control sequence.
            self._kept = self._kept[-KEPT:].partition("\n")[2]
        if self.page is not None:
            await self.page.put("output", text=text)
