"""Where a running server logs to, and what a manager of services hears of it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from daemon.served import NACRE, Server, make_state, serving

LAYOUTS = [["--gates", "0"], ["--gates", "1"], ["--workers", "2"]]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return make_state(tmp_path)


@asynccontextmanager
async def started(state: Path, *words: str, **environment: str) -> AsyncIterator[Server]:
    """Start a server that need not say on standard error that it is ready."""
    process = await asyncio.create_subprocess_exec(
        *(str(NACRE), "serve", "--state", str(state), "--listen", "127.0.0.1:0", *words),
        stderr=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    server = Server(process)
    try:
        yield server
    finally:
        if process.returncode is None:
            process.kill()
        await server.end()


async def until(found: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while True:
            if found():
                return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_every_line_of_a_log_of_json_is_json(state: Path, layout: list[str]) -> None:
    async with started(state, "--log-format", "json", "-o", "Protocol=2", *layout) as server:
        ready = json.loads(await server.until('"listening"'))
        server.port = int(ready["address"].rpartition(":")[2])
        async with server.connect() as ssh:
            await ssh.run("true")
        server.process.terminate()
        await server.end()
        records = [json.loads(line) for line in server.lines]
        events = [record["event"] for record in records]
        assert {"listening", "accepted", "authenticated", "closed"} <= set(events)
        (login,) = (one for one in records if one["event"] == "authenticated")
        assert (login["user"], login["level"], type(login["connection"])) == ("alice", "info", int)


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_a_log_file_is_opened_again(state: Path, tmp_path: Path, layout: list[str]) -> None:
    file, old = tmp_path / "log", tmp_path / "log.1"
    async with started(state, "--log-to", str(file), *layout) as server:
        await until(lambda: file.exists() and "listening on" in file.read_text())
        server.port = int(file.read_text().partition("127.0.0.1:")[2].split()[0])
        async with server.connect() as ssh:
            await ssh.run("true")
        await until(lambda: "event=closed" in file.read_text())
        file.rename(old)
        os.kill(server.process.pid, signal.SIGUSR1)
        await until(file.exists)
        before = old.read_text()
        for _ in range(4):  # with workers, one of them may not have heard of it yet
            async with server.connect() as ssh:
                await ssh.run("true")
        await until(lambda: "event=closed" in file.read_text())
        assert "event=listening" not in before
        server.process.terminate()
        await server.end()
        assert "".join(server.lines) == ""


async def test_a_log_file_that_is_gone_for_good_ends_nothing(state: Path, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    file = tmp_path / "logs" / "log"
    async with started(state, "--log-to", str(file), "--gates", "0") as server:
        await until(lambda: file.exists() and "listening on" in file.read_text())
        server.port = int(file.read_text().partition("127.0.0.1:")[2].split()[0])
        (tmp_path / "logs").rename(tmp_path / "moved")
        os.kill(server.process.pid, signal.SIGUSR1)
        await until(lambda: "the log goes on as before" in (tmp_path / "moved/log").read_text())
        async with server.connect() as ssh:
            assert (await ssh.run("echo x")).stdout == "x\n"


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_the_manager_of_services_is_told(
    state: Path, tmp_path: Path, layout: list[str]
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)

        async def heard(wanted: str) -> str:
            while True:
                told = (await asyncio.to_thread(manager.recv, 1000)).decode()
                if told.startswith(wanted):
                    return told
                assert told == "WATCHDOG=1", told

        environment = {
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "WATCHDOG_USEC": "200000",
        }
        async with started(state, *layout, **environment) as server:
            await heard("READY=1")
            assert await server.until("^listening on")
            await heard("WATCHDOG=1")
            # Sessions do not speak for the server.
            server.port = int(server.lines[-1].rpartition(":")[2])
            async with server.connect() as ssh:
                assert (await ssh.run("echo $NOTIFY_SOCKET$WATCHDOG_USEC")).stdout == "\n"
            if "--workers" not in layout:
                os.kill(server.process.pid, signal.SIGHUP)
                moment = int((await heard("RELOADING=1")).partition("MONOTONIC_USEC=")[2])
                assert moment <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
                await heard("READY=1")
            server.process.terminate()
            await heard("STOPPING=1")


@pytest.mark.parametrize("place", ["log", "standard"])
async def test_a_place_that_is_none(state: Path, place: str) -> None:
    async with started(state, "--log-to", place) as server:
        assert await server.process.wait() == 2
        await server.end()
        assert f"--log-to {place}: give stderr, syslog, journal, or a path" in "".join(server.lines)


async def test_a_reload_leaves_the_lines_as_they_were(state: Path, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("LogLevel INFO\n")
    async with serving(state, "-f", str(config), "--gates", "0") as server:
        config.write_text("LogLevel VERBOSE\n")
        os.kill(server.process.pid, signal.SIGHUP)
        assert "level=info" in await server.until("event=reloaded")
