"""Forms with files, in whatever pieces they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

from nacre.console.web import bodies
from nacre.console.web.bodies import SentFiles

FORM = (
    b'--b\r\nContent-Disposition: form-data; name="csrf"\r\n\r\nkey\r\n'
    b'--b\r\nContent-Disposition: form-data; name="replace"\r\n\r\n\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a%22\xc3\xbc.txt"\r\n'
    b"Content-Type: text/plain\r\n\r\none\r\n--x\r\n-\r\n"
    b'--b\r\ncontent-disposition: form-data; name="file"; filename=""\r\n\r\n\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="two"\r\n\r\n\r\n'
    b"--b--\r\n"
)


async def pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
async def test_a_form_is_read_whatever_its_pieces(size: int) -> None:
    form = SentFiles(pieces(FORM, size), "b")
    await form.begin()
    assert form.fields == {"csrf": "key", "replace": ""}
    found = {}
    async for name, content in form.files():
        found[name] = b"".join([piece async for piece in content])
    assert found == {'a"ü.txt': b"one\r\n--x\r\n-", "two": b""}


async def test_a_file_that_is_not_read_is_skipped() -> None:
    form = SentFiles(pieces(FORM, 5), "b")
    await form.begin()
    assert [name async for name, _ in form.files()] == ['a"ü.txt', "two"]


@pytest.mark.parametrize(
    "form",
    [
        b"",
        b"x--b\r\n",
        FORM[:-6],
        FORM[:100],
        b"--b\r\n\r\nno name\r\n--b--\r\n",
        b"--b\r\n" + b"a" * 10_000 + b"\r\n\r\n\r\n--b--\r\n",
        b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"a" * 5000 + b"\r\n--b--\r\n",
        b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' * 30 + b"--b--\r\n",
    ],
)
async def test_a_form_that_is_broken_or_too_long_is_refused(form: bytes) -> None:
    sent = SentFiles(pieces(form, 100), "b")

    async def read() -> None:
        await sent.begin()
        async for _ in sent.files():
            pass

    with pytest.raises(HTTPException) as raised:
        await read()
    assert raised.value.status_code in (400, 413)
    assert raised.value.headers == {"Connection": "close"}


async def test_the_fields_of_a_form_are_bounded_together() -> None:
    field = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"a" * 4000 + b"\r\n"
    with pytest.raises(HTTPException) as raised:
        await SentFiles(pieces(field * 18 + b"--b--\r\n", 1000), "b").begin()
    assert raised.value.status_code == 413
    await SentFiles(pieces(field * 10 + b"--b--\r\n", 1000), "b").begin()


async def test_the_fields_of_a_form_have_so_long_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(bodies, "FORM_PATIENCE", 0.01)
    headers = [(b"content-type", b"multipart/form-data; boundary=b")]
    request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
    async with asyncio.timeout(25):
        with pytest.raises(HTTPException) as raised:
            await bodies.read_files(request)
    assert (raised.value.status_code, raised.value.headers) == (408, {"Connection": "close"})
