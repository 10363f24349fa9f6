"""A bulk transfer beside interactive sessions on one connection starves none of them."""

from __future__ import annotations

import asyncio
import statistics

import nacre

SESSIONS = 100
ROUNDS = 20
FRAME = 32 * 1024

MOST_FRAMES = 160
"""Frames of the bulk transfer that come between a key and its echo, for 99 of 100 keys.

What the sockets' buffers hold, and both ends hold sealed or unread, is ahead of an echo anyway:
about 64. The bulk's whole window, which grows to 32 MiB, or 1,024 frames, must not be.
"""


class Everybody(nacre.Users):
    async def session_request(self, session: nacre.Session, request: object) -> bool:
        return True


async def handle(session: nacre.Session) -> int:
    if session.command == b"bulk":
        block = bytes(8 * FRAME)
        while True:
            await session.stdout.write(block)
    while data := await session.stdin.read(1024):
        await session.stdout.write(data)
    return 0


async def test_echoes_beside_a_bulk_transfer() -> None:
    limits = nacre.Limits(sessions=SESSIONS + 1)
    key = nacre.generate("ssh-ed25519")
    async with (
        nacre.listen(
            host_keys=[nacre.generate("ssh-ed25519")],
            policy=Everybody({"alice": key.public}),
            handler=handle,
            limits=limits,
        ) as server,
        nacre.connect(
            "127.0.0.1",
            server.port,
            user="alice",
            keys=[key],
            agent=False,
            trust=nacre.AnyHostKey(),
            limits=limits,
        ) as connection,
    ):
        moved, moves = 0, asyncio.Event()

        async def transfer() -> None:
            nonlocal moved
            async with connection.process("bulk") as bulk:
                while data := await bulk.stdout.read(1 << 20):
                    moved += len(data)
                    moves.set()

        waits: list[int] = []

        async def interact() -> None:
            async with connection.process("echo") as echo:
                for _ in range(ROUNDS):
                    before = moved
                    await echo.stdin.write(b"x")
                    assert await echo.stdout.readexactly(1) == b"x"
                    waits.append((moved - before) // FRAME)
                echo.stdin.write_eof()
                await echo.wait()

        bulk = asyncio.create_task(transfer())
        async with asyncio.timeout(50):
            await moves.wait()
            await asyncio.gather(*(interact() for _ in range(SESSIONS)))
        bulk.cancel()
        await asyncio.gather(bulk, return_exceptions=True)
    assert len(waits) == SESSIONS * ROUNDS
    assert moved > 100 * FRAME, "the transfer went on meanwhile"
    assert statistics.quantiles(waits, n=100)[98] <= MOST_FRAMES, sorted(waits)[-50:]
