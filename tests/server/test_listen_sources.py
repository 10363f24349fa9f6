"""Connections from one network: how many may wait, and what their failures cost."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import nacre
from nacre.config.server.penalties import PenaltyRules
from nacre.server.peer import ConnectionTerms
from parties import client_for, until

Make = Callable[..., Any]
Records = list[dict[str, object]]

ONE_STRIKE = PenaltyRules(min=1, authfail=100, noauth=200, crash=300, grace_exceeded=400)


async def server_with(make_server: Make, options: Any = None, **terms: Any) -> nacre.Server:
    server: nacre.Server = await make_server(**(options or {}))
    server.apply(replace(server._settings, terms=ConnectionTerms(**terms)))
    return server


async def greeting(server: nacre.Server) -> bytes:
    """Connect, read what the server says first, and close."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    async with asyncio.timeout(10):
        data = await reader.read(4096)
    writer.close()
    await writer.wait_closed()
    return data


async def test_a_network_may_have_so_many_connections_that_wait(make_server: Make) -> None:
    server = await server_with(make_server, per_source_startups=1)
    with socket.create_connection(("127.0.0.1", server.port)):
        await until(lambda: len(server.connections) == 1)
        with pytest.raises(nacre.VersionError, match="from this network"):
            await client_for(server)
    await until(lambda: not server.connections)
    async with client_for(server), client_for(server):
        assert len(server.connections) == 2


async def test_failed_logins_cost_a_penalty(make_server: Make, records: Records) -> None:
    server = await server_with(make_server, penalties=ONE_STRIKE)
    with pytest.raises(nacre.AuthenticationFailed):
        await client_for(server, password="wrong")
    await until(lambda: any(r["event"] == "penalty" for r in records))
    (penalty,) = [r for r in records if r["event"] == "penalty"]
    assert (penalty["reason"], penalty["seconds"]) == ("authfail", 100)
    assert b"because of earlier failures" in await greeting(server)


async def test_a_connection_without_an_attempt_costs_a_penalty(
    make_server: Make, records: Records
) -> None:
    server = await server_with(make_server, penalties=ONE_STRIKE)
    assert (await greeting(server)).startswith(b"SSH-2.0-")
    await until(lambda: any(r["event"] == "penalty" for r in records))
    assert [r["reason"] for r in records if r["event"] == "penalty"] == ["noauth"]


async def test_a_login_that_takes_too_long_costs_a_penalty(
    make_server: Make, records: Records
) -> None:
    server = await server_with(make_server, {"login_grace": 0.05}, penalties=ONE_STRIKE)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    async with asyncio.timeout(10):
        await reader.read()
    writer.close()
    await until(lambda: any(r["event"] == "penalty" for r in records))
    assert [r["reason"] for r in records if r["event"] == "penalty"] == ["grace-exceeded"]


async def test_a_connection_that_makes_a_handler_fail_costs_a_penalty(
    make_server: Make, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nacre.protocol.events import VersionReceived
    from nacre.server.serving import Serving

    def fail(*about: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setitem(Serving.handlers, VersionReceived, fail)
    server = await server_with(make_server, penalties=ONE_STRIKE)
    with pytest.raises(nacre.ConnectionLost):
        await client_for(server)
    await until(lambda: any(r["event"] == "penalty" for r in records))
    assert [r["reason"] for r in records if r["event"] == "penalty"] == ["crash"]


async def test_logins_and_exempt_addresses_cost_nothing(
    make_server: Make, records: Records
) -> None:
    server = await server_with(make_server, penalties=ONE_STRIKE)
    for _ in range(3):
        async with client_for(server):
            pass
    server = await server_with(make_server, penalties=ONE_STRIKE, exempt=("127.0.0.0/8",))
    for _ in range(3):
        with pytest.raises(nacre.AuthenticationFailed):
            await client_for(server, password="wrong")
    await until(lambda: not server.connections)
    assert not [r for r in records if r["event"] == "penalty"]


async def test_a_server_that_stops_punishes_nobody(make_server: Make, records: Records) -> None:
    server = await server_with(make_server, penalties=ONE_STRIKE)
    with socket.create_connection(("127.0.0.1", server.port)):
        await until(lambda: len(server.connections) == 1)
        await server.close()
    assert not [r for r in records if r["event"] == "penalty"]


async def test_new_settings_are_for_new_connections(make_server: Make) -> None:
    server = await make_server()
    async with client_for(server) as old:
        server.apply(replace(server._settings, banner="new"))
        assert (await old.run("exit 5")).exit_status == 5
        async with client_for(server):
            assert [c.settings.banner for c in server.connections] == ["", "new"]


async def test_who_stops_listening_keeps_open_connections(make_server: Make) -> None:
    server = await make_server()
    async with client_for(server) as ssh:
        server.stop_listening()
        with pytest.raises(nacre.ConnectFailed):
            await client_for(server)
        assert (await ssh.run("exit 5")).exit_status == 5
