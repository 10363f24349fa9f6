"""The log of the server as server-sent events, as HTML's standard has them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nacre.cli.api.call import CheckedCall, Problem
from nacre.daemon.control.place import connected
from nacre.daemon.control.requests import Follow, written
from nacre.daemon.control.values import (
    ControlError,
    Logged,
    Lost,
    Rejected,
    json_line,
    value_of,
)
from nacre.limits import MIB

_LONGEST = 1 * MIB
"""Bytes of a line of the server."""

_QUIET = 15.0
"""Seconds after which a comment is sent, by which a client that is gone is noticed."""

COMMENT = ":\n\n"


async def follow(state: Path, call: CheckedCall) -> AsyncGenerator[str, None]:
    """Yield events: each record of the log, and how many were lost; first a comment.

    :raises Problem: the server does not answer, or refuses.
    """
    asked = Follow(
        users=tuple(call.query.get("user", ())), events=tuple(call.query.get("event", ()))
    )
    loop = asyncio.get_running_loop()
    try:
        sock = await loop.run_in_executor(None, connected, state)
        reader, writer = await asyncio.open_connection(sock=sock, limit=_LONGEST)
    except (ControlError, OSError) as error:
        raise Problem(503, str(error)) from None
    try:
        writer.write(json_line(written("log", asked)))
        yield COMMENT
        async with aclosing(_events(reader)) as events:
            async for text in events:
                yield text
    finally:
        writer.transport.abort()


async def _events(reader: asyncio.StreamReader) -> AsyncGenerator[str, None]:
    while True:
        reading = asyncio.ensure_future(reader.readline())
        try:
            while not reading.done():
                await asyncio.wait({reading}, timeout=_QUIET)
                if not reading.done():
                    yield COMMENT
            line = reading.result()
        except (OSError, ValueError):
            return
        finally:
            reading.cancel()
        if not line:
            return
        try:
            value = value_of(line)
        except ControlError:
            return
        if isinstance(value, Rejected):
            yield _event("rejected", {"reason": value.reason})
            return
        if isinstance(value, Logged):
            yield _event("log", value.record)
        elif isinstance(value, Lost):
            yield _event("lost", asdict(value))


def _event(name: str, data: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
