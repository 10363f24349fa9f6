"""The parties of the tests: a handler with commands to test with, and a client for a server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
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
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))
