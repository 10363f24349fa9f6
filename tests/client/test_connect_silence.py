"""A network that falls silent, at any byte: what has a bound ends within it, and says why."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import nacre
from interop.fault_proxy import Fault, FaultProxy
from nacre.errors import DeadlineExceeded, NacreError, PeerSilent
from parties import PASSWORD, client_for, handle

SOON = 0.15
GUARD = 10.0
STEPS = 12

USES: dict[str, Callable[[Any], Awaitable[object]]] = {
    "run": lambda ssh: ssh.run("cat", input=bytes(5_000_000)),
    "process": lambda ssh: ssh.process("cat"),
    "sftp": lambda ssh: ssh.sftp(),
    "keepalive": lambda ssh: ssh.keepalive(),
    "rekey": lambda ssh: ssh.rekey(),
    "connection": lambda ssh: ssh.open_connection("127.0.0.1", 1),
    "listener": lambda ssh: ssh.forward_remote("127.0.0.1", 1),
    "wait": lambda ssh: ssh.wait_closed(),
}


def as_server(proxy: FaultProxy) -> Any:
    """Return the proxy as what a client connects to: only its port is asked for."""
    return proxy


async def login_bytes(server: nacre.Server) -> list[int]:
    async with FaultProxy(server.port) as proxy, client_for(as_server(proxy)):
        return list(proxy.totals)


@pytest.fixture
async def patient(make_server: Callable[..., Any]) -> nacre.Server:
    """A server that ends clients which fall silent, in every phase too."""
    server: nacre.Server = await make_server(
        policy=nacre.Users({"alice": PASSWORD}),
        handler=handle,
        login_grace=1.0,
        keepalive=SOON,
        keepalive_count=1,
    )
    return server


@pytest.mark.slow
@pytest.mark.parametrize("to_server", [True, False])
async def test_a_login_over_a_network_that_falls_silent_ends_in_time(
    to_server: bool, patient: nacre.Server
) -> None:
    total = (await login_bytes(patient))[0 if to_server else 1]
    # Up to the last byte that the login needs; DISCONNECT follows it on the way to the server.
    for step in range(STEPS):
        fault = Fault("stall", to_server, total * step // (STEPS + 2), 0)
        async with asyncio.timeout(GUARD), FaultProxy(patient.port, fault) as proxy:
            with pytest.raises(DeadlineExceeded, match=r"took more than 0\.15 seconds"):
                await client_for(as_server(proxy), timeout=SOON)
    async with asyncio.timeout(GUARD):
        while patient.connections:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("to_server", [True, False])
async def test_a_command_over_a_network_that_falls_silent_ends_in_time(
    to_server: bool, patient: nacre.Server
) -> None:
    begun = (await login_bytes(patient))[0 if to_server else 1]
    for offset in (0, 50, 100, 200, 500, 20_000):
        fault = Fault("stall", to_server, begun + offset, 0)
        async with (
            asyncio.timeout(GUARD),
            FaultProxy(patient.port, fault) as proxy,
            client_for(as_server(proxy), timeout=5.0) as ssh,
        ):
            with pytest.raises(NacreError) as caught:
                await ssh.run("cat", input=bytes(200_000), timeout=SOON)
            # The server gives up too, and that may be sooner.
            assert isinstance(caught.value, (DeadlineExceeded, ConnectionError))
            ssh.abort()


@pytest.mark.slow
@pytest.mark.parametrize("use", USES)
async def test_keepalive_ends_every_call_over_a_network_that_falls_silent(
    use: str, make_server: Callable[..., Any]
) -> None:
    server = await make_server(sftp=lambda session: nacre.LocalFilesystem("/"))
    begun = await login_bytes(server)
    options: dict[str, Any] = {"timeout": 5.0, "keepalive": SOON, "keepalive_count": 1}
    for to_server in (True, False):
        fault = Fault("stall", to_server, begun[0 if to_server else 1], 0)
        async with (
            asyncio.timeout(GUARD),
            FaultProxy(server.port, fault) as proxy,
            client_for(as_server(proxy), **options) as ssh,
        ):
            with contextlib.suppress(PeerSilent):
                await USES[use](ssh)
                assert use == "wait", "it returned"
            assert isinstance(ssh.error, PeerSilent)
