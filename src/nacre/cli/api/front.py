"""The process with the HTTP of strangers: it has no rights, and can do nothing but ask.

It reads requests up to their bounds, passes them on with the key that was shown, and writes what
comes back. Which key is right, and what it is for, the other process says.
"""

from __future__ import annotations

import asyncio
import json
import pkgutil
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from itertools import count
from typing import Any, cast

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from nacre.cli.api.actions import ACTIONS, MOST_FOLLOWING, Action
from nacre.cli.api.call import Problem
from nacre.cli.api.conversation import converse
from nacre.cli.api.http import PATIENCE, Patient, config_of, protocols
from nacre.cli.api.openapi import JSON, PROBLEM, document
from nacre.cli.api.pipe import (
    LONGEST_ANSWERED,
    LONGEST_BODY,
    AnswerEnd,
    AnswerPart,
    APIAnswer,
    APICall,
    CallDropped,
    CallMessage,
    MessageTaken,
    line_of,
    paired,
    value_of,
)
from nacre.daemon.control.place import peer_of
from nacre.daemon.processes.limits import allow_descriptors
from nacre.daemon.separate.gate import confine

_MOST_UNSENT = 1000
"""Parts of an answer that wait for a client which is slow: with more it is dropped."""

_LONGEST_KEY = 256
_MOST_PARAMETERS = 200

_ANSWER_WITHIN = 90.0
"""Seconds that the other process has: longer than each of its own bounds together."""

_STREAM = "/stream"
"""A path that is there while code is loaded."""

_WHOLE = ("", JSON, PROBLEM)
"""The media types of answers that have no further parts."""

