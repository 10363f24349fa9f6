"""``nacre serve --workers``: several processes behind one port."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path

import pytest

import nacre
from daemon.served import NACRE, Server, make_state, serving
from procfs import children, name_of

pytestmark = pytest.mark.slow


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return make_state(tmp_path)


@asynccontextmanager
async def working(state: Path, *arguments: str) -> AsyncIterator[Server]:
    async with serving(state, "--workers", "2", "-o", "MaxStartups=100", *arguments) as server:
        yield server


async def workers(server: Server) -> set[int]:
    """Return the workers, once the process of the control socket has named itself."""
    async with asyncio.timeout(20):
        while (control := control_process(server)) is None:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
    return set(children(server.process.pid)) - {control}


def numbers(server: Server, event: str) -> list[int]:
    """Return which workers logged an event, in order."""
    found = (re.search(rf" worker=(\d+) event={event} ", line) for line in server.lines)
    return [int(match[1]) for match in found if match]


async def serving_pid(ssh: nacre.Connection) -> int:
    """Return the process that serves a connection: the parent of its sessions' shells."""
    return int((await ssh.run("echo $PPID")).stdout)


def control_process(server: Server) -> int | None:
    return next((p for p in children(server.process.pid) if name_of(p) == "nacre-control"), None)


async def who(state: Path) -> int:
    """Return the exit status of ``nacre who``."""
    process = await asyncio.create_subprocess_exec(
        *(NACRE, "who", "--state", state),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    return await process.wait()


async def test_the_process_of_the_control_socket_is_replaced_and_ends_with_the_supervisor(
    state: Path,
) -> None:
    async with working(state) as server:
        assert await who(state) == 0
        first = control_process(server)
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await server.until("the control process died")
        async with asyncio.timeout(20):
            while control_process(server) in (first, None):  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
            while await who(state) != 0:
                pass
        second = control_process(server)
        assert second is not None
        async with server.connect() as ssh:
            assert (await ssh.run("echo x")).stdout == "x\n"
        server.process.kill()
        await until_gone(second)
        assert await who(state) == 1


async def until_gone(pid: int) -> None:
    async with asyncio.timeout(20):
        while Path(f"/proc/{pid}").exists():  # noqa: ASYNC110 - it is nobody's child here
            await asyncio.sleep(0.01)


async def test_connections_are_spread_and_the_log_is_one(state: Path) -> None:
    async with working(state) as server, AsyncExitStack() as stack:
        assert len(await workers(server)) == 2
        serve: set[int] = set()
        # Which one takes a connection is the system's choice.
        async with asyncio.timeout(60):
            while len(serve) < 2:
                opened = [stack.enter_async_context(server.connect()) for _ in range(20)]
                serve |= {await serving_pid(ssh) for ssh in await asyncio.gather(*opened)}
        assert serve == await workers(server)
        await stack.aclose()
        server.process.terminate()
        assert await server.end() == 0
        assert set(numbers(server, "accepted")) == {1, 2}
        assert all(re.match(r"time=|listening|WARNING", line) for line in server.lines)


async def test_a_worker_that_dies_is_replaced(state: Path) -> None:
    async with working(state) as server:
        ssh = await server.connect()
        pid = await serving_pid(ssh)
        (other,) = await workers(server) - {pid}
        os.kill(pid, signal.SIGKILL)
        line = await server.until("a worker died")
        assert f"pid={pid} status=-9" in line
        with pytest.raises(nacre.ConnectionLost):
            await ssh.run("true")
        async with asyncio.timeout(20):
            while len(await workers(server)) < 2:  # noqa: ASYNC110 - nothing tells when it is there
                await asyncio.sleep(0.01)
        assert other in await workers(server)
        os.kill(other, signal.SIGKILL)
        async with server.connect() as again:
            assert await serving_pid(again) not in {pid, other}
        server.process.terminate()
        assert await server.end() == 0
        assert 3 in numbers(server, "accepted") or 4 in numbers(server, "accepted")


async def test_a_reload_changes_where_all_of_them_listen(state: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        free = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        old, new = (sock.getsockname()[1] for sock in free)
    usual = "ListenAddress 127.0.0.1\nMaxStartups 100\n"
    file = tmp_path / "sshd_config"
    file.write_text(f"Port {old}\n{usual}")
    words = ("--workers", "2", "-f", str(file))
    async with serving(state, *words, where=()) as server, server.connect() as kept:
        file.write_text(f"Port {new}\nMaxSessions many\n")
        server.process.send_signal(signal.SIGHUP)
        assert "line 2: MaxSessions" in await server.until("nothing was reloaded")
        file.write_text(f"Port {new}\nVersionAddendum new\n{usual}")
        server.process.send_signal(signal.SIGHUP)
        for number in (1, 2):
            await server.until(f"worker={number} event=reloaded")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", old)
        server.port = new
        serve: set[int] = set()
        async with AsyncExitStack() as connections:
            while len(serve) < 2:
                ssh = await connections.enter_async_context(server.connect())
                assert ssh.peer_version.endswith(" new")
                serve.add(await serving_pid(ssh))
        (victim,) = serve - {await serving_pid(kept)}
        os.kill(victim, signal.SIGKILL)
        await server.until("a worker died")
        # The replacement has the sockets and the configuration of now.
        async with AsyncExitStack() as connections, asyncio.timeout(20):
            while not any(" worker=3 event=accepted" in line for line in server.lines):
                ssh = await connections.enter_async_context(server.connect())
                assert ssh.peer_version.endswith(" new")
                since = len(server.lines)
                await ssh.run("true")
                await server.until("event=exit", since)
        assert (await kept.run("echo kept")).stdout == "kept\n"


async def test_reload_reaches_all(state: Path) -> None:
    async with working(state) as server:
        server.process.send_signal(signal.SIGHUP)
        for number in (1, 2):
            await server.until(f"worker={number} event=reloaded")


async def test_graceful_stop(state: Path) -> None:
    async with working(state) as server, server.connect() as ssh:
        async with ssh.process("echo ready; read x; echo $x; exit 5") as process:
            assert await process.stdout.readline() == b"ready\n"
            server.process.terminate()
            for number in (1, 2):
                await server.until(f"worker={number} event=stopping")
            with pytest.raises((nacre.ConnectionLost, nacre.ConnectFailed)):
                await server.connect()
            await process.stdin.write(b"last words\n")
            assert await process.wait() == 5
        assert await server.end() == 0


async def test_second_signal_hurries(state: Path) -> None:
    async with working(state, "--end-processes") as server, server.connect() as ssh:
        process = await ssh.process("echo $$; exec sleep 60")
        pid = int(await process.stdout.readline())
        server.process.send_signal(signal.SIGINT)
        await server.until("at_once=False")
        server.process.send_signal(signal.SIGINT)
        assert await server.end() == 0
        assert not Path(f"/proc/{pid}").exists()


async def test_workers_end_when_their_supervisor_is_gone(state: Path) -> None:
    async with working(state) as server:
        left = await workers(server)
        server.process.kill()
        for pid in left:
            await until_gone(pid)
        assert await server.end() == -signal.SIGKILL


async def test_the_limit_of_those_who_wait_is_for_all_together(state: Path) -> None:
    async with serving(state, "--workers", "2", "-o", "MaxStartups=3") as server:
        waiting = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
        for reader, _ in waiting:
            assert (await reader.readline()).startswith(b"SSH-2.0-")
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        assert b"too many connections wait" in await reader.read()
        writer.close()
        for _, writer in waiting:
            writer.close()
            await writer.wait_closed()


async def test_what_is_wrong_at_the_start_is_said(state: Path, tmp_path: Path) -> None:
    banner = f"Banner={tmp_path / 'missing'}"
    with pytest.raises(AssertionError, match=r"can't read .*missing"):
        async with working(state, "-o", banner):
            pass


COUNT = """
import os
from nacre.server.admission.startups import Startups
startups = Startups(2)
startups.enter()
if (pid := os.fork()) == 0:
    startups.be(1)
    startups.enter()
    startups.enter()
    startups.leave()
    os._exit(startups.waiting)
_, status = os.waitpid(pid, 0)
seen = [os.waitstatus_to_exitcode(status), startups.waiting]
startups.forget(1)
seen.append(startups.waiting)
startups.leave()
print(*seen, startups.waiting)
"""


def test_a_count_for_several_processes() -> None:
    # In a process of its own: this one may have threads, which a fork would lose.
    done = subprocess.run(
        [sys.executable, "-c", COUNT], capture_output=True, check=True, timeout=30
    )
    assert done.stdout.split() == [b"2", b"2", b"1", b"0"]
