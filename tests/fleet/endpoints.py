"""Endpoints for a fleet: servers of nacre, and ports that refuse, hang and die."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import nacre
from nacre.fleet import FleetHost
from parties import PASSWORD

LOGIN: dict[str, Any] = {
    "user": "alice",
    "password": PASSWORD,
    "keys": [],
    "agent": False,
    "trust": nacre.AnyHostKey(),
    "config": None,
}
"""How to log in to the servers of tests."""


def at(name: str, port: int, address: str = "127.0.0.1", **variables: str) -> FleetHost:
    """Return the host of a port on a loopback address."""
    return FleetHost(name, address, port, None, variables)


@asynccontextmanager
async def saying(text: bytes, *, closes: bool = False) -> AsyncIterator[int]:
    """Listen on a port, say ``text`` to a client, and then nothing, or close."""
    release = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        if not closes:
            await release.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        release.set()
        server.close()
        await server.wait_closed()


async def free_port() -> int:
    """Return a port on which nobody listens."""
    async with saying(b"") as port:
        return port
