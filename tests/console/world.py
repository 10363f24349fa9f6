"""The console with the API's own checks and actions behind it, in one process."""

from __future__ import annotations

import asyncio
import json
import re
import warnings
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import bcrypt
import httpx
import pytest

from nacre.cli.api.actions import ACTIONS, Action
from nacre.cli.api.call import Problem, Resources
from nacre.cli.api.calls import running
from nacre.cli.api.judge import KeyJudge, call_of
from nacre.cli.api.openapi import document
from nacre.cli.api.pipe import APICall
from nacre.cli.api.recordings.asking import RecordingsLink
from nacre.cli.api.streams.recording_stream import recorded
from nacre.console.app import console_app
from nacre.console.web.calls import APIRefused, ConsoleAPI
from nacre.daemon.control.requests import Kill
from nacre.daemon.control.values import Connected, Details, Killed, Running
from nacre.daemon.store.values import StoredUser
from nacre.errors import NacreError
from nacre.server.admission.networks import NetworkSet, parse_networks

with warnings.catch_warnings():
    # It asks for another package in place of httpx, which it takes nevertheless.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

PASSWORD = "right words"
# One that is verified at once: tests sign in often.
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
HOST = "console.test"

ROLES = {"ada": "admin", "otto": "auditor", "uma": "user", "nina": "none"}
"""The users of a world, with their roles."""


class DirectAPI(httpx.AsyncBaseTransport):
    """Judges calls, and does them, as the back of the API does.

    :ivar calls: the names of the actions that were called, with the user or key.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self.judge = KeyJudge(resources)
        self.calls: list[tuple[str, str]] = []
        self.events: list[dict[str, Any]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raw, _, query = request.url.raw_path.decode().partition("?")
        found = _found(request.method, unquote(raw))
        if found is None:
            return httpx.Response(404, json=Problem(404, "Not Found").members())
        action, path = found
        if action.work == "document":
            return httpx.Response(200, json=document())
        words = tuple(word for pair in parse_qsl(query) for word in pair)
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        text = (await request.aread()).decode() or None
        asked = APICall(
            number=1, action=action.name, token=token, peer="x", path=path, query=words, body=text
        )
        try:
            permit = self.judge.judge(asked)
            self.calls.append((permit.key, action.name))
            call = call_of(asked, permit)
            if action.name == "recordings.show":
                texts = [one async for one in recorded(self._resources, call)]
                return httpx.Response(200, content="".join(texts))
            if action.work == "follow":
                return httpx.Response(200, content=self._stream())
            done = action.perform(self._resources, call)
        except Problem as problem:
            return httpx.Response(int(problem.status), json=problem.members())
        except NacreError as error:
            return httpx.Response(422, json=Problem(422, str(error)).members())
        return httpx.Response(action.status, content=b"" if done is None else json.dumps(done))

    async def _stream(self) -> AsyncIterator[bytes]:
        for event in self.events:
            yield b":\n\n"
            name = event.get("event", "connections")
            yield f"event: {name}\ndata: {json.dumps(event)}\n\n".encode()


def _found(method: str, path: str) -> tuple[Action, tuple[str, ...]] | None:
    for action in ACTIONS:
        pattern = re.sub(r"\{(fingerprint|network)\}", r"(?P<\1>.+)", action.path)
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)
        if action.method == method and (match := re.fullmatch(pattern, path)):
            return action, tuple(word for pair in match.groupdict().items() for word in pair)
    return None


class Browser:
    """A browser with its own cookies, which sends forms as a page has them.

    :ivar client: starlette's.
    """

    def __init__(self, world: World, *, secure: bool = False, **headers: str) -> None:
        scheme = "https" if secure else "http"
        self.client = TestClient(
            world.app,
            base_url=f"{scheme}://{HOST}",
            follow_redirects=False,
            headers={"Origin": f"{scheme}://{HOST}", **headers},
            client=("192.0.2.7", 50000),
            raise_server_exceptions=False,
        )

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.client.get(path, **more)

    def sign_in(self, name: str, password: str = PASSWORD, code: str = "") -> httpx.Response:
        key = re.search(r'name="key" value="([^"]+)"', self.get("/sign-in").text)
        fields = {"name": name, "password": password, "code": code}
        return self.client.post("/sign-in", data={**fields, "key": key[1] if key else ""})

    def socket(self, path: str, **headers: str) -> Any:
        """Open a WebSocket, as a page of the console does."""
        return self.client.websocket_connect(f"ws://{HOST}{path}", headers=headers)

    def csrf(self) -> str:
        found = re.search(r'name="csrf" value="([^"]+)"', self.get("/you").text)
        assert found is not None
        return found[1]

    def post(self, path: str, **fields: str) -> httpx.Response:
        """Send a form with the key of this session."""
        return self.client.post(path, data={"csrf": self.csrf(), **fields})

    def told(self, answer: httpx.Response) -> str:
        """Return the notice of the page that an answer leads to."""
        assert answer.status_code == 303, answer.text
        page = self.get(answer.headers["location"]).text
        found = re.search(r'class="notice" role="status">([^<]*)<', page)
        return unescape(found[1]) if found else ""


class FakeAPISocket:
    """A WebSocket of the API, which says what it was told, and then each message that it gets.

    :ivar sent: what it was told; ``closed`` whether it was closed.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.sent: list[Any] = []
        self.closed = False
        self._texts: asyncio.Queue[str | None] = asyncio.Queue()

    async def __aiter__(self) -> AsyncIterator[str]:
        while (text := await self._texts.get()) is not None:
            yield text

    async def send(self, message: Mapping[str, Any]) -> None:
        self.sent.append(message)
        # Control-D ends the shell.
        typed = message.get("typed")
        said = {"event": "end", "status": 0} if typed == "\x04" else {"event": "output", **message}
        self._texts.put_nowait(json.dumps(said))
        if typed == "\x04":
            self._texts.put_nowait(None)


