"""Answers with the contents of files: sent in pieces, at the pace of who reads them."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from nacre.console.files.archives import archive, listed
from nacre.console.files.names import disposition, name_of
from nacre.console.files.previews import HEAD, SANDBOX, image_type
from nacre.console.files.ranges import Unsatisfiable, asked_range
from nacre.console.web.calls import APIRefused
from nacre.console.web.file_connections import AHEAD
from nacre.console.web.visit import BrowserVisit
from nacre.limits import KIB
from nacre.sftp.client.client import SFTPClient
from nacre.sftp.client.file import SFTPFile

PIECE = 64 * KIB
"""Bytes that are sent at once: a client has some seconds to read them."""

_BINARY = "application/octet-stream"


class _HeldAnswer(StreamingResponse):
    """An answer that holds something open until it has been sent, or the client has gone.

    :param stack: closes it.
    """

    def __init__(self, *arguments: Any, stack: AsyncExitStack, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with self._stack:
                await super().__call__(scope, receive, send)
        except APIRefused:
            # It is too late to tell why: the connection is closed, and the browser says so.
            raise ClientDisconnect from None


async def size_of(sftp: SFTPClient, path: str) -> tuple[int, str]:
    """Return the size of a file, and a text that changes with it (``ETag``).

    :raises APIRefused: it is no plain file.
    """
    found = await sftp.stat(path)
    if stat.S_IFMT(found.st_mode) not in (0, stat.S_IFREG):
        raise APIRefused(422, "this is no plain file")
    return found.st_size, f'"{int(found.st_mtime * 1000):x}-{found.st_size:x}"'


async def downloaded(visit: BrowserVisit, path: str) -> Response:
    """Return a file, or the part of it that is asked for.

    :raises APIRefused: there is no such file.
    """
    async with AsyncExitStack() as stack:
        sftp = await stack.enter_async_context(visit.console.files.transfer(visit.own))
        size, tag = await size_of(sftp, path)
        headers = {"Accept-Ranges": "bytes", "ETag": tag}
        headers["Content-Disposition"] = disposition(name_of(path))
        headers["Content-Security-Policy"] = SANDBOX
        asked = visit.request.headers
        wanted = asked.get("range", "") if asked.get("if-range", tag) == tag else ""
        try:
            part = asked_range(wanted, size)
        except Unsatisfiable:
            return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
        begin, end = (0, size) if part is None else part
        headers["Content-Length"] = str(end - begin)
        if part is not None:
            headers["Content-Range"] = f"bytes {begin}-{end - 1}/{size}"
        status = 200 if part is None else 206
        if visit.request.method == "HEAD":
            return Response(status_code=status, headers=headers, media_type=_BINARY)
        file = await stack.enter_async_context(await sftp.open(path, "rb"))
        file.ahead = AHEAD
        await file.seek(begin)
        pieces = _pieces(file, end - begin)
        held = stack.pop_all()
    return _HeldAnswer(pieces, status, headers, media_type=_BINARY, stack=held)


async def _pieces(file: SFTPFile, left: int) -> AsyncIterator[bytes]:
    while left and (piece := await file.read(min(left, PIECE))):
        left -= len(piece)
        yield piece
    # A file that has become shorter: the length that was told is not reached, and the browser
    # takes the download as broken off.


async def image(visit: BrowserVisit, path: str) -> Response:
    """Return an image, of a format that browsers show without running anything.

    :raises APIRefused: it is none.
    """
    async with AsyncExitStack() as stack:
        sftp = await stack.enter_async_context(visit.console.files.transfer(visit.own))
        size, _ = await size_of(sftp, path)
        file = await stack.enter_async_context(await sftp.open(path, "rb"))
        file.ahead = AHEAD
        kind = image_type(await file.read(HEAD))
        if kind is None:
            raise APIRefused(415, "this is no image that can be shown")
        await file.seek(0)
        held = stack.pop_all()
    headers = {"Content-Security-Policy": SANDBOX, "Content-Disposition": "inline"}
    return _HeldAnswer(_pieces(file, size), 200, headers, media_type=kind, stack=held)


async def zipped(visit: BrowserVisit, path: str) -> Response:
    """Return a directory as an archive.

    :raises APIRefused: it is too large, or there is none.
    """
    async with AsyncExitStack() as stack:
        sftp = await stack.enter_async_context(visit.console.files.transfer(visit.own))
        files = await listed(sftp, path)
        held = stack.pop_all()
    name = "files" if path == "/" else name_of(path)
    headers = {
        "Content-Disposition": disposition(f"{name}.zip"),
        "Content-Security-Policy": SANDBOX,
    }
    media = "application/zip"
    return _HeldAnswer(archive(sftp, files), 200, headers, media_type=media, stack=held)
