"""The parties of the tests: a handler with commands to test with, and a client for a server."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from struct import pack
from typing import Any

import nacre

PASSWORD = "open sesame"


async def handle(session: nacre.Session) -> int | None:
    """Run the command; some take numbers as arguments."""
    command = (session.command or b"shell").decode()
    name, *words = command.split()
    numbers = [int(word) for word in words if word.isdigit()]
    match name:
        case "cat":
            while data := await session.stdin.read(1 << 18):
                await session.stdout.write(data)
        case "print":
            await write_both(session, *numbers)
        case "exit":
            return numbers[0]
        case "kill":
            session.exit_signal("TERM", message="as asked")
        case "raise":
            raise ValueError("as asked")
        case "hang":
            await asyncio.Event().wait()
        case "say-and-hang":
            await session.stdout.write(b"out")
            await session.stderr.write(b"err")
            await asyncio.Event().wait()
        case "env":
            lines = (f"{k}={v}\n" for k, v in sorted(session.environment.items()))
            await session.stdout.write("".join(lines).encode())
        case "close-stdout":
            session.stdout.write_eof()
            session.stderr.write_eof()
            await session.stdin.read()
        case "shell":
            async for line in session.stdin:
                await session.stdout.write(b"> " + line)
    return None


async def write_both(session: nacre.Session, out: int, err: int) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(session.stdout.write(bytes(out)))
        group.create_task(session.stderr.write(b"e" * err))


def _payload(part: str, status: int) -> bytes:
    match part:
        case "status":
            return b"\x62" + pack(">II", 0, 11) + b"exit-status\0" + pack(">I", status)
        case "signal":
            named = b"exit-signal\0" + pack(">I", 4) + b"KILL\0" + pack(">II", 0, 0)
            return b"\x62" + pack(">II", 0, 11) + named
        case "disconnect":
            return b"\x01" + pack(">III", 11, 0, 0)
        case "eof":
            return b"\x60" + pack(">I", 0)
        case "close":
            return b"\x61" + pack(">I", 0)
    raise AssertionError(part)


def hangs_up_after(*parts: str, status: int = 0, reset: bool = False) -> Any:
    """Return a handler that prints on both streams, sends ``parts``, and ends the connection."""

    async def handler(session: nacre.Session) -> None:
        connection: Any = session.connection
        await session.stdout.write(b"answer\n")
        await session.stderr.write(b"note\n")
        for part in parts:
            connection.engine._outbox.send_parts(_payload(part, status), b"")
        await session.stdout.drain()
        connection.driver.flush()
        transport = connection.driver.transport
        if reset:
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
            transport.abort()
        else:
            transport.close()
        await asyncio.Event().wait()

    return handler


def client_for(server: nacre.Server, **options: Any) -> Any:
    """Connect to a test's server; returns what ``nacre.connect`` does."""
    options = {
        "user": "alice",
        "password": PASSWORD,
        "keys": [],
        "agent": False,
        "trust": nacre.AnyHostKey(),
        "timeout": 20.0,
        **options,
    }
    return nacre.connect("127.0.0.1", server.port, **options)


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition that other tasks make true soon."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))
