"""The HTTP of ``--metrics``: two pages, for whoever reaches the port, within bounds.

Only what a scraper needs of HTTP/1.1 (RFC 9112) is here: a request's line and headers are read up
to a bound, and after the answer the connection is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

from nacre.limits import KIB
from nacre.value import value

MOST_CONNECTIONS = 32
"""Connections at once; a further one is closed."""

LONGEST_HEAD = 8 * KIB
"""Bytes of a request's line and headers."""

PATIENCE = 5.0
"""Seconds that a client has for its request, and again for reading the answer."""

_TEXT = "text/plain; charset=utf-8"


@value
class HTTPAnswer:
    """An answer.

    :ivar status: the status code and its text.
    :ivar body: what it says.
    :ivar kind: its media type.
    """

    status: str
    body: bytes
    kind: str = _TEXT


Page = Callable[[], HTTPAnswer]

_BAD = HTTPAnswer("400 Bad Request", b"this is no request\n")
_LONG = HTTPAnswer("431 Request Header Fields Too Large", b"the request is too long\n")
_METHOD = HTTPAnswer("405 Method Not Allowed", b"use GET\n")
_NOWHERE = HTTPAnswer("404 Not Found", b"there are /metrics and /health\n")


class HTTPPages:
    """Serves pages from a listening socket.

    :param pages: what answers the GET of each path.
    """

    def __init__(self, pages: Mapping[str, Page]) -> None:
        self._pages = pages
        self._open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and close the connection."""
        try:
            if self._open < MOST_CONNECTIONS:
                self._open += 1
                try:
                    await self._serve(reader, writer)
                finally:
                    self._open -= 1
        finally:
            # What was not read by then is dropped, and the connection with it.
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(PATIENCE):
                try:
                    head = await reader.readuntil(b"\r\n\r\n")
                except asyncio.IncompleteReadError:
                    return
                except asyncio.LimitOverrunError:
                    head = b""
            answer, bare = self._answer(head) if head else (_LONG, False)
            async with asyncio.timeout(PATIENCE):
                writer.write(_encoded(answer, bare=bare))
                await writer.drain()
                writer.write_eof()
                # The client closes when it has read the answer.
                while await reader.read(KIB):
                    pass

    def _answer(self, head: bytes) -> tuple[HTTPAnswer, bool]:
        """Return the answer to a request, and whether it has no body."""
        words = head.partition(b"\r\n")[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return _BAD, False
        method, target = words[0], words[1].partition(b"?")[0]
        if method not in (b"GET", b"HEAD"):
            return _METHOD, False
        page = self._pages.get(target.decode("latin-1"))
        return (_NOWHERE if page is None else page()), method == b"HEAD"


def _encoded(answer: HTTPAnswer, *, bare: bool) -> bytes:
    lines = (
        f"HTTP/1.1 {answer.status}",
        f"Content-Type: {answer.kind}",
        f"Content-Length: {len(answer.body)}",
        "Cache-Control: no-store",
        "Connection: close",
    )
    head = "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"
    return head if bare else head + answer.body
