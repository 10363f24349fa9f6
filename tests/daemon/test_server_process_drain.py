"""A server that is told to stop lets its connections go on for a while (--drain)."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

import nacre
from daemon.served import make_state, serving
from daemon.test_workers import until_gone, workers

pytestmark = pytest.mark.slow

MODES = {"gates": ("--gates", "1"), "one process": ("--gates", "0"), "workers": ("--workers", "2")}


@pytest.mark.parametrize("mode", MODES)
async def test_connections_go_on_and_new_ones_are_not_taken(tmp_path: Path, mode: str) -> None:
    async with serving(make_state(tmp_path), *MODES[mode], "--drain", "3600") as server:
        async with server.connect() as ssh, ssh.process("cat") as process:
            server.process.terminate()
            for _ in range(2 if mode == "workers" else 1):
                await server.until("event=draining seconds=3600")
            with pytest.raises((nacre.ConnectionLost, nacre.ConnectFailed)):
                await server.connect()
            await process.stdin.write(b"on\n")
            assert await process.stdout.readline() == b"on\n"
            # A further session is the same connection's.
            assert (await ssh.run("echo more")).stdout == "more\n"
        assert "at_once=False" in await server.until("event=stopping")
        assert await server.end() == 0


@pytest.mark.parametrize("mode", ["gates", "one process"])
async def test_they_end_at_the_deadline(tmp_path: Path, mode: str) -> None:
    arguments = (*MODES[mode], "--drain", "1", "--end-processes")
    async with serving(make_state(tmp_path), *arguments) as server, server.connect() as ssh:
        process = await ssh.process("sleep 60")
        server.process.terminate()
        assert "at_once=True" in await server.until("event=stopping")
        with pytest.raises(nacre.ConnectionLost):
            await process.wait()
        assert await server.end() == 0


async def test_a_second_signal_hurries(tmp_path: Path) -> None:
    arguments = ("--drain", "3600", "--end-processes")
    async with serving(make_state(tmp_path), *arguments) as server, server.connect() as ssh:
        await ssh.process("sleep 60")
        server.process.terminate()
        await server.until("event=draining")
        server.process.terminate()
        assert "at_once=True" in await server.until("event=stopping")
        assert await server.end() == 0


async def test_workers_whose_supervisor_is_gone_do_not_drain(tmp_path: Path) -> None:
    arguments = ("--workers", "2", "--drain", "3600")
    async with serving(make_state(tmp_path), *arguments) as server:
        left = await workers(server)
        async with server.connect() as ssh, ssh.process("cat"):
            server.process.kill()
            for number in (1, 2):
                await server.until(f"worker={number} event=stopping")
        for pid in left:
            await until_gone(pid)
        assert await server.end() == -signal.SIGKILL
        assert not any("event=draining" in line for line in server.lines)
