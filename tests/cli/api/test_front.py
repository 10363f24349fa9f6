"""The application: what it asks of a request, and what it makes of the answer."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from nacre.cli.api import front as front_module
from nacre.cli.api.actions import MOST_FOLLOWING
from nacre.cli.api.front import Asking, Front, FrontClients
from nacre.cli.api.pipe import (
    AnswerEnd,
    AnswerPart,
    APIAnswer,
    APICall,
    CallDropped,
    line_of,
    value_of,
)

Reply = Callable[[APICall], list[object]]


def answer(call: APICall, status: int = 200, kind: str = "application/json") -> APIAnswer:
    return APIAnswer(number=call.number, status=status, kind=kind, headers=("X-A", "b"), body="{}")


class Peer:
    """The other process: it keeps what it is told.

    :ivar front: the one that asks.
    """

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.front = Front()
        self.told: list[Any] = []
        self.changed = asyncio.Event()

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            value = value_of(line)
            self.told.append(value)
            self.changed.set()
            if isinstance(value, APICall):
                writer.writelines(line_of(one) for one in self.reply(value))


@asynccontextmanager
async def joined(reply: Reply) -> AsyncIterator[tuple[httpx.AsyncClient, Peer]]:
    peer = Peer(reply)
    front = peer.front
    ours, theirs = socket.socketpair()
    front.asking = Asking(*await asyncio.open_connection(sock=ours))
    reader, writer = await asyncio.open_connection(sock=theirs)
    tasks = [asyncio.create_task(front.asking.run()), asyncio.create_task(peer.run(reader, writer))]
    transport = httpx.ASGITransport(front.app)
    try:
        async with (
            asyncio.timeout(20),
            httpx.AsyncClient(transport=transport, base_url="http://x") as http,
        ):
            yield http, peer
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for one in (front.asking._writer, writer):
            one.transport.abort()


async def test_a_request_becomes_a_call() -> None:
    async with joined(lambda call: [answer(call, 207)]) as (http, peer):
        found = await http.request(
            "DELETE",
            "/v1/users/bob/keys/SHA256:a%2Fb?q=1&q=2",
            headers={"Authorization": "bearer  key"},
        )
        assert (found.status_code, found.json(), found.headers["x-a"]) == (207, {}, "b")
        assert found.headers["cache-control"] == "no-store"
        (call,) = peer.told
    assert call.action == "keys.remove"
    assert call.path == ("name", "bob", "fingerprint", "SHA256:a/b")
    assert (call.query, call.token, call.body) == (("q", "1", "q", "2"), "key", None)


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"Content-Type": "application/json; charset=utf-8"}, b'{"a": 1}', 200),
        ({"Content-Type": "text/plain"}, b"{}", 415),
        ({}, b"{}", 415),
        ({"Content-Type": "application/json"}, b"\xff", 400),
        ({"Content-Type": "application/json"}, b"x" * 65537, 413),
    ],
)
async def test_a_body_is_json_of_a_bounded_length(
    headers: dict[str, str], content: bytes, status: int
) -> None:
    async with joined(lambda call: [answer(call)]) as (http, peer):
        found = await http.post("/v1/users", content=content, headers=headers)
        assert found.status_code == status
        assert [call.body for call in peer.told] == ([content.decode()] if status == 200 else [])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("GET", "/stream", 404), ("POST", "/v1/health", 405)],
)
async def test_what_is_not_there_is_a_problem(method: str, path: str, status: int) -> None:
    async with joined(lambda call: []) as (http, peer):
        found = await http.request(method, path)
        assert (found.status_code, found.json()["status"]) == (status, status)
        assert found.headers["content-type"] == "application/problem+json"
        assert (await http.get("/openapi.json")).json()["openapi"] == "3.1.0"
        assert (await http.get("/v1/users", params={"a": ["b"] * 201})).status_code == 400
        assert peer.told == []


async def test_a_stream_goes_on_until_its_end() -> None:
    def stream(call: APICall) -> list[object]:
        parts: list[object] = [AnswerPart(number=call.number, text=text) for text in "ab"]
        begun = APIAnswer(
            number=call.number, status=200, kind="text/event-stream", headers=(), body=""
        )
        return [begun, *parts, AnswerEnd(number=call.number)]

    async with joined(stream) as (http, _):
        assert (await http.get("/v1/log")).text == "ab"


async def test_a_stream_that_is_not_read_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front_module, "_MOST_UNSENT", 2)

    def flood(call: APICall) -> list[object]:
        begun = APIAnswer(
            number=call.number, status=200, kind="text/event-stream", headers=(), body=""
        )
        return [begun, *(AnswerPart(number=call.number, text="x") for _ in range(50))]

    async with joined(flood) as (http, peer):
        await http.get("/v1/log")
        while not any(isinstance(one, CallDropped) for one in peer.told):
            peer.changed.clear()
            await peer.changed.wait()


async def test_a_stream_that_can_not_begin_is_dropped() -> None:
    front, told = Front(), asyncio.Event()
    ours, theirs = socket.socketpair()
    front.asking = Asking(*await asyncio.open_connection(sock=ours))
    reader, writer = await asyncio.open_connection(sock=theirs)

    async def reply() -> None:
        call = value_of(await reader.readline())
        writer.write(line_of(answer(call, kind="text/event-stream")))
        assert isinstance(value_of(await reader.readline()), CallDropped)
        told.set()

    messages = iter([{"type": "http.request", "body": b""}])

    async def receive() -> Any:
        if (found := next(messages, None)) is None:
            await asyncio.Event().wait()
        return found

    async def send(_message: Any) -> None:
        raise OSError("the client does not read what came before")

    tasks = [asyncio.create_task(front.asking.run()), asyncio.create_task(reply())]
    scope = {"type": "http", "method": "GET", "path": "/v1/log", "headers": [], "query_string": b""}
    await front.app({**scope, "state": {}, "client": ("x", 1)}, receive, send)
    async with asyncio.timeout(30):
        await told.wait()
    assert front.asking._waiting == {}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for one in (front.asking._writer, writer):
        one.transport.abort()


async def test_what_slow_clients_have_not_read_is_bounded() -> None:
    def stream(call: APICall) -> list[object]:
        begun = answer(call, kind="application/x-asciicast")
        return [begun, AnswerPart(number=call.number, text="x"), AnswerEnd(number=call.number)]

    async with joined(stream) as (http, peer):
        path = "/v1/recordings/2030-01-02/a.cast"
        front = peer.front
        front._following["recordings.show"] = MOST_FOLLOWING["recordings.show"] - 1
        assert (await http.get(path)).text == "x"
        front._following["recordings.show"] += 1
        assert (await http.get(path)).status_code == 503
        assert front.asking is not None
        assert front.asking._waiting == {}


async def test_an_answer_that_does_not_come_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front_module, "_ANSWER_WITHIN", 0.1)
    async with joined(lambda call: []) as (http, peer):
        assert (await http.get("/v1/users")).status_code == 504
        assert isinstance(peer.told[0], APICall)


def accepted(**more: Any) -> tuple[FrontClients, socket.socket, socket.socket]:
    """Return where clients come from, and both ends of the connection of one of this account."""
    ours, theirs = socket.socketpair()
    return FrontClients(sockets=[], **more), ours, theirs


def test_clients_of_other_accounts_are_passed_on() -> None:
    passes, gets = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with passes, gets:
        listening, ours, theirs = accepted(owners=frozenset({os.geteuid() + 1}), passes=passes)
        with ours, theirs:
            assert not listening.serves(theirs)
            _, (descriptor,), _, _ = socket.recv_fds(gets, 1, 1)
            with socket.socket(fileno=descriptor) as passed:
                ours.sendall(b"x")
                assert passed.recv(2) == b"x"


def test_clients_of_its_accounts_are_served_and_so_are_all_where_none_are_named() -> None:
    for owners in (frozenset({os.geteuid()}), None):
        listening, ours, theirs = accepted(owners=owners)
        with ours, theirs:
            assert listening.serves(theirs)


def test_clients_that_nobody_takes_are_not_served() -> None:
    passes, gets = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    gets.close()
    with passes:
        listening, ours, theirs = accepted(owners=frozenset[int](), passes=passes)
        with ours, theirs:
            assert not listening.serves(theirs)
