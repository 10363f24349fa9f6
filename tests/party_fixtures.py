"""A server with commands to test with, a client for it, and proof that neither leaves anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

import nacre
from parties import PASSWORD, client_for, handle, open_files


@pytest.fixture(scope="session")
def host_key() -> nacre.PrivateKey:
    return nacre.generate("ssh-ed25519")


@pytest.fixture(autouse=True)
async def nothing_left() -> AsyncIterator[None]:
    """Check that the test leaves no task and no open descriptor."""
    files = open_files()
    yield
    for _ in range(20):
        if len(asyncio.all_tasks()) == 1 and open_files() <= files:
            break
        await asyncio.sleep(0.01)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert open_files() <= files


@pytest.fixture
def records() -> list[dict[str, object]]:
    """The records that the server has logged."""
    return []


@pytest.fixture
async def make_server(
    host_key: nacre.PrivateKey, records: list[dict[str, object]]
) -> AsyncIterator[Callable[..., Any]]:
    """Start servers; they are closed at the end."""
    servers: list[nacre.Server] = []

    async def start(**options: Any) -> nacre.Server:
        options = {
            "host_keys": [host_key],
            "policy": nacre.Users({"alice": PASSWORD}),
            "handler": handle,
            "log": lambda record: records.append(dict(record)),
            "accept_env": ["LC_*"],
            "max_startups": "1000",
            **options,
        }
        servers.append(await nacre.listen(**options))
        return servers[-1]

    yield start
    async with asyncio.timeout(30):
        for server in servers:
            await server.close()


@pytest.fixture
async def server(make_server: Callable[..., Any]) -> nacre.Server:
    return await make_server()


@pytest.fixture
def client(server: nacre.Server) -> Callable[..., Any]:
    return lambda **options: client_for(server, **options)


@pytest.fixture
async def ssh(client: Callable[..., Any]) -> AsyncIterator[nacre.Connection]:
    async with client() as connection:
        yield connection
