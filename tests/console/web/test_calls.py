"""Calls of the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from nacre.console.web import calls as module
from nacre.console.web.calls import APIRefused, ConsoleAPI, path_of


def no_dial(_token: str, _path: str) -> Any:
    raise AssertionError


def api_of(answer: httpx.Response | Exception) -> ConsoleAPI:
    def handle(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    http = httpx.AsyncClient(transport=httpx.MockTransport(handle), base_url="http://api.test")
    return ConsoleAPI("key", http, no_dial)


def test_no_name_can_leave_its_part_of_the_path() -> None:
    assert path_of("users", "alice", "keys") == "/v1/users/alice/keys"
    assert path_of("users", "../bans?x#y") == "/v1/users/..%2Fbans%3Fx%23y"
    assert path_of("users", "..") == "/v1/users/%2E%2E"
    assert path_of("users", ".") == "/v1/users/%2E"
    assert path_of("users", "a\udcff") == "/v1/users/a%FF"


@pytest.mark.parametrize(
    ("answer", "status", "detail"),
    [
        (httpx.Response(409, json={"detail": "there is one"}), 409, "there is one"),
        (httpx.Response(500, content=b"nonsense"), 500, "the API answers with status 500"),
        (httpx.Response(502, json=["x"]), 502, "the API answers with status 502"),
        (httpx.ConnectError("refused"), 503, "the API does not answer: refused"),
        (httpx.ReadTimeout(""), 503, "the API does not answer: ReadTimeout"),
    ],
)
async def test_a_call_that_fails_says_why(
    answer: httpx.Response | Exception, status: int, detail: str
) -> None:
    api = api_of(answer)
    with pytest.raises(APIRefused) as raised:
        await api.call("token", "GET", "/v1/users")
    assert (raised.value.status, raised.value.detail) == (status, detail)
    with pytest.raises(APIRefused):
        async with api.stream("token", "/v1/connections/live"):
            pass
    await api.close()


async def test_a_stream_has_the_data_of_events_and_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def lines() -> AsyncIterator[bytes]:
        yield b':\n\nevent: x\ndata: {"a": 1}\n\n'
        yield b'data: "' + b"x" * 100 + b'"\n\n'

    monkeypatch.setattr(module, "_LONGEST_LINE", 50)
    api = api_of(httpx.Response(200, content=lines()))
    async with api.stream("token", "/x") as events:
        assert await anext(events) == ("x", {"a": 1})
        with pytest.raises(APIRefused, match="more than fits"):
            await anext(events)
    await api.close()


async def test_the_document_is_read_once() -> None:
    answers = iter([httpx.Response(200, json={"openapi": "3.1.0"})])
    http = httpx.AsyncClient(
        transport=httpx.MockTransport(lambda _: next(answers)), base_url="http://api.test"
    )
    api = ConsoleAPI("", http, no_dial)
    assert await api.document() == await api.document() == {"openapi": "3.1.0"}
    await api.close()
