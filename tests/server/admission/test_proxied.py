"""The header of a proxy, read from a socket that another process may read, too."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from nacre.errors import ConnectionLost, MalformedMessage
from nacre.server.admission.proxied import ProxyGone, read_first, read_header, taken

HEADER = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 22\r\n"


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection: the proxy's, and the server's, which is a blocking socket."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as proxy,
    ):
        accepted, _ = listener.accept()
        with accepted:
            yield proxy, accepted


Ends = tuple[socket.socket, socket.socket]


def test_bytes_that_were_read_before_are_counted(ends: Ends) -> None:
    proxy, accepted = ends
    assert taken(accepted) == 0
    proxy.sendall(b"0123456789")
    assert accepted.recv(3) == b"012"
    assert accepted.recv(3, socket.MSG_PEEK) == b"345"
    assert taken(accepted) == 3


async def test_what_follows_the_header_stays_in_the_socket(ends: Ends) -> None:
    proxy, accepted = ends
    proxy.sendall(HEADER + b"SSH-2.0-client\r\n")
    origin = await read_header(accepted, 10)
    assert origin is not None
    assert origin.peer == ("192.0.2.7", 40000)
    assert accepted.recv(100) == b"SSH-2.0-client\r\n"


async def test_a_blocking_socket_does_not_hold_up_the_loop(ends: Ends) -> None:
    proxy, accepted = ends
    reading = asyncio.create_task(read_first(accepted, 10))
    await asyncio.sleep(0)  # it waits
    proxy.sendall(HEADER)
    assert (await reading) is not None


async def test_the_header_must_be_the_first_that_was_read(ends: Ends) -> None:
    proxy, accepted = ends
    proxy.sendall(b"x" + HEADER * 2)
    accepted.recv(1 + len(HEADER))
    with pytest.raises(MalformedMessage, match="was not the first"):
        await read_first(accepted, 10)


async def test_what_is_no_tcp_can_not_be_checked() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(HEADER)
        with pytest.raises(MalformedMessage, match="does not tell"):
            await read_first(ours, 10)


@pytest.mark.parametrize("sent", [b"", HEADER[:20]], ids=["nothing", "a-part"])
async def test_a_proxy_that_leaves_is_told_apart(ends: Ends, sent: bytes) -> None:
    proxy, accepted = ends
    proxy.sendall(sent)
    proxy.close()
    with pytest.raises(ProxyGone):
        await read_header(accepted, 10)


async def test_the_time_for_a_header_is_bounded(ends: Ends) -> None:
    _, accepted = ends
    with pytest.raises(ConnectionLost, match="in time"):
        await read_header(accepted, 0.01)
