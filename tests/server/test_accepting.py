"""Connections through trusted proxies: who the client is, and what a bad header leads to."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any

import pytest

import nacre
from nacre.server import accepting
from nacre.server.listen import Server
from parties import client_for, until
from server.test_listen_sources import ONE_STRIKE, server_with

Make = Callable[..., Any]
Records = list[dict[str, object]]

HEADER = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 22\r\n"
LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"
PROXIES = {"proxy_from": ["127.0.0.1"]}


def connect(server: Server, header: bytes = b"", host: str = "127.0.0.1") -> socket.socket:
    """Connect as a proxy does."""
    sock = socket.create_connection(("127.0.0.1", server.port), 10, source_address=(host, 0))
    sock.sendall(header)
    return sock


def events(records: Records) -> list[object]:
    return [record["event"] for record in records]


async def read_to_the_end(sock: socket.socket) -> bytes:
    sock.setblocking(False)
    found = b""
    async with asyncio.timeout(30):
        while data := await asyncio.get_running_loop().sock_recv(sock, 4096):
            found += data
    return found


async def test_a_client_is_the_one_that_its_proxy_names(
    make_server: Make, records: Records
) -> None:
    server = await make_server(**PROXIES)
    async with client_for(server, sock=connect(server, HEADER)):
        (connection,) = server.connections
        assert (connection.peer, connection.local) == (("192.0.2.7", 40000), ("198.51.100.1", 22))
        assert (connection.host, connection.user) == ("192.0.2.7", "alice")
    (accepted,) = [one for one in records if one["event"] == "accepted"]
    assert (accepted["peer"], accepted["local"]) == ("192.0.2.7:40000", "198.51.100.1:22")
    assert str(accepted["proxy"]).startswith("127.0.0.1:")


async def test_a_header_may_come_in_pieces_and_with_what_follows(make_server: Make) -> None:
    server = await make_server(**PROXIES)
    with connect(server) as sock:
        for byte in HEADER:
            sock.sendall(bytes([byte]))
        sock.sendall(b"SSH-2.0-client\r\n")
        await until(lambda: [one.protocol for one in server.connections] == ["2.0"])


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"SSH-2.0-client\r\n", "no PROXY header"),
        (b"PROXY TCP4 nobody" + bytes(99), "at most 107 bytes"),
        (b"PROXY TCP4 a b c d\r\n", "can't be read"),
    ],
    ids=["none", "long", "bad"],
)
async def test_a_proxy_without_a_good_header_is_refused(
    make_server: Make, records: Records, sent: bytes, reason: str
) -> None:
    server = await make_server(**PROXIES)
    with connect(server, sent) as sock:
        assert b"SSH" not in await asyncio.to_thread(_rest, sock)
    await until(lambda: records)
    assert events(records) == ["dropped"]
    assert reason in str(records[0]["reason"])


def _rest(sock: socket.socket) -> bytes:
    try:
        return sock.recv(4096)
    except ConnectionResetError:
        return b""


async def test_from_elsewhere_a_header_is_an_error_and_clients_connect_as_usual(
    make_server: Make, records: Records
) -> None:
    server = await make_server(proxy_from=["192.0.2.0/24"])
    with connect(server, HEADER) as sock:
        await read_to_the_end(sock)
    await until(lambda: "closed" in events(records))
    assert records[0]["peer"] != "192.0.2.7:40000"
    async with client_for(server):
        pass


async def test_a_proxy_that_sends_nothing_is_given_up(make_server: Make, records: Records) -> None:
    server = await make_server(**PROXIES, login_grace=0.05)
    with connect(server) as sock:
        assert await read_to_the_end(sock) == b""
    await until(lambda: records)
    assert "in time" in str(records[0]["reason"])


async def test_so_many_headers_are_awaited_and_no_more(
    make_server: Make, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accepting, "MOST_HEADERS", 1)
    server = await make_server(**PROXIES)
    with connect(server), connect(server) as second:
        assert await read_to_the_end(second) == b""
        await until(lambda: records)
        assert "too many headers" in str(records[0]["reason"])


@pytest.mark.parametrize("sent", [LOCAL, b"PROXY UNKNOWN\r\n", b""], ids=["v2", "v1", "no-header"])
async def test_a_check_of_the_proxy_leaves_no_trace(
    make_server: Make, records: Records, sent: bytes
) -> None:
    server = await server_with(make_server, PROXIES, penalties=ONE_STRIKE)
    for _ in range(3):
        with connect(server, sent) as sock:
            sock.shutdown(socket.SHUT_WR)
            await read_to_the_end(sock)
    async with client_for(server, sock=connect(server, HEADER)):
        assert events(records)[0] == "accepted"
    assert {one["peer"] for one in records} == {"192.0.2.7:40000"}


async def test_who_logs_in_from_the_proxy_itself_is_in_the_log(
    make_server: Make, records: Records
) -> None:
    server = await make_server(**PROXIES)
    async with client_for(server, sock=connect(server, LOCAL)):
        (connection,) = server.connections
        assert connection.peer[0] == "127.0.0.1"
    assert events(records)[:2] == ["accepted", "version"]


async def test_failures_cost_the_client_a_penalty_and_not_its_proxy(
    make_server: Make, records: Records
) -> None:
    server = await server_with(make_server, PROXIES, penalties=ONE_STRIKE)
    with pytest.raises(nacre.AuthenticationFailed):
        await client_for(server, sock=connect(server, HEADER), password="wrong")
    await until(lambda: "penalty" in events(records))
    with connect(server, HEADER) as again:
        assert b"because of earlier failures" in await read_to_the_end(again)
    other = HEADER.replace(b"192.0.2.7", b"192.0.2.8")
    async with client_for(server, sock=connect(server, other)):
        pass


async def test_a_server_that_closes_gives_up_the_headers_that_it_awaits(make_server: Make) -> None:
    server = await make_server(**PROXIES)
    with connect(server) as sock:
        await until(lambda: server._acceptor._headers == 1)
        await server.close()
        assert await read_to_the_end(sock) == b""


async def test_a_lack_of_descriptors_is_told_and_waited_for(
    make_server: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accepting, "_PAUSE", 0.01)
    server = await make_server(**PROXIES)
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    acceptor = server._acceptor

    class Lacking:
        def accept(self) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

        def fileno(self) -> int:
            return int(acceptor._sockets[0].fileno())

    acceptor._on_readable(Lacking())
    assert "out of system resource" in told[0]["message"]
    acceptor._loop.add_reader(acceptor._sockets[0], acceptor._on_readable, acceptor._sockets[0])
    async with client_for(server, sock=connect(server, HEADER)):
        pass


@pytest.mark.parametrize("bad", ["localhost", "10.0.0.1/8", ""])
def test_networks_that_are_none_are_refused_at_the_start(bad: str) -> None:
    with pytest.raises(nacre.ConfigurationError, match="is no network"):
        nacre.listen(
            host_keys=[nacre.generate("ssh-ed25519")], policy=nacre.Users({}), proxy_from=[bad]
        )
