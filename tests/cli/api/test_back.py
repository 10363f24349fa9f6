"""The process that does what is asked for, told by one that may have been taken over."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nacre.cli.api import back as back_module
from nacre.cli.api.back import Back
from nacre.cli.api.calls import signing_in
from nacre.cli.api.judge import KeyJudge
from nacre.cli.api.pipe import (
    LONGEST_MESSAGE,
    AnswerEnd,
    AnswerPart,
    APIAnswer,
    APICall,
    CallDropped,
    CallMessage,
    MessageTaken,
    line_of,
    value_of,
)
from nacre.cli.api.streams.messages import CallMessages
from nacre.daemon.audit.events import EVENTS
from nacre.daemon.audit.search import Search
from nacre.daemon.audit.table import FILE as AUDIT_FILE
from nacre.daemon.audit.table import AuditTable
from nacre.daemon.control.values import ControlError
from nacre.daemon.store.api_keys import SCOPES
from nacre.daemon.store.store import FILE, UserStore


def asked(action: str, token: str, number: int, body: str | None = None) -> APICall:
    usual: dict[str, Any] = {"peer": "192.0.2.1:5", "path": (), "query": ()}
    return APICall(number=number, action=action, token=token, body=body, **usual)


class Link:
    """The other end of the link."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.number = 0

    async def ask(self, action: str, token: str = "", **more: Any) -> tuple[int, Any]:
        """Return the status and the body of an answer."""
        self.number += 1
        usual: dict[str, Any] = {"peer": "192.0.2.1:5", "path": (), "query": (), "body": None}
        members = {**usual, "number": self.number, "action": action, "token": token, **more}
        self.writer.write(line_of(APICall(**members)))
        answer = await self.answer()
        assert answer.number == self.number
        return answer.status, json.loads(answer.body) if answer.body else None

    async def answer(self) -> APIAnswer:
        found = value_of(await self.reader.readline())
        assert isinstance(found, APIAnswer)
        return found


@pytest.fixture
def token(tmp_path: Path) -> str:
    store = UserStore(tmp_path / FILE)
    try:
        return store.api_keys.create("admin", SCOPES)
    finally:
        store.close()


@asynccontextmanager
async def running(
    state: Path, *, audited: bool = False
) -> AsyncIterator[tuple[Link, asyncio.Task[None]]]:
    ours, theirs = socket.socketpair()
    alive, kept = os.pipe()
    back = Back(state, audited=audited)
    task = asyncio.create_task(back.run(theirs, alive))
    link = Link(*await asyncio.open_connection(sock=ours, limit=1 << 24))
    try:
        async with asyncio.timeout(30):
            yield link, task
    finally:
        os.close(kept)
        await asyncio.gather(task, return_exceptions=True)
        link.writer.transport.abort()
        os.close(alive)
        back._resources.store.close()


async def test_it_judges_keys_itself(tmp_path: Path, token: str) -> None:
    async with running(tmp_path) as (link, _):
        assert (await link.ask("users.list"))[0] == 401
        assert (await link.ask("users.list", token[:-1]))[0] == 401
        assert await link.ask("users.list", token) == (200, {"users": [], "next": None})
        assert (await link.ask("users.list", token, query=("limit",)))[0] == 500
        assert (await link.ask("users.add", token, body="{"))[0] == 400
        assert (await link.ask("nonsense", token))[0] == 404


async def test_without_a_server_there_is_no_health_and_no_log(tmp_path: Path, token: str) -> None:
    async with running(tmp_path) as (link, _):
        assert (await link.ask("health"))[0] == 503
        assert (await link.ask("connections.list", token))[0] == 503
        assert (await link.ask("log.follow", token))[0] == 503
        status, problem = await link.ask("groups.add", token, body='{"name": "staff"}')
        assert (status, problem["detail"][:13]) == (500, "this was done")
        assert (await link.ask("groups.list", token))[1]["groups"][0]["name"] == "staff"


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\n",
        b"{}\n",
        b'{"apicall": {"number": "1"}}\n',
        b'{"apicall": {}, "calldropped": {}}\n',
        b'{"killed": {"id": "1", "user": ""}}\n',
        line_of(CallDropped(number=1))[:-3] + b"\n",
    ],
)
async def test_what_is_no_message_ends_it(tmp_path: Path, line: bytes) -> None:
    async with running(tmp_path) as (link, task):
        link.writer.write(line)
        with pytest.raises(ControlError):
            await task


