"""The library's client and OpenSSH's server, in one process with the test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interop.clients import ME, Account
from interop.daemons import Daemon
from interop.suites import MEBIBYTE
from nacre import AnyHostKey, connect
from nacre.errors import AuthenticationFailed, HostKeyUnknown

Connect = Callable[..., Any]


@pytest.fixture
def to_openssh(sshd: Daemon, keys: dict[str, Path]) -> Connect:
    """``nacre.connect`` with the key that OpenSSH's server takes."""

    def connect_with_key(**more: Any) -> Any:
        how = {"user": ME, "keys": [keys["ed25519"]], "agent": False, "trust": AnyHostKey()}
        return connect("127.0.0.1", sshd.port, **{**how, **more})

    return connect_with_key


async def test_run(to_openssh: Connect) -> None:
    async with to_openssh() as ssh:
        done = await ssh.run("cat; echo wrong >&2; exit 3", input="in")
        assert (done.stdout, done.stderr, done.exit_status) == ("in", "wrong\n", 3)
        done = await ssh.run("kill -TERM $$")
        assert (done.exit_signal, done.exit_status) == ("TERM", None)


@pytest.mark.usefixtures("terminal_from_sshd")
async def test_process_at_a_terminal(to_openssh: Connect) -> None:
    script = "stty size; read x; stty size; exit 4"
    async with to_openssh() as ssh, await ssh.process(script, term="xterm") as terminal:
        assert await terminal.stdout.readline() == b"24 80\r\n"
        terminal.resize(132, 50)
        await terminal.stdin.write(b"\n")
        assert (await terminal.stdout.read()).endswith(b"50 132\r\n")
        assert await terminal.wait() == 4


async def test_password_and_refusal(sshd: Daemon, system_account: Account) -> None:
    how: dict[str, Any] = {"user": system_account.name, "keys": [], "agent": False}
    how["trust"] = AnyHostKey()
    async with connect("127.0.0.1", sshd.port, password=system_account.password, **how) as ssh:
        assert (await ssh.run("id -un")).stdout.strip() == system_account.name
    with pytest.raises(AuthenticationFailed, match="password"):
        await connect("127.0.0.1", sshd.port, password="wrong", **how)


async def test_unknown_host_key(to_openssh: Connect, tmp_path: Path) -> None:
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(HostKeyUnknown, match="SHA256:"):
        await to_openssh(trust=None, known_hosts=tmp_path / "known_hosts")
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


async def test_fifty_channels_on_one_connection(to_openssh: Connect) -> None:
    async with to_openssh() as ssh:
        everyone_up = asyncio.Barrier(50)

        async def echo(number: int) -> None:
            async with await ssh.process("cat; exit 6") as process:
                await everyone_up.wait()
                own = MEBIBYTE[number : number + 100_000]
                await process.stdin.write(own)
                process.stdin.write_eof()
                assert await process.stdout.read() == own
                assert await process.wait() == 6

        async with asyncio.TaskGroup() as group:
            for number in range(50):
                group.create_task(echo(number))


async def test_nothing_is_left_of_a_connection(to_openssh: Connect) -> None:
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(8):
        async with to_openssh() as ssh:
            await ssh.run("true")
    assert len(asyncio.all_tasks()) == 1
    assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors
