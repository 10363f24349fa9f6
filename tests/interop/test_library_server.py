"""``nacre.listen`` in this process, and clients that come to it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import asyncssh
import pytest

import nacre
from interop.clients import PASSWORD
from interop.programs import environment, require
from interop.suites import IN_ASYNCSSH, MEBIBYTE, Suite, table_of, together


async def _echo(session: nacre.Session) -> int:
    while data := await session.stdin.read(65536):
        await session.stdout.write(data)
    return 0


async def _listen(host_keys: dict[str, Path], **more: Any) -> nacre.Server:
    return await nacre.listen(
        host_keys=[nacre.load_private(path.read_bytes()) for path in host_keys.values()],
        policy=nacre.Users({"alice": PASSWORD}),
        handler=_echo,
        **more,
    )


@pytest.fixture
async def server(host_keys: dict[str, Path]) -> AsyncIterator[nacre.Server]:
    async with await _listen(host_keys) as server:
        yield server


async def test_openssh_comes(server: nacre.Server, keys: dict[str, Path], tmp_path: Path) -> None:
    key = nacre.load_public(keys["ed25519"].with_suffix(".pub").read_text())
    server.reload(policy=nacre.Users({"alice": key}))
    words = ["StrictHostKeyChecking=no", f"UserKnownHostsFile={tmp_path / 'known_hosts'}"]
    options = [part for word in words for part in ("-o", word)]
    where = ["-F", "none", "-p", str(server.port), "-i", str(keys["ed25519"]), *options]
    client = await asyncio.create_subprocess_exec(
        require("ssh"),
        *where,
        "alice@127.0.0.1",
        "anything",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=environment(),
    )
    out, _ = await asyncio.wait_for(client.communicate(MEBIBYTE), 30)
    assert out == MEBIBYTE
    assert client.returncode == 0


def _asyncssh(port: int, **more: Any) -> Any:
    who = {"username": "alice", "password": PASSWORD, "client_keys": None, "agent_path": None}
    return asyncssh.connect("127.0.0.1", port, known_hosts=None, config=None, **who, **more)


NAMES = {
    "kex": "kex_algs",
    "host key": "server_host_key_algs",
    "cipher": "encryption_algs",
    "MAC": "mac_algs",
    "compression": "compression_algs",
}


async def _echo_with(chosen: Sequence[Suite], port: int) -> str:
    offer = {NAMES[suite.kind]: [suite.name] for suite in chosen}
    if "mac_algs" in offer:
        offer["encryption_algs"] = ["aes128-ctr"]
    try:
        async with asyncio.timeout(30), _asyncssh(port, **offer) as connection:
            done = await connection.run("anything", input=MEBIBYTE, encoding=None)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "ok" if done.stdout == MEBIBYTE else f"{len(done.stdout)} bytes came back"


@pytest.mark.slow
@pytest.mark.timeout(300)
# AsyncSSH asks `cryptography` for what that will drop one day.
@pytest.mark.filterwarnings("ignore:Diffie-Hellman over finite fields")
async def test_asyncssh_with_every_algorithm(
    all_host_keys: dict[str, Path], record_property: Callable[[str, object], None]
) -> None:
    everything: dict[str, Any] = {
        "kex": IN_ASYNCSSH["kex"],
        "host_key": IN_ASYNCSSH["host key"],
        "ciphers": IN_ASYNCSSH["cipher"],
        "macs": IN_ASYNCSSH["MAC"],
        "compression": IN_ASYNCSSH["compression"],
    }
    suites = [Suite(kind, name) for kind, names in IN_ASYNCSSH.items() for name in names]
    async with await _listen(all_host_keys, algorithms=nacre.algorithms(**everything)) as server:
        logins = together(suites)
        outcomes = [await _echo_with(chosen, server.port) for chosen in logins]
    table = table_of(logins, outcomes)
    record_property("table: AsyncSSH's client to the library's server", table)
    assert set(outcomes) == {"ok"}, table


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_two_hundred_connections_and_what_is_left(host_keys: dict[str, Path]) -> None:
    async with await _listen(host_keys, max_startups="300") as server:
        everyone_up = asyncio.Barrier(200)

        async def log_in(number: int) -> None:
            how: dict[str, Any] = {"keys": [], "agent": False, "trust": nacre.AnyHostKey()}
            async with nacre.connect(
                "127.0.0.1", server.port, user="alice", password=PASSWORD, timeout=120, **how
            ) as ssh:
                await everyone_up.wait()
                assert (await ssh.run("x", input=str(number))).stdout == str(number)

        async def all_log_in() -> tuple[int, int]:
            async with asyncio.TaskGroup() as group:
                for number in range(200):
                    group.create_task(log_in(number))
            for connection in server.connections:
                await connection.wait_closed()
            gc.collect()
            return len(asyncio.all_tasks()), len(list(Path("/proc/self/fd").iterdir()))

        first = await all_log_in()
        assert await all_log_in() == first