async def test_a_line_that_is_too_long_ends_it(tmp_path: Path) -> None:
    async with running(tmp_path) as (link, task):
        link.writer.write(b"x" * (3 << 20))
        with pytest.raises(ValueError, match="limit"):
            await task


async def test_calls_are_bounded_and_numbers_are_not_used_twice(
    tmp_path: Path, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(back_module, "MOST_CALLS", 0)
    async with running(tmp_path) as (link, _):
        assert (await link.ask("users.list", token))[0] == 503


async def test_sign_ins_hold_up_no_other_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, over = threading.Event(), threading.Event()

    def held(_password: bytes) -> bool:
        begun.set()
        return over.wait(30)

    monkeypatch.setattr(signing_in, "verify_unknown", held)
    monkeypatch.setattr(back_module, "MOST_SIGN_INS", 3)
    store = UserStore(tmp_path / FILE)
    keys = [store.api_keys.create(name, SCOPES) for name in ("console", "admin")]
    store.close()
    body = json.dumps({"name": "nobody", "password": "x", "address": "192.0.2.1"})
    async with running(tmp_path) as (link, _):
        try:
            calls = [asked("sessions.add", keys[0], number, body) for number in range(100, 104)]
            link.writer.writelines(line_of(one) for one in calls)
            assert await asyncio.to_thread(begun.wait, 30)
            assert (await link.answer()).status == 429
            new = json.dumps({"name": "staff"})
            link.number = 200
            # It is done; there is no server to log it.
            assert (await link.ask("groups.add", keys[1], body=new))[0] == 500
            assert (await link.ask("groups.list", keys[1]))[1]["groups"][0]["name"] == "staff"
        finally:
            over.set()
        assert {(await link.answer()).status for _ in range(3)} == {401}


async def test_a_call_that_takes_too_long_is_answered(
    tmp_path: Path, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as (link, _):
        assert (await link.ask("users.list", token))[0] == 200
        monkeypatch.setattr(back_module, "PATIENCE", 0)
        status, problem = await link.ask("users.list", token)
        assert (status, problem["title"]) == (504, "Gateway Timeout")


async def test_who_follows_the_log_is_cut_off_when_the_key_is_revoked(
    tmp_path: Path, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def endless(_state: Path, _call: object) -> AsyncIterator[str]:
        while True:
            yield ":"
            await asyncio.sleep(0)

    monkeypatch.setattr(back_module, "follow", endless)
    monkeypatch.setattr(back_module, "LOOK_AGAIN", 0)
    async with running(tmp_path) as (link, _):
        assert await link.ask("log.follow", token) == (200, None)
        assert value_of(await link.reader.readline()) == AnswerPart(number=1, text=":")
        store = UserStore(tmp_path / FILE)
        await asyncio.to_thread(store.api_keys.revoke, "admin")
        while (part := value_of(await link.reader.readline())) != AnswerEnd(number=1):
            assert isinstance(part, AnswerPart)
        store.close()


async def test_a_stream_that_fails_has_an_end(
    tmp_path: Path, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(_state: Path, _call: object) -> AsyncIterator[str]:
        yield ":"
        raise OSError("the disk is broken")

    monkeypatch.setattr(back_module, "follow", failing)
    async with running(tmp_path) as (link, _):
        assert await link.ask("log.follow", token) == (200, None)
        assert value_of(await link.reader.readline()) == AnswerPart(number=1, text=":")
        assert (await link.answer()).status == 500


async def test_messages_are_taken_one_by_one_and_keep_the_session_alive(
    tmp_path: Path, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def echo(_state: Path, _call: object, messages: CallMessages) -> AsyncIterator[str]:
        yield ""
        async for text in messages:
            yield text

    seen: list[bool] = []

    def holds(_judge: KeyJudge, _asked: APICall, *, used: bool) -> bool:
        seen.append(used)
        return True

    monkeypatch.setattr(back_module, "join", echo)
    monkeypatch.setattr(back_module, "LOOK_AGAIN", 0)
    monkeypatch.setattr(KeyJudge, "holds", holds)
    async with running(tmp_path) as (link, _):
        path = ("id", "1.1")
        assert await link.ask("connection.join", token, path=path) == (101, None)
        found = [value_of(await link.reader.readline())]
        for text in ("a", "b"):
            link.writer.write(line_of(CallMessage(number=1, text=text)))
            found += [value_of(await link.reader.readline()) for _ in range(2)]
        taken = MessageTaken(number=1)
        parts = [AnswerPart(number=1, text=text) for text in ("", "a", "b")]
        assert found[0] == parts[0]
        assert [one for one in found if one != taken] == parts
        assert found.count(taken) >= 1
        assert seen == [True, True]


@pytest.mark.parametrize("texts", [("a", "b"), ("x" * (LONGEST_MESSAGE + 1),)])
async def test_a_process_that_sends_more_than_is_taken_loses_the_call(
    tmp_path: Path, token: str, monkeypatch: pytest.MonkeyPatch, texts: tuple[str, ...]
) -> None:
    ended = asyncio.Event()

    async def deaf(_state: Path, _call: object, _messages: object) -> AsyncIterator[str]:
        try:
            yield ""
            await asyncio.Event().wait()
        finally:
            ended.set()

    monkeypatch.setattr(back_module, "join", deaf)
    async with running(tmp_path) as (link, _):
        assert await link.ask("connection.join", token, path=("id", "1.1")) == (101, None)
        for text in texts:
            link.writer.write(line_of(CallMessage(number=1, text=text)))
        await ended.wait()


async def test_messages_of_no_call_are_ignored(tmp_path: Path, token: str) -> None:
    async with running(tmp_path) as (link, _):
        link.writer.write(line_of(CallMessage(number=7, text="x")))
        assert (await link.ask("users.list", token))[0] == 200


async def test_it_ends_when_the_first_process_has(tmp_path: Path) -> None:
    async with running(tmp_path) as (link, task):
        link.writer.close()
        await task


class Heard:
    """Stands in for the control socket."""

    def __init__(self, _state: Path) -> None:
        pass

    def __enter__(self) -> Heard:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def ask(self, _name: str, _told: object) -> list[object]:
        return []


async def test_the_audit_has_the_address_of_a_sign_in_that_was_refused(
    tmp_path: Path, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(back_module, "ControlCaller", Heard)
    AuditTable(tmp_path / AUDIT_FILE, create=True).close()
    body = json.dumps({"name": "eve", "password": "x", "address": "203.0.113.9"})
    async with running(tmp_path, audited=True) as (link, _):
        assert (await link.ask("sessions.add", token, body=body))[0] == 401
        assert (await link.ask("users.list", token))[0] == 200
    table = AuditTable(tmp_path / AUDIT_FILE, create=False)
    try:
        found = [json.loads(one.fields) for one in Search().events(table)]
    finally:
        table.close()
    refused, other = found
    assert refused["client"] == "203.0.113.9"
    assert "client" not in other
    assert all(one.keys() <= EVENTS["api"] for one in found)


async def test_what_is_polled_is_logged_where_it_is_refused_alone(
    tmp_path: Path, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, int]] = []
    monkeypatch.setattr(Back, "_tell", lambda _, one: told.append((one.action, one.status)))
    AuditTable(tmp_path / AUDIT_FILE, create=True).close()
    query = ("event", "login")
    async with running(tmp_path) as (link, _):
        assert (await link.ask("audit.count", token, query=query))[0] == 200
        assert (await link.ask("audit.count", token[:-1], query=query))[0] == 401
        assert (await link.ask("users.list", token))[0] == 200
    assert told == [("audit.count", 401), ("users.list", 200)]
