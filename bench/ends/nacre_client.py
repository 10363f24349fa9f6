"""nacre as a client: does what its argument says, as JSON, and prints the seconds it took."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from io import FileIO
from pathlib import Path

import nacre

JOB = json.loads(sys.argv[1])
ALGORITHMS = nacre.algorithms(ciphers=[JOB["cipher"]])
KEY = nacre.load_private(Path(JOB["key"]).read_bytes())
INIT = bytes.fromhex("0000000501 00000003")
FEW = 3
APART = 0.02
"""Seconds between the end of a session and the start of the next one."""

GREETED = 8
"""How many of the connections to hold log in at once."""


def connect():
    return nacre.connect(
        "127.0.0.1",
        JOB["port"],
        user=JOB["user"],
        keys=[KEY],
        agent=False,
        trust=nacre.AnyHostKey(),
        algorithms=ALGORITHMS,
        timeout=60,
    )


async def login(limit: asyncio.Semaphore) -> None:
    async with limit, connect() as connection:
        assert (await connection.run("true")).exit_status == 0


async def stats(sftp: nacre.SFTPClient, count: int) -> None:
    for _ in range(count):
        await sftp.stat(JOB["path"])


async def download(connection: nacre.Connection) -> None:
    async with connection.process(f"cat {JOB['remote']}") as process:
        with FileIO(JOB["local"], "w") as sink:
            while block := await process.stdout.read(1 << 20):
                sink.write(block)
        assert await process.wait() == 0


async def upload(connection: nacre.Connection) -> None:
    async with connection.process(f"cat > {JOB['remote']}") as process:
        with FileIO(JOB["local"]) as source:
            while block := source.read(1 << 20):
                await process.stdin.write(block)
        process.stdin.write_eof()
        assert await process.wait() == 0


async def start_sftp(connection: nacre.Connection) -> float:
    begin = time.perf_counter()
    async with connection.process(subsystem="sftp") as process:
        await process.stdin.write(INIT)
        await process.stdout.readexactly(len(INIT))  # VERSION
        return time.perf_counter() - begin


async def start_command(connection: nacre.Connection, term: str | None = None) -> float:
    begin = time.perf_counter()
    async with connection.process("true", term=term) as process:
        process.stdin.write_eof()
        assert await process.wait() == 0
        return time.perf_counter() - begin


STARTS: dict[str, Callable[[nacre.Connection], Awaitable[float]]] = {
    "sftp": start_sftp,
    "command": start_command,
    "terminal": partial(start_command, term="xterm"),
}


async def starts(connection: nacre.Connection, what: str, count: int) -> float:
    """Return the median of the times, after a few that load what is loaded on first use."""
    times = []
    for _ in range(FEW + count):
        times.append(await STARTS[what](connection))
        await asyncio.sleep(APART)
    return statistics.median(times[FEW:])


async def hold() -> None:
    """Open connections, say so, ask all for an answer at each SIGUSR1, and stay until SIGTERM."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    limit = asyncio.Semaphore(GREETED)
    async with AsyncExitStack() as stack:

        async def enter() -> nacre.Connection:
            async with limit:
                return await stack.enter_async_context(connect())

        held = await asyncio.gather(*(enter() for _ in range(JOB["count"])))

        async def ask() -> None:
            begin = time.perf_counter()
            async with asyncio.timeout(120):
                await asyncio.gather(*(connection.keepalive() for connection in held))
            print(f"answered {len(held)} {time.perf_counter() - begin:.3f}", flush=True)

        asked: list[asyncio.Task[None]] = []
        loop.add_signal_handler(signal.SIGUSR1, lambda: asked.append(loop.create_task(ask())))
        print("ready", flush=True)
        await stop.wait()
        for connection in held:
            connection.abort()
        stack.pop_all()


async def main() -> float | None:
    begin = time.perf_counter()
    if JOB["do"] == "hold":
        await hold()
        return None
    if JOB["do"] == "login":
        limit = asyncio.Semaphore(JOB["at_once"])
        await asyncio.gather(*(login(limit) for _ in range(JOB["count"])))
        return time.perf_counter() - begin
    async with connect() as connection:
        if JOB["do"] == "start":
            return await starts(connection, JOB["what"], JOB["count"])
        if JOB["do"] in ("down", "up"):
            await (download if JOB["do"] == "down" else upload)(connection)
            return time.perf_counter() - begin
        if JOB["do"] == "exec":
            begin = time.perf_counter()
            for _ in range(JOB["count"]):
                assert (await connection.run("true")).exit_status == 0
            return time.perf_counter() - begin
        async with connection.sftp() as sftp:
            if JOB.get("warm") or JOB["do"] == "stat":
                begin = time.perf_counter()
            if JOB["do"] == "get":
                await sftp.get(JOB["remote"], JOB["local"], recursive=JOB.get("tree", False))
            elif JOB["do"] == "put":
                await sftp.put(JOB["local"], JOB["remote"], recursive=JOB.get("tree", False))
            else:
                share = JOB["count"] // JOB["at_once"]
                await asyncio.gather(*(stats(sftp, share) for _ in range(JOB["at_once"])))
            return time.perf_counter() - begin


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(asyncio.run(main())))
