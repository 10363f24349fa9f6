"""Forms with files, in whatever pieces they come."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from starlette.exceptions import HTTPException

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
