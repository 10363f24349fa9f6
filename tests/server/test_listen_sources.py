"""Connections from one network: how many may wait, and what their failures cost."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import nacre
from nacre.config.server.penalties import PenaltyRules
from nacre.protocol.tcpip import TCPIPChannel
from nacre.server.listen import SHARE
from nacre.server.peer import ConnectionTerms
from parties import PASSWORD, client_for, until

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
    async with asyncio.timeout(30):
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
    async with asyncio.timeout(30):
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


async def test_names_that_one_network_looks_up_hold_up_no_other_network(
    make_server: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that does not answer: its threads are shared by the networks of clients."""
    gate, begun = threading.Event(), list[str]()
    getaddrinfo = socket.getaddrinfo

    def slow(host: Any, *arguments: Any, **options: Any) -> Any:
        if options.get("flags") or host != b"slow.example":
            return getaddrinfo(host, *arguments, **options)
        begun.append("slow")
        gate.wait(20)
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    class Forwarding(nacre.Users):
        def direct_connection(self, host: str, port: int, connection: object) -> bool:
            return True

    server = await make_server(policy=Forwarding({"alice": PASSWORD}))
    monkeypatch.setattr(socket, "getaddrinfo", slow)
    async with client_for(server) as one, client_for(server, sock=elsewhere(server)) as other:
        data = TCPIPChannel("slow.example", 1, "127.0.0.1", 1).encode()
        channels = [one.open_channel("direct-tcpip", data) for _ in range(20)]
        await until(lambda: len(begun) == SHARE)
        with pytest.raises(nacre.ChannelOpenFailed, match=r"nowhere\.invalid"):
            await other.open_connection("nowhere.invalid", 1)
        assert len(begun) == SHARE
        gate.set()
        await until(lambda: all(channel.closed for channel in channels))
    assert len(begun) == len(channels)


async def test_a_place_is_given_up_to_another_network_without_a_penalty(
    make_server: Make, records: Records
) -> None:
    server = await server_with(make_server, {"max_startups": "3"}, penalties=ONE_STRIKE)
    loop = asyncio.get_running_loop()
    silent = [elsewhere(server) for _ in range(3)]
    for sock in silent:
        assert (await loop.sock_recv(sock, 100)).startswith(b"SSH-2.0-")
    async with client_for(server):
        assert b"others want in" in await rest(silent[0])
        # The network is not refused, but has no right to more.
        async with client_for(server):
            late = elsewhere(server)
            assert (await loop.sock_recv(late, 100)).startswith(b"SSH-2.0-")
            last = elsewhere(server)
            assert b"too many connections wait" in await rest(last)
    for sock in (*silent, late, last):
        sock.close()
    await until(lambda: not server.connections)
    (dropped,) = [record for record in records if "others want in" in str(record.get("reason"))]
    assert (dropped["event"], dropped["connection"]) == ("dropped", 1)
    assert [r["connection"] for r in records if r["event"] == "penalty"] == [2]


async def test_a_place_of_another_server_with_the_same_count_is_given_up(
    make_server: Make,
) -> None:
    startups = nacre.Startups()
    options = {"startups": startups, "max_startups": "3"}
    first, second = await make_server(**options), await make_server(**options)
    loop = asyncio.get_running_loop()
    silent = [elsewhere(first) for _ in range(3)]
    for sock in silent:
        assert (await loop.sock_recv(sock, 100)).startswith(b"SSH-2.0-")
    async with client_for(second):
        assert b"others want in" in await rest(silent[0])
    await until(lambda: startups.waiting == 2)
    for sock in silent:
        sock.close()


def elsewhere(server: nacre.Server) -> socket.socket:
    """Return a socket from another network."""
    sock = socket.create_connection(("127.0.0.1", server.port), 10, ("127.0.0.2", 0))
    sock.setblocking(False)
    return sock


async def rest(sock: socket.socket) -> bytes:
    """Return what comes from a socket until its end."""
    data = b""
    async with asyncio.timeout(30):
        while more := await asyncio.get_running_loop().sock_recv(sock, 4096):
            data += more
    return data