_ALWAYS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Asking:
    """Calls of the other process.

    :param reader: reads the link, ``writer`` writes it.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Queue[object]] = {}
        self._taken: dict[int, asyncio.Event] = {}

    async def run(self) -> None:
        """Read answers until the other process is gone."""
        while line := await self._reader.readline():
            value = value_of(line)
            if isinstance(value, MessageTaken):
                if value.number in self._taken:
                    self._taken[value.number].set()
                continue
            queue = self._waiting.get(value.number)
            if queue is None:
                continue
            if queue.qsize() >= _MOST_UNSENT:
                self.drop(value.number)
                value = AnswerEnd(number=value.number)
            queue.put_nowait(value)

    async def ask(self, **members: Any) -> tuple[APIAnswer, asyncio.Queue[object]]:
        """Return an answer, and where further parts of it come."""
        number = next(self._numbers)
        queue: asyncio.Queue[object] = asyncio.Queue()
        self._waiting[number] = queue
        try:
            self._writer.write(line_of(APICall(number=number, **members)))
            async with asyncio.timeout(_ANSWER_WITHIN):
                await self._writer.drain()
                answer = await queue.get()
        except BaseException:
            self.drop(number)
            raise
        assert isinstance(answer, APIAnswer)
        return answer, queue

    async def say(self, number: int, text: str) -> None:
        """Pass on a message of the client of a call, and return when it was taken."""
        taken = self._taken[number] = asyncio.Event()
        try:
            self._writer.write(line_of(CallMessage(number=number, text=text)))
            await self._writer.drain()
            await taken.wait()
        finally:
            del self._taken[number]

    def drop(self, number: int) -> None:
        """Want nothing more of an answer."""
        if self._waiting.pop(number, None) is not None:
            self._writer.write(line_of(CallDropped(number=number)))

    def done(self, number: int) -> None:
        """Wait for nothing more of an answer that is complete."""
        self._waiting.pop(number, None)


class Front:
    """The application.

    :ivar asking: the other process; None before there is one.
    """

    def __init__(self) -> None:
        self.asking: Asking | None = None
        self._document = json.dumps(document()).encode()
        self._following: Counter[str] = Counter()
        routes: list[BaseRoute] = [
            Route(_route(action.path), self._endpoint(action), methods=[action.method])
            for action in ACTIONS
        ]
        routes += [
            WebSocketRoute(action.path, self._socket_endpoint(action))
            for action in ACTIONS
            if action.work == "socket"
        ]
        routes.append(WebSocketRoute(_STREAM, self._socket_once))
        routes.append(Route(_STREAM, self._stream_once))
        handlers: Any = {HTTPException: self._on_http, Exception: self._on_error}
        self.app: ASGIApp = Patient(Starlette(routes=routes, exception_handlers=handlers))

    def _endpoint(self, action: Action) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                return await self._answer(action, request)
            except Problem as problem:
                return _response(problem)

        return endpoint

    def _socket_endpoint(self, action: Action) -> Callable[[WebSocket], Awaitable[None]]:
        async def endpoint(websocket: WebSocket) -> None:
            try:
                await self._converse(action, websocket)
            except Problem as problem:
                await websocket.send_denial_response(_response(problem))
            except WebSocketDisconnect:
                pass

        return endpoint

    async def _on_http(self, _request: Request, error: Exception) -> Response:
        found = cast(HTTPException, error)
        return _response(Problem(found.status_code, found.detail, found.headers))

    async def _on_error(self, _request: Request, _error: Exception) -> Response:
        return _response(Problem(500, "the API has failed"))

    async def _stream_once(self, _request: Request) -> Response:
        """Answer with a stream that ends at once; before there is anybody to ask."""
        if self.asking is not None:
            raise HTTPException(404)

        async def parts() -> AsyncIterator[str]:
            yield "."

        return StreamingResponse(parts())

    async def _socket_once(self, websocket: WebSocket) -> None:
        """Answer a message of a WebSocket, and end it; before there is anybody to ask."""
        if self.asking is not None:
            await websocket.close()
            return
        parts: asyncio.Queue[object] = asyncio.Queue()

        async def say(text: str) -> None:
            parts.put_nowait(AnswerPart(number=0, text=text))
            parts.put_nowait(AnswerEnd(number=0))

        await converse(websocket, parts, say)

    async def _asked(
        self, action: Action, client: Request | WebSocket, body: str | None
    ) -> tuple[APIAnswer, asyncio.Queue[object]]:
        """Return the answer to a call, and where further parts of it come.

        :raises Problem: it can't be asked, or there is none.
        """
        if self.asking is None:
            raise Problem(503, "the API is starting")
        query = client.query_params.multi_items()
        if len(query) > _MOST_PARAMETERS:
            raise Problem(400, "there are too many parameters")
        host, port = client.client or ("", 0)
        try:
            return await self.asking.ask(
                action=action.name,
                token=_token(client),
                # A client of a Unix socket has an account, and no port.
                peer=f"{host}:{port}" if port else host,
                path=tuple(word for pair in client.path_params.items() for word in pair),
                query=tuple(word for pair in query for word in pair),
                body=body,
            )
        except TimeoutError:
            raise Problem(504, "the API does not answer") from None

    async def _answer(self, action: Action, request: Request) -> Response:
        if action.work == "document":
            return Response(self._document, media_type=JSON, headers=_ALWAYS)
        if action.work == "socket":
            upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
            raise Problem(426, "this is a WebSocket: ask for the upgrade", upgrade)
        answer, parts = await self._asked(action, request, await _body(request))
        headers = {**_ALWAYS, **dict(paired(answer.headers))}
        if answer.kind in _WHOLE:
            return self._whole(answer)
        self._begin_following(action, answer)
        over = partial(self._ended, action.name, answer.number)
        return _FollowedAnswer(
            _texts(parts), answer.status, headers, media_type=answer.kind, over=over
        )

    async def _converse(self, action: Action, websocket: WebSocket) -> None:
        answer, parts = await self._asked(action, websocket, None)
        if answer.kind in _WHOLE:
            await websocket.send_denial_response(self._whole(answer))
            return
        self._begin_following(action, answer)
        assert self.asking is not None
        try:
            await converse(websocket, parts, partial(self.asking.say, answer.number))
        finally:
            self._ended(action.name, answer.number)

    def _whole(self, answer: APIAnswer) -> Response:
        """Return an answer of which no more parts come."""
        assert self.asking is not None
        self.asking.done(answer.number)
        headers = {**_ALWAYS, **dict(paired(answer.headers))}
        return Response(answer.body, answer.status, headers, media_type=answer.kind or None)

    def _begin_following(self, action: Action, answer: APIAnswer) -> None:
        """Count a call that follows something.

        :raises Problem: there are too many.
        """
        assert self.asking is not None
        most = MOST_FOLLOWING[action.name]
        if self._following[action.name] >= most:
            # The other process may be done with those whose clients are slow: they wait here.
            self.asking.drop(answer.number)
            raise Problem(503, f"{most} calls follow this already")
        self._following[action.name] += 1

    def _ended(self, name: str, number: int) -> None:
        assert self.asking is not None
        self._following[name] -= 1
        self.asking.drop(number)


class _FollowedAnswer(StreamingResponse):
    """An answer without an end. Its parts are not asked for where the client has gone already.

    :param over: is called when it has ended, also then.
    """

    def __init__(self, *arguments: Any, over: Callable[[], object], **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._over = over

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._over()


async def _texts(parts: asyncio.Queue[object]) -> AsyncIterator[str]:
    while isinstance(part := await parts.get(), AnswerPart):
        yield part.text


def _route(path: str) -> str:
    """Return a path for starlette; a fingerprint and a network may have slashes."""
    for name in ("fingerprint", "network"):
        path = path.replace(f"{{{name}}}", f"{{{name}:path}}")
    return path


def _token(client: Request | WebSocket) -> str:
    kind, _, token = client.headers.get("authorization", "").partition(" ")
    return token.strip()[:_LONGEST_KEY] if kind.lower() == "bearer" else ""


async def _body(request: Request) -> str | None:
    """Return the body of a request.

    :raises Problem: it is too long, too slow, or no text of UTF-8.
    """
    found = bytearray()
    try:
        async with asyncio.timeout(PATIENCE):
            async for part in request.stream():
                found += part
                if len(found) > LONGEST_BODY:
                    close = {"Connection": "close"}
                    raise Problem(413, f"a body has at most {LONGEST_BODY} bytes", close)
    except TimeoutError:
        raise Problem(408, "the body does not come", {"Connection": "close"}) from None
    if not found:
        return None
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise Problem(415, f"the body is to be {JSON}")
    try:
        return found.decode()
    except UnicodeDecodeError:
        raise Problem(400, "the body is no text of UTF-8") from None


def _response(problem: Problem) -> Response:
    headers = {**_ALWAYS, **problem.headers}
    body = json.dumps(problem.members())
    return Response(body, int(problem.status), headers, media_type=PROBLEM)


_NOT_LOADED = ("pytest_plugin", "_trio")
"""Modules of anyio that are for others."""


async def _warm(factory: Callable[[], Any]) -> None:
    """Serve some requests, so that all code is loaded while there are files.

    anyio loads its modules when they are used first, so all of them are loaded here.
    """
    for module in pkgutil.walk_packages(anyio.__path__, "anyio."):
        if not module.name.endswith(_NOT_LOADED):
            import_module(module.name)
    loop = asyncio.get_running_loop()
    for path in ("/openapi.json", "/v1/health", "/nowhere", _STREAM):
        ours, theirs = socket.socketpair()
        await loop.connect_accepted_socket(factory, theirs)
        reader, writer = await asyncio.open_connection(sock=ours)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        async with asyncio.timeout(PATIENCE):
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 "), "the API does not answer"
        writer.close()
    await _warm_socket(factory)


_HANDSHAKE = (
    f"GET {_STREAM} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
).encode()
_HELLO = b"\x81\x81\0\0\0\0."
"""A WebSocket's first bytes of a client, and a message (RFC 6455, section 5.2)."""