class World:
    """The users of :data:`ROLES`, the API, and the console.

    :ivar connections: those of the server; ``killed`` the requests to end some.
    """

    def __init__(
        self,
        state: Path,
        *,
        secure: bool = False,
        proxies: str = "",
        origin: str = "",
        recordings: RecordingsLink | None = None,
    ) -> None:
        self.resources = Resources(state, recordings)
        for name, role in ROLES.items():
            self.resources.store.add(StoredUser(name=name, role=role, password=HASH))
        key = self.resources.store.api_keys.create("console", ["sessions:write"])
        self.direct = DirectAPI(self.resources)
        http = httpx.AsyncClient(transport=self.direct, base_url="http://api.test")
        self.api = ConsoleAPI(key, http, self.dial)
        self.sockets: list[FakeAPISocket] = []
        self.refuses: APIRefused | None = None
        networks = NetworkSet(parse_networks([proxies] if proxies else []))
        self.app = console_app(self.api, secure=secure, proxies=networks, origin=origin)
        self.connections: list[Connected] = []
        self.killed: list[Kill] = []

    def browser(self, name: str = "", **headers: str) -> Browser:
        """Return a new browser, in which a user has signed in."""
        found = Browser(self, secure=False, **headers)
        if name:
            assert found.sign_in(name).status_code == 303
        return found

    @asynccontextmanager
    async def dial(self, token: str, path: str) -> AsyncIterator[FakeAPISocket]:
        """Stand in for the WebSockets of the API: what is judged is whether they may be opened."""
        found = _found("GET", unquote(path.partition("?")[0]))
        assert found is not None
        asked = APICall(
            number=1,
            action=found[0].name,
            token=token,
            peer="x",
            path=found[1],
            query=(),
            body=None,
        )
        try:
            permit = self.direct.judge.judge(asked)
        except Problem as problem:
            raise APIRefused(int(problem.status), problem.detail) from None
        self.direct.calls.append((permit.key, found[0].name))
        if self.refuses is not None:
            raise self.refuses
        sock = FakeAPISocket(path)
        self.sockets.append(sock)
        try:
            yield sock
        finally:
            sock.closed = True

    def caller(self, _state: Path) -> _Caller:
        """Stand in for the control socket."""
        return _Caller(self)

    def event(self, at: float) -> dict[str, Any]:
        """Return what the API tells who follows the connections."""
        found = [asdict(one) for one in self.connections]
        return {"connections": found, "silent": 0, "at": at}


class _Caller:
    silent = 0

    def __init__(self, world: World) -> None:
        self._world = world

    def __enter__(self) -> _Caller:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def ask(self, name: str, request: Any) -> Iterator[Any]:
        if name == "who":
            yield from self._world.connections
            return
        self._world.killed.append(request)
        for one in self._world.connections:
            if one.id in request.ids or one.user == request.user:
                yield Killed(id=one.id, user=one.user)


@contextmanager
def at_home(world: World, name: str) -> Iterator[Browser]:
    """Have a browser whose requests share a loop, in which a user has signed in."""
    browser = Browser(world)
    with browser.client as client:
        assert browser.sign_in(name).status_code == 303
        try:
            yield browser
        finally:
            assert client.portal is not None
            client.portal.call(world.app.close)


@contextmanager
def world_at(state: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Iterator[World]:
    """Have a world up to the end of the context."""
    world = World(state, **options)
    monkeypatch.setattr(running, "ControlCaller", world.caller)
    try:
        yield world
    finally:
        world.resources.store.close()


def connected(user: str, what: str = "", number: str = "1.1", **details: Any) -> Connected:
    """Return a connection with a session."""
    session = Running(channel=0, request="command", what=what, terminal=False)
    counts: dict[str, Any] = {"idle": 3.0, "received": 1000, "sent": 2048, "sessions": 1}
    counts |= {"forwards": 0, "listens": 0, "running": (session,), **details}
    return Connected(
        id=number,
        user=user,
        state="open",
        peer="192.0.2.9:4711",
        since=1.0,
        methods=("publickey",),
        process=7,
        details=Details(**counts),
    )
