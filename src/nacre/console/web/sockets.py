"""WebSockets of pages: what is checked before each, and while it is open.

A browser lets pages of other sites open one, with the cookies of this one. So the header Origin
must be there and be right, and the first message has the key of the session's forms.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.websockets import WebSocket, WebSocketDisconnect

from nacre.console.web.browsers import MOST_STREAMS, BrowserSession
from nacre.console.web.calls import APIRefused
from nacre.console.web.forms import check_origin
from nacre.console.web.visit import Console, address_of
from nacre.limits import KIB
from nacre.server.admission.bucket import Bucket

LONGEST = 16 * KIB
"""Bytes of a message of a browser, as in the API."""

RATE, BURST = 100.0, 500.0
"""Messages of a browser per second in the long run, and at once."""

_PATIENCE = 10.0
"""Seconds for the first message."""

LOOK_AGAIN = 1.0
"""Seconds after which it is looked whether the session of the browser still holds."""

OVER, REFUSED, TOO_LONG = 1000, 1008, 1009
"""Codes of a close (RFC 6455, section 7.4.1)."""


class SocketRefused(Exception):
    """A browser says what it may not; the WebSocket is closed with this code."""

    def __init__(self, code: int = REFUSED) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSocket:
    """A WebSocket of a page.

    :ivar path: with ``{name}`` for parameters.
    :ivar roles: whose sessions it is for.
    """

    path: str
    roles: Sequence[str]
    serve: Callable[[SocketVisit], Awaitable[None]]


class SocketVisit:
    """An open WebSocket of a browser.

    :param first: its first message.
    """

    def __init__(
        self,
        console: Console,
        websocket: WebSocket,
        session: BrowserSession,
        first: Mapping[str, Any],
    ) -> None:
        self.console, self.session, self.first = console, session, first
        self._websocket = websocket
        self._bucket = Bucket(RATE, BURST, asyncio.get_running_loop().time)

    @property
    def address(self) -> str:
        """The address of the browser."""
        return address_of(self._websocket, self.console.proxies)

    def part(self, name: str) -> str:
        """Return a part of the path."""
        return str(self._websocket.path_params[name])

    def asked(self, name: str, usual: str = "") -> str:
        """Return a parameter behind the path."""
        return self._websocket.query_params.get(name, usual)

    async def say(self, event: str, **members: Any) -> None:
        """Send an event."""
        await self.pass_on(json.dumps({"event": event, **members}))

    async def pass_on(self, text: str) -> None:
        """Send an event of the API, as it is."""
        try:
            await self._websocket.send_text(text)
        except RuntimeError:  # it was closed meanwhile
            raise WebSocketDisconnect from None

    async def messages(self) -> AsyncIterator[Mapping[str, Any]]:
        """Yield what the browser says, up to its end.

        :raises SocketRefused: it says too much, or the session has ended.
        """
        while True:
            message = await _next(self._websocket)
            if not self._bucket.take() or not self.console.sessions.use(self.session):
                raise SocketRefused
            yield message


async def _next(websocket: WebSocket) -> Mapping[str, Any]:
    """Return the next message: an object of JSON.

    :raises SocketRefused: it is none.
    """
    text = (await _received(websocket)).get("text")
    if text is None:
        raise SocketRefused
    if len(text.encode("utf-8", "surrogatepass")) > LONGEST:
        raise SocketRefused(TOO_LONG)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise SocketRefused from None
    if not isinstance(found, dict):
        raise SocketRefused
    return found


async def _received(websocket: WebSocket) -> Mapping[str, Any]:
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message["code"])
    return message


def text_of(message: Mapping[str, Any], name: str) -> str:
    """Return a member that is a text of Unicode.

    :raises SocketRefused: it is none.
    """
    found = message.get(name)
    if not isinstance(found, str):
        raise SocketRefused
    try:
        found.encode()
    except UnicodeEncodeError:
        raise SocketRefused from None
    return found


async def serve_socket(console: Console, row: ConsoleSocket, websocket: WebSocket) -> None:
    """Serve a WebSocket up to its end; refuse it with the status 403 where it may not be."""
    session = console.sessions.find(websocket.cookies)
    if (
        session is None
        or session.role not in row.roles
        or session.streams >= MOST_STREAMS
        or not _is_own(websocket)
    ):
        await websocket.close()
        return
    session.streams += 1
    code = OVER
    try:
        await websocket.accept()
        async with asyncio.timeout(_PATIENCE):
            first = await _next(websocket)
        if not hmac.compare_digest(session.csrf.encode(), text_of(first, "csrf").encode()):
            raise SocketRefused
        await _while_it_holds(row, SocketVisit(console, websocket, session, first))
    except WebSocketDisconnect:
        return
    except SocketRefused as error:
        code = error.code
    except TimeoutError:
        code = REFUSED
    finally:
        session.streams -= 1
    with suppress(WebSocketDisconnect, RuntimeError):  # the browser has gone
        await websocket.close(code)


def _is_own(websocket: WebSocket) -> bool:
    """Tell whether a page of this console has opened it."""
    try:
        check_origin(websocket.headers)
    except HTTPException:
        return False
    return "origin" in websocket.headers


async def _while_it_holds(row: ConsoleSocket, visit: SocketVisit) -> None:
    """Serve while the session of the browser holds.

    :raises SocketRefused: the session has ended, or the browser says what it may not.
    """
    serving = asyncio.create_task(_served(row, visit))
    try:
        while not (await asyncio.wait({serving}, timeout=LOOK_AGAIN))[0]:
            if not visit.console.sessions.holds(visit.session):
                raise SocketRefused
        serving.result()
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def _served(row: ConsoleSocket, visit: SocketVisit) -> None:
    try:
        await row.serve(visit)
    except APIRefused as error:
        await visit.say("refused", detail=error.detail)


async def first_ended(*works: Awaitable[None]) -> None:
    """Do several things until one of them has ended, and raise what it raises."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
