"""Clients of others log in to one process, and are served by another one over the same socket."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncssh
import paramiko
import pytest

import nacre
from interop.clients import PASSWORD, Login
from interop.programs import run
from interop.thawing import Gate
from nacre.testing import host_key

BULK = random.Random(20).randbytes(20 << 20)

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def gate(keys: dict[str, Path]) -> AsyncIterator[Gate]:
    public, _ = nacre.load_public(keys["ed25519"].with_suffix(".pub").read_text())
    ended = asyncio.Event()
    gate = Gate(host_key(), nacre.Users({"any": [public, PASSWORD]}), ended.set)
    await gate.server.start()
    yield gate
    async with asyncio.timeout(30):
        await ended.wait()
        await gate.server.close()
    assert gate.ended
    assert set(gate.ended) == {0}


@pytest.fixture
def login(gate: Gate, keys: dict[str, Path], tmp_path: Path) -> Login:
    server: Any = gate.server  # of a daemon, the client's options need the port alone
    return Login(server, "any", tmp_path, keys["ed25519"])


async def ssh(login: Login, *words: str, command: str = "cat", data: bytes = BULK) -> Any:
    # Not in this thread: its loop serves the login.
    return await asyncio.to_thread(run, [*login.ssh(*words), command], input=data, timeout=120)


async def test_openssh_runs_a_command(login: Login) -> None:
    done = await ssh(login, command="print 4 3", data=b"")
    assert (len(done.stdout), done.stderr, done.returncode) == (4, b"eee", 0)


async def test_openssh_gets_its_exit_status(login: Login) -> None:
    assert (await ssh(login, command="exit 7", data=b"")).returncode == 7


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["Ciphers=aes128-gcm@openssh.com"],
        ["Ciphers=chacha20-poly1305@openssh.com"],
        ["Ciphers=aes256-ctr", "MACs=hmac-sha2-256-etm@openssh.com"],
        ["Ciphers=aes128-ctr", "MACs=hmac-sha2-512"],
        ["Compression=yes"],
        ["KexAlgorithms=diffie-hellman-group14-sha256"],
    ],
    ids=lambda words: " ".join(words),
)
async def test_openssh_moves_much_and_exchanges_keys_anew(login: Login, words: list[str]) -> None:
    quick = "KexAlgorithms=curve25519-sha256"
    done = await ssh(login, *words, quick, "RekeyLimit=1M", "LogLevel=DEBUG1")
    assert done.stdout == BULK
    assert done.returncode == 0
    assert done.stderr.count(b"SSH2_MSG_NEWKEYS received") >= 10


def until_closed(channel: paramiko.Channel) -> None:
    until = time.monotonic() + 20
    while not channel.closed:
        assert time.monotonic() < until, "the channel is still open"
        time.sleep(0.01)


async def test_paramiko(gate: Gate) -> None:
    def talk() -> tuple[bytes, bytes, int]:
        with paramiko.SSHClient() as client:
            client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
            client.connect(
                "127.0.0.1",
                gate.server.port,
                "any",
                PASSWORD,
                allow_agent=False,
                look_for_keys=False,
                timeout=20,
            )
            transport = client.get_transport()
            assert transport is not None
            _, out, err = client.exec_command("print 5000000 3", timeout=60)
            first = out.read(), err.read()
            # Paramiko's thread blocks where it has to answer a CHANNEL_CLOSE while it exchanges
            # keys. It answers it before it takes what comes then.
            until_closed(out.channel)
            transport.global_request("none@nacre", wait=True)
            transport.renegotiate_keys()
            _, again, _ = client.exec_command("exit 9", timeout=20)
            status = again.channel.recv_exit_status()
        transport.join(20)
        return *first, status

    out, err, status = await asyncio.to_thread(talk)
    assert (out, err, status) == (bytes(5_000_000), b"eee", 9)


@pytest.mark.slow
async def test_asyncssh(gate: Gate) -> None:
    async with asyncssh.connect(
        "127.0.0.1",
        gate.server.port,
        username="any",
        password=PASSWORD,
        client_keys=None,
        known_hosts=None,
        config=None,
        agent_path=None,
        rekey_bytes=1 << 20,
    ) as connection:
        done = await connection.run("cat", input=BULK, encoding=None)
        assert done.stdout == BULK
        assert (await connection.run("exit 3")).exit_status == 3


async def test_several_sessions_over_one_connection(gate: Gate) -> None:
    async with nacre.connect(
        "127.0.0.1",
        gate.server.port,
        user="any",
        password=PASSWORD,
        keys=[],
        agent=False,
        trust=nacre.AnyHostKey(),
    ) as client:
        runs = [client.run("cat", input=BULK[: 1 << 20], encoding=None) for _ in range(5)]
        await client.rekey()
        assert [(await one).stdout for one in runs] == [BULK[: 1 << 20]] * 5
        assert gate.server.connections == ()
