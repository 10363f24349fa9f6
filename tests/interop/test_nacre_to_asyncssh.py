"""The library's client and AsyncSSH's server, which has what OpenSSH 9.2 lacks: ML-KEM, zlib."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from interop.suites import IN_ASYNCSSH, MEBIBYTE, Suite, table_of, together
from nacre import AnyHostKey, connect
from nacre.limits import Limits
from nacre.protocol.options import algorithms


async def _echo(process: asyncssh.SSHServerProcess[bytes]) -> None:
    async for data in process.stdin:
        process.stdout.write(data)
    process.exit(0)


@pytest.fixture
async def port(
    keys: dict[str, Path], all_host_keys: dict[str, Path], authorized_keys: Path
) -> AsyncIterator[int]:
    """The port of a server that speaks all that nacre has."""
    options: dict[str, Any] = {
        "kex_algs": IN_ASYNCSSH["kex"],
        "signature_algs": IN_ASYNCSSH["host key"],
        "encryption_algs": IN_ASYNCSSH["cipher"],
        "mac_algs": IN_ASYNCSSH["MAC"],
        "compression_algs": IN_ASYNCSSH["compression"],
        "server_host_keys": [str(key) for key in all_host_keys.values()],
        "authorized_client_keys": str(authorized_keys),
    }
    server = await asyncssh.listen(
        "127.0.0.1", 0, process_factory=_echo, encoding=None, config=None, **options
    )
    async with server:
        yield server.get_port()


FIELDS = {
    "kex": "kex",
    "host key": "host_key",
    "cipher": "ciphers",
    "MAC": "macs",
    "compression": "compression",
}


async def _echo_with(chosen: Sequence[Suite], port: int, key: Path) -> str:
    offer: dict[str, Any] = {FIELDS[suite.kind]: [suite.name] for suite in chosen}
    if "macs" in offer:
        offer["ciphers"] = ["aes128-ctr"]
    try:
        async with connect(
            "127.0.0.1",
            port,
            user="any",
            keys=[key],
            trust=AnyHostKey(),
            algorithms=algorithms(**offer),
        ) as ssh:
            done = await ssh.run("cat", input=MEBIBYTE, encoding=None, timeout=30)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "ok" if done.stdout == MEBIBYTE else f"{len(done.stdout)} bytes came back"


@pytest.mark.slow
@pytest.mark.timeout(300)
# AsyncSSH asks `cryptography` for what that will drop one day.
@pytest.mark.filterwarnings("ignore:Diffie-Hellman over finite fields")
async def test_every_algorithm(
    port: int, keys: dict[str, Path], record_property: Callable[[str, object], None]
) -> None:
    suites = [Suite(kind, name) for kind, names in IN_ASYNCSSH.items() for name in names]
    logins = together(suites)
    outcomes = [await _echo_with(chosen, port, keys["ed25519"]) for chosen in logins]
    table = table_of(logins, outcomes)
    record_property("table: the library's client to AsyncSSH's server", table)
    assert set(outcomes) == {"ok"}, table


@pytest.mark.parametrize("compression", ["zlib", "none"])
async def test_rekey_with_compression(port: int, keys: dict[str, Path], compression: str) -> None:
    """Both streams of a compression begin anew with each key (RFC 4253 section 6.2)."""
    async with connect(
        "127.0.0.1",
        port,
        user="any",
        keys=[keys["ed25519"]],
        trust=AnyHostKey(),
        algorithms=algorithms(compression=compression),
        limits=Limits(rekey_bytes=100_000),
    ) as ssh:
        done = await asyncio.wait_for(ssh.run("cat", input=MEBIBYTE, encoding=None), 30)
    assert done.stdout == MEBIBYTE