async def _warm_socket(factory: Callable[[], Any]) -> None:
    """Serve a WebSocket, likewise."""
    ours, theirs = socket.socketpair()
    await asyncio.get_running_loop().connect_accepted_socket(factory, theirs)
    reader, writer = await asyncio.open_connection(sock=ours)
    writer.write(_HANDSHAKE)
    async with asyncio.timeout(PATIENCE):
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(_HELLO)
        said = await reader.readexactly(3)
    assert (head[:12], said) == (b"HTTP/1.1 101", b"\x81\x01."), "the API has no WebSocket"
    writer.transport.abort()


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontClients:
    """Where the clients of this process come from.

    :ivar sockets: the sockets that listen.
    :ivar tls: what clients have TLS with; None for none.
    :ivar owners: the accounts whose clients are served, of Unix sockets; None for any client.
    :ivar passes: the clients of other accounts go over this, to the process that asks for keys.
    :ivar passed: such clients come over this.
    """

    sockets: list[socket.socket]
    tls: ssl.SSLContext | None = None
    owners: frozenset[int] | None = None
    passes: socket.socket | None = None
    passed: socket.socket | None = None

    def serves(self, sock: socket.socket) -> bool:
        """Tell whether a client is for this process; pass it on if it is for the other one."""
        if self.owners is None or peer_of(sock)[1] in self.owners:
            return True
        if self.passes is not None:
            # Where nobody takes it, it is closed: the server says nothing to it.
            with suppress(OSError):
                socket.send_fds(self.passes, [b"."], [sock.fileno()], socket.MSG_DONTWAIT)
        return False


def _take_passed(passed: socket.socket, factory: Callable[[], Any]) -> None:
    """Serve clients that another process has accepted."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[Any]] = set()

    def on_readable() -> None:
        data, descriptors, _, _ = socket.recv_fds(passed, 1, 1)
        if not data:
            loop.remove_reader(passed)  # there is no other process
        for descriptor in descriptors:
            sock = socket.socket(fileno=descriptor)
            task = loop.create_task(loop.connect_accepted_socket(factory, sock))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    loop.add_reader(passed, on_readable)


def main(
    link: socket.socket, alive: int, listening: FrontClients, rights: tuple[int, int] | None
) -> None:
    """Serve until the other processes are gone."""
    allow_descriptors()
    asyncio.run(_run(link, alive, listening, rights))


async def _run(
    link: socket.socket, alive: int, listening: FrontClients, rights: tuple[int, int] | None
) -> None:
    loop = asyncio.get_running_loop()
    front = Front()
    config = config_of(front.app)
    await _warm(protocols(config))
    factory = protocols(config, listening.serves)
    confine(rights)
    over = asyncio.Event()
    loop.add_reader(alive, over.set)
    front.asking = Asking(*await asyncio.open_connection(sock=link, limit=LONGEST_ANSWERED))
    tls = listening.tls
    patience = None if tls is None else PATIENCE
    for sock in listening.sockets:
        await loop.create_server(
            factory, sock=sock, ssl=tls, ssl_handshake_timeout=patience, backlog=128
        )
    if listening.passed is not None:
        _take_passed(listening.passed, factory)
    running = asyncio.create_task(front.asking.run())
    ending = asyncio.create_task(over.wait())
    await asyncio.wait({running, ending}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        running.result()
