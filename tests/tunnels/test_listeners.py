"""Listening sockets: which addresses are bound, what is accepted, and when they close."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fake_driver import FakeConnection, FakeDriver
from nacre.errors import ConnectFailed
from nacre.tunnels import listeners
from nacre.tunnels.listeners import Listening, bind
from parties import until


@pytest.fixture
async def connection() -> AsyncIterator[FakeConnection]:
    connection = FakeConnection(FakeDriver())
    yield connection
    connection.end()
    await until(lambda: not connection.tasks)


def close(sockets: list[socket.socket]) -> list[Any]:
    """Close sockets, and return their addresses."""
    names = [sock.getsockname() for sock in sockets]
    for sock in sockets:
        sock.close()
    return names


async def test_localhost_is_the_loopback_of_both_families_on_one_port() -> None:
    names = close(await bind("localhost", 0))
    assert [name[0] for name in names] == ["127.0.0.1", "::1"]
    assert len({name[1] for name in names}) == 1
    assert names[0][1] > 0


async def test_no_host_is_every_address() -> None:
    assert [name[0] for name in close(await bind("", 0))] == ["0.0.0.0", "::"]


async def test_an_address_of_this_host() -> None:
    assert [name[0] for name in close(await bind("127.0.0.2", 0))] == ["127.0.0.2"]


async def test_an_address_of_another_host() -> None:
    with pytest.raises(OSError, match="assign") as caught:
        await bind("192.0.2.1", 0)
    assert caught.value.errno == errno.EADDRNOTAVAIL


async def test_a_name_without_an_address() -> None:
    with pytest.raises(ConnectFailed, match=r"nobody\.invalid"):
        await bind("nobody.invalid", 0)


async def test_a_host_without_one_of_the_families(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = (socket.AF_INET6, ("2001:db8::1", 0))
    monkeypatch.setattr(listeners, "_LOOPBACK", (absent, (socket.AF_INET, ("127.0.0.1", 0))))
    assert [name[0] for name in close(await bind("localhost", 0))] == ["127.0.0.1"]


async def test_a_port_in_use_is_not_half_bound() -> None:
    """The second address has it in use: the first one is free again after the error."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            await bind("localhost", port)
        socket.create_server(("127.0.0.1", port)).close()


async def test_another_port_is_chosen_when_one_is_in_use_on_the_next_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried = []
    real = listeners._bind

    def bind_once_in_vain(family: int, address: Any) -> socket.socket:
        tried.append(address)
        if len(tried) == 2:
            raise OSError(errno.EADDRINUSE, "in use")
        return real(family, address)

    monkeypatch.setattr(listeners, "_bind", bind_once_in_vain)
    names = close(await bind("localhost", 0))
    assert [address[0] for address in tried] == ["127.0.0.1", "::1"] * 2
    assert names[0][1] == names[1][1] == tried[3][1]


async def test_each_connection_is_served_until_the_close(connection: FakeConnection) -> None:
    served: list[tuple[socket.socket, Any]] = []

    async def take(sock: socket.socket, address: Any) -> None:
        served.append((sock, address))

    sockets = await bind("localhost", 0)
    listening = Listening(connection, sockets, take)  # type: ignore[arg-type]
    places = [sock.getsockname()[:2] for sock in sockets]
    clients = [socket.create_connection(place) for place in places]
    await until(lambda: len(served) == 2)
    addresses = {address[:2] for _, address in served}
    assert addresses == {client.getsockname()[:2] for client in clients}
    assert not listening.closed
    listening.close()
    await asyncio.wait_for(listening.wait_closed(), 30)
    assert listening.closed
    for place in places:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(place)
    clients[0].sendall(b"still served")
    accepted = next(sock for sock, address in served if address == clients[0].getsockname())
    assert accepted.recv(100) == b"still served"
    close([*clients, *(sock for sock, _ in served)])


async def test_the_end_of_the_connection_ends_the_listening(connection: FakeConnection) -> None:
    async def take(sock: socket.socket, address: Any) -> None:
        sock.close()

    listening = Listening(connection, await bind("127.0.0.1", 0), take)  # type: ignore[arg-type]
    await asyncio.sleep(0)
    connection.end()
    await asyncio.wait_for(listening.wait_closed(), 30)


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "full"), ConnectionAbortedError()])
async def test_it_accepts_again_after_an_error(
    connection: FakeConnection, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    loop, served = asyncio.get_running_loop(), asyncio.Event()
    real, errors = loop.sock_accept, [error]

    async def accept(sock: socket.socket) -> Any:
        if errors:
            raise errors.pop()
        return await real(sock)

    async def take(sock: socket.socket, address: Any) -> None:
        sock.close()
        served.set()

    monkeypatch.setattr(loop, "sock_accept", accept)
    monkeypatch.setattr(listeners, "_PAUSE", 0)
    (sock,) = await bind("127.0.0.1", 0)
    Listening(connection, [sock], take)  # type: ignore[arg-type]
    with socket.create_connection(sock.getsockname()):
        await asyncio.wait_for(served.wait(), 30)
    assert not errors
