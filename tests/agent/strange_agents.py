"""Agents that misbehave, on a socket of their own."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable

Behave = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def agent_that(behave: Behave) -> AsyncIterator[str]:
    """Serve each connection by ``behave``, and yield the socket's path.

    What still runs at the end is cancelled.
    """
    directory = tempfile.mkdtemp(dir="/tmp")  # the path of a socket is short
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behave(reader, writer)
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(serve(reader, writer)))

    try:
        async with await asyncio.start_unix_server(accept, f"{directory}/agent"):
            yield f"{directory}/agent"
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0)  # the transports are closed in the next turn
    finally:
        shutil.rmtree(directory)
