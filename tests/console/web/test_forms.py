"""Forms, and whence they come. tests/console/test_app.py has more, with whole requests."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from nacre.console.web import forms as module
from nacre.console.web.forms import check_origin, read_form

KIND = (b"content-type", b"application/x-www-form-urlencoded")


def request(*parts: bytes, endless: bool = False) -> Request:
    sent = [{"type": "http.request", "body": one, "more_body": True} for one in parts]
    messages = iter([*sent, {"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Any:
        if endless:
            await asyncio.Event().wait()
        return next(messages)

    scope = {"type": "http", "method": "POST", "headers": [KIND, (b"host", b"a.test")]}
    return Request(scope, receive)


async def test_fields_are_read_and_the_last_one_counts() -> None:
    found = await read_form(request(b"a=1&b=%C3%A4+", b"x&empty=&a=2"))
    assert found == {"a": "2", "b": "ä x", "empty": ""}


async def test_a_form_that_does_not_come_is_waited_for_so_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FORM_PATIENCE", 0.01)
    with pytest.raises(HTTPException) as raised:
        await read_form(request(endless=True))
    assert raised.value.status_code == 408


async def test_a_long_form_is_not_read_to_its_end() -> None:
    with pytest.raises(HTTPException) as raised:
        await read_form(request(*[b"x" * 8192] * 9))
    assert raised.value.status_code == 413


@pytest.mark.parametrize(
    ("headers", "fits"),
    [
        ({}, True),
        ({"origin": "http://a.test:8080", "host": "a.test:8080"}, True),
        ({"origin": "https://a.test", "host": "a.test", "sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"origin": "http://a.test:8081", "host": "a.test:8080"}, False),
        ({"origin": "null", "host": "a.test"}, False),
        ({"origin": "", "host": "a.test"}, False),
        ({"origin": "http://a.test@b.test", "host": "a.test"}, False),
        ({"origin": "http://[", "host": "a.test"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
    ],
)
def test_a_page_of_another_site_sends_nothing(headers: dict[str, str], fits: bool) -> None:
    if fits:
        check_origin(headers)
        return
    with pytest.raises(HTTPException) as raised:
        check_origin(headers)
    assert raised.value.status_code == 403
