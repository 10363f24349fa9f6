"""Proxy commands: what they are run with, how they end, what errors say of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nacre
from client.test_route import DATA, RELAY
from nacre.client.proxy import ProxyCommand
from nacre.errors import ConnectFailed, ConnectionLost, DeadlineExceeded
from parties import client_for, hangs_up_after

PASS = """
import socket, sys
there = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
socket.send_fds(socket.socket(fileno=1), [b"x"], [there.fileno()])
"""


def python(program: str, *words: object) -> str:
    return shlex.join([sys.executable, "-c", program, *map(str, words)])


def ended(proxy: Any) -> bool:
    """Return whether the command has ended and was reaped."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(proxy._process.pid, 0)
        return False
    return True


async def test_a_connection_over_a_command(server: nacre.Server) -> None:
    proxy = ProxyCommand(python(RELAY, server.port))
    streams: Any = await proxy.start()
    async with client_for(server, sock=streams) as ssh:
        assert (await ssh.run("cat", input=DATA, encoding=None)).stdout == DATA
        assert not ended(proxy)
    assert ended(proxy)


async def test_the_command_is_run_by_the_users_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = tmp_path / "shell"
    shell.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/words\nexec /bin/sh "$@"\n')
    shell.chmod(0o700)
    monkeypatch.setenv("SHELL", str(shell))
    streams = await ProxyCommand("echo one two").start()
    assert await streams.reader.read(100) == b"one two\n"
    await streams.close()
    assert (tmp_path / "words").read_text() == "-c exec echo one two\n"


@pytest.mark.parametrize(
    ("command", "how"),
    [
        ("false", "ended with status 1"),
        ("/no/such/program", "ended with status 12[67]"),
        ("sh -c 'kill -TERM $$'", "was ended by signal SIGTERM"),
        ("sh -c 'exec >&-; sleep 60'", "closed its output"),
    ],
)
async def test_a_command_that_ends_is_named_with_its_status(command: str, how: str) -> None:
    streams: Any = await ProxyCommand(command).start()
    with pytest.raises(ConnectFailed, match=rf"the proxy command .* {how}, before") as caught:
        await nacre.connect("h", sock=streams, agent=False, keys=[], trust=nacre.AnyHostKey())
    assert command.split()[0] in str(caught.value)
    assert caught.value.hop == ""


async def test_a_command_that_can_not_be_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConnectFailed, match=r"can't run the proxy command 'a.*b': embedded null"):
        await ProxyCommand("a\0b").start()
    monkeypatch.setenv("SHELL", "/no/such/shell")
    streams = await ProxyCommand("true").start()
    with pytest.raises(ConnectFailed, match="ended with status 12"):
        await streams.reader.read(1)
    await streams.close()


async def test_a_command_that_ends_later_is_named_too(
    make_server: Callable[..., Any],
) -> None:
    server = await make_server(handler=hangs_up_after(reset=True))
    streams: Any = await ProxyCommand(python(RELAY, server.port)).start()
    async with client_for(server, sock=streams) as ssh:
        with pytest.raises(ConnectionLost, match="the proxy command") as caught:
            await ssh.run("x")
    assert not isinstance(caught.value, ConnectFailed)


async def test_a_command_that_ignores_the_end_is_killed() -> None:
    proxy = ProxyCommand("sh -c 'trap \"\" HUP; echo ready; while :; do sleep 1; done'")
    streams = await proxy.start()
    assert await streams.reader.read(100) == b"ready\n"
    await streams.close()
    assert ended(proxy)


async def test_a_command_gets_sighup_when_the_connection_is_aborted(tmp_path: Path) -> None:
    script = f"trap 'echo HUP > {tmp_path}/got; exit' HUP; echo ready; while :; do sleep 0.01; done"
    proxy = ProxyCommand(shlex.join(["sh", "-c", script]))
    streams = await proxy.start()
    assert await streams.reader.read(100) == b"ready\n"
    streams.abort()
    await streams.close()
    assert (tmp_path / "got").read_text() == "HUP\n"
    assert ended(proxy)


async def test_an_interrupt_at_the_terminal_does_not_end_the_command(server: nacre.Server) -> None:
    proxy: Any = ProxyCommand(python(RELAY, server.port))
    streams: Any = await proxy.start()
    async with client_for(server, sock=streams) as ssh:
        proxy._process.send_signal(signal.SIGINT)
        assert (await ssh.run("exit 3")).exit_status == 3


# --- ProxyUseFdpass ---


async def test_a_command_passes_a_connection_back(server: nacre.Server) -> None:
    proxy = ProxyCommand(python(PASS, server.port))
    sock = await proxy.receive_socket(20)
    assert ended(proxy)
    assert not os.get_inheritable(sock.fileno())
    async with client_for(server, sock=sock) as ssh:
        assert (await ssh.run("exit 3")).exit_status == 3


async def test_a_command_that_passes_nothing_back() -> None:
    proxy = ProxyCommand("echo nothing")
    with pytest.raises(ConnectFailed, match="ended with status 0, without passing a connection"):
        await proxy.receive_socket(20)
    assert ended(proxy)
    proxy = ProxyCommand("sleep 60")
    with pytest.raises(DeadlineExceeded, match=r"no connection back within 0\.1 seconds"):
        await proxy.receive_socket(0.1)
    assert ended(proxy)


async def test_a_cancelled_wait_leaves_no_command() -> None:
    proxy: Any = ProxyCommand("sleep 60")
    waiting = asyncio.ensure_future(proxy.receive_socket())
    await asyncio.sleep(0)
    assert proxy._process is not None
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended(proxy)


async def test_what_is_passed_must_be_a_stream(server: nacre.Server) -> None:
    program = PASS.replace(
        'socket.create_connection(("127.0.0.1", int(sys.argv[1])))',
        "socket.socket(type=socket.SOCK_DGRAM)",
    )
    sock = await ProxyCommand(python(program)).receive_socket(20)
    assert sock.type == socket.SOCK_DGRAM
    with pytest.raises(ConnectFailed, match="the socket can't be used"):
        await client_for(server, sock=sock)
