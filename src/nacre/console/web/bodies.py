"""Bodies of requests that are long: files that browsers send, read as they come."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request

from nacre.console.web.forms import FORM_PATIENCE, LONGEST, check_origin
from nacre.limits import KIB

PATIENCE = 30.0
"""Seconds that a client has for the next bytes."""

SLOWEST = 1 * KIB
"""Bytes per second that a client has to send, counted after :data:`PATIENCE`."""

_LONGEST_HEAD = 8 * KIB
_LONGEST_FIELD = 4 * KIB
_MOST_FIELDS = 20
_CLOSE = {"Connection": "close"}

_MULTIPART = re.compile(r'multipart/form-data\s*;.*?\bboundary="?([!-~]{1,70}?)"?\s*(?:;.*)?', re.I)
_NAME = re.compile(rb'^content-disposition:[^\r\n]*?;\s*name="([^"\r\n]*)"', re.I | re.M)
_FILENAME = re.compile(rb'^content-disposition:[^\r\n]*?;\s*filename="([^"\r\n]*)"', re.I | re.M)


async def patient(
    request: Request, clock: Callable[[], float] | None = None
) -> AsyncGenerator[bytes, None]:
    """Yield the body of a request in pieces.

    :param clock: returns seconds; by default that of the loop.
    :raises HTTPException: it comes too slowly.
    """
    clock = asyncio.get_running_loop().time if clock is None else clock
    began, count = clock(), 0
    async with aclosing(request.stream()) as pieces:
        while True:
            try:
                async with asyncio.timeout(PATIENCE):
                    piece = await anext(pieces, None)
            except TimeoutError:
                raise _slow() from None
            if piece is None:
                return
            count += len(piece)
            if count < (clock() - began - PATIENCE) * SLOWEST:
                raise _slow()
            if piece:
                yield piece


def _slow() -> HTTPException:
    return HTTPException(408, "what is sent comes too slowly", _CLOSE)


@dataclass(frozen=True, slots=True)
class SentPart:
    """A part of a form: a field, or a file.

    :ivar filename: the name that the browser gives the file; None for a field.
    """

    name: str
    filename: str | None


class SentFiles:
    """A form with files (RFC 7578), whose fields come first, read part by part.

    :ivar fields: the fields before the first file.
    """

    def __init__(self, pieces: AsyncIterator[bytes], boundary: str) -> None:
        self.fields: dict[str, str] = {}
        self._pieces = pieces
        self._mark = b"\r\n--" + boundary.encode("ascii")
        self._held = bytearray(b"\r\n")
        self._first: SentPart | None = None

    async def begin(self) -> None:
        """Read up to the first file.

        :raises HTTPException: this is no form.
        """
        async for _ in self._content():
            raise _wrong()  # something before the first part
        count, size = 0, 0
        while (part := await self._part()) is not None and part.filename is None:
            found = bytearray()
            async for piece in self._content():
                found += piece
                if len(found) > _LONGEST_FIELD:
                    raise _too_long()
            count, size = count + 1, size + len(part.name) + len(found)
            if size > LONGEST:
                raise _too_long()
            if count > _MOST_FIELDS:
                raise _too_long()
            self.fields[part.name] = found.decode("utf-8", "replace")
        self._first = part

    async def files(self) -> AsyncGenerator[tuple[str, AsyncIterator[bytes]], None]:
        """Yield the names and the contents of files; each has to be read before the next one.

        A file input without a file is left out.

        :raises HTTPException: the form is broken off.
        """
        part, self._first = self._first, None
        while part is not None:
            content = self._content()
            if part.filename:
                yield part.filename, content
            async for _ in content:  # what was not read
                pass
            part = await self._part()

    async def _part(self) -> SentPart | None:
        """Return the next part, when what is before it was read; None at the end."""
        while len(self._held) < 2:
            await self._fill()
        if self._held[:2] == b"--":
            return None
        while (end := self._held.find(b"\r\n\r\n")) < 0:
            if len(self._held) > _LONGEST_HEAD:
                raise _wrong()
            await self._fill()
        head = bytes(self._held[:end])
        del self._held[: end + 4]
        if (name := _NAME.search(head)) is None:
            raise _wrong()
        filename = _FILENAME.search(head)
        given = None if filename is None else _unescaped(filename[1])
        return SentPart(_unescaped(name[1]), given)

    async def _content(self) -> AsyncGenerator[bytes, None]:
        """Yield what is before the next mark, and skip that."""
        while (end := self._held.find(self._mark)) < 0:
            kept = len(self._mark) - 1
            if len(self._held) > kept:
                piece = bytes(self._held[:-kept])
                del self._held[:-kept]
                yield piece
            await self._fill()
        piece = bytes(self._held[:end])
        del self._held[: end + len(self._mark)]
        if piece:
            yield piece

    async def _fill(self) -> None:
        piece = await anext(self._pieces, None)
        if piece is None:
            raise _wrong()
        self._held += piece


def _unescaped(name: bytes) -> str:
    text = name.decode("utf-8", "replace")
    for escaped, one in (("%22", '"'), ("%0D", "\r"), ("%0A", "\n")):
        text = text.replace(escaped, one)
    return text


def _too_long() -> HTTPException:
    return HTTPException(413, "the form is too long", _CLOSE)


def _wrong() -> HTTPException:
    return HTTPException(400, "the form can't be read", _CLOSE)


async def read_files(request: Request) -> SentFiles | None:
    """Return the beginning of a form with files; None if it has none.

    :raises HTTPException: it is broken or too slow, or a page of another site has sent it.
    """
    check_origin(request.headers)
    form = _MULTIPART.fullmatch(request.headers.get("content-type", ""))
    if form is None:
        return None
    found = SentFiles(patient(request), form[1])
    try:
        async with asyncio.timeout(FORM_PATIENCE):
            await found.begin()
    except TimeoutError:
        raise _slow() from None
    return found
