"""A WebSocket in the process with the HTTP of strangers: its messages go to the other process.

A message is passed on when the one before was taken. Meanwhile none is read, so whoever sends more
than is taken waits, and uses no memory here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from starlette.websockets import WebSocket, WebSocketDisconnect

from nacre.cli.api.pipe import AnswerPart

UNSUPPORTED, OVER = 1003, 1000
"""Codes of a close: the message is no text; nothing more is said (RFC 6455, section 7.4.1)."""

Say = Callable[[str], Awaitable[None]]


async def converse(websocket: WebSocket, parts: asyncio.Queue[object], say: Say) -> None:
    """Pass messages on until one of the two sides has ended.

    :param parts: what is for the client.
    :param say: returns when a message of the client was taken.
    """
    await websocket.accept()
    sending = asyncio.create_task(_send(websocket, parts))
    receiving = asyncio.create_task(_receive(websocket, say))
    tasks = {sending, receiving}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    code = OVER
    if not receiving.cancelled():
        found = receiving.result()
        if found is None:
            return  # the client has gone
        code = found
    with suppress(WebSocketDisconnect, RuntimeError):  # the client has gone
        await websocket.close(code)


async def _send(websocket: WebSocket, parts: asyncio.Queue[object]) -> None:
    while isinstance(part := await parts.get(), AnswerPart):
        if part.text:
            await websocket.send_text(part.text)


async def _receive(websocket: WebSocket, say: Say) -> int | None:
    """Read messages; return the code of the close, None if the client has gone."""
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        text = message.get("text")
        if text is None:
            return UNSUPPORTED
        await say(text)
