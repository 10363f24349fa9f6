"""Connections without end: no client keeps those of other networks out."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from daemon.served import Server, make_state, serving

ATTACKER = "127.0.0.2"
SILENT = 400
LIMIT = 100
"""The last number of the default of MaxStartups."""


async def silent(server: Server, stack: ExitStack) -> None:
    """Connect from the attacker's address, and wait for what the server says first."""
    sock = socket.socket()
    stack.enter_context(sock)
    sock.setblocking(False)
    sock.bind((ATTACKER, 0))
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", server.port))
    assert await loop.sock_recv(sock, 1)


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "3"])
async def test_silent_connections_keep_nobody_else_out(tmp_path: Path, workers: str) -> None:
    """Without a fair share, those who come last are refused until the login grace time is over."""
    state = make_state(tmp_path)
    words = ("--workers", workers, "-o", "PerSourcePenalties=no")
    with ExitStack() as stack:
        async with serving(state, *words) as server:
            await asyncio.gather(*(silent(server, stack) for _ in range(SILENT)))
            # Each has to be admitted at the first try, and to have the time for its login.
            for _ in range(20):
                async with server.connect() as ssh:
                    assert (await ssh.run("echo in")).stdout == "in\n"
            others = [server.connect() for _ in range(20)]
            for connection in await asyncio.gather(*others):
                assert (await connection.run("echo in")).stdout == "in\n"
                await connection.close()
            server.process.terminate()
            assert await server.end() == 0
    events = Counter(
        (word, ATTACKER in line)
        for line in server.lines
        for word in ("accepted", "dropped", "authenticated")
        if f" event={word} " in line
    )
    assert events["authenticated", False] == 40
    assert LIMIT // 2 < events["accepted", True] <= LIMIT
    assert 0 < events["dropped", True] < SILENT - LIMIT
    assert events["dropped", False] == 0
    assert any("others want in" in line for line in server.lines)
