"""The proxy's side of SOCKS 4, 4a and 5, over a pair of sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from nacre.errors import ChannelOpenFailed, ConnectionLost, NacreError
from nacre.tunnels.socks import Negotiation, SOCKSError
from nacre.wire.numbers import OpenFailure

PORT = b"\x12\x34"
LOOPBACK = b"\x7f\0\0\1"
CHOSEN = b"\5\0"


class Client:
    """The client's end, and the negotiation at the other end."""

    def __init__(self) -> None:
        self.sock, self.proxy = socket.socketpair()
        self.proxy.setblocking(False)
        self.sock.settimeout(30)
        self.negotiation = Negotiation.of(self.proxy)

    async def request(self, data: bytes, *, eof: bool = False) -> tuple[str, int]:
        self.sock.sendall(data)
        if eof:
            self.sock.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(30):
            return await self.negotiation.request()

    def replies(self) -> bytes:
        """Return what the proxy sent; it sends nothing after that."""
        self.proxy.shutdown(socket.SHUT_WR)
        data = b""
        while more := self.sock.recv(100):
            data += more
        return data


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    client = Client()
    yield client
    client.sock.close()
    client.proxy.close()


@pytest.mark.parametrize(
    ("data", "host", "replies"),
    [
        (b"\4\1" + PORT + LOOPBACK + b"\0", "127.0.0.1", b""),
        (b"\4\1" + PORT + LOOPBACK + b"user\0", "127.0.0.1", b""),
        (b"\4\1" + PORT + b"\0\0\0\1" + b"user\0" + b"a.example\0", "a.example", b""),
        # Not an address for 4a: its last byte is 0.
        (b"\4\1" + PORT + b"\0\0\0\0" + b"\0", "0.0.0.0", b""),
        (b"\5\1\0" + b"\5\1\0\1" + LOOPBACK + PORT, "127.0.0.1", CHOSEN),
        (b"\5\3\2\1\0" + b"\5\1\0\1" + LOOPBACK + PORT, "127.0.0.1", CHOSEN),
        (b"\5\1\0" + b"\5\1\0\3\x09a.example" + PORT, "a.example", CHOSEN),
        (b"\5\1\0" + b"\5\1\0\4" + bytes(15) + b"\1" + PORT, "::1", CHOSEN),
        (b"\5\1\0" + b"\5\1\0\3\3a\xffb" + PORT, "a\udcffb", CHOSEN),
    ],
)
async def test_requests(client: Client, data: bytes, host: str, replies: bytes) -> None:
    assert await client.request(data + b"what follows") == (host, 0x1234)
    assert client.proxy.recv(100) == b"what follows"
    assert client.replies() == replies


async def test_a_request_in_single_bytes(client: Client) -> None:
    asking = asyncio.create_task(client.negotiation.request())
    for byte in b"\5\1\0" + b"\5\1\0\3\x01h" + PORT:
        assert not asking.done()
        client.sock.send(bytes((byte,)))
        for _ in range(3):
            await asyncio.sleep(0)
    assert await asyncio.wait_for(asking, 30) == ("h", 0x1234)


@pytest.mark.parametrize(
    ("data", "why", "replies"),
    [
        (b"GET / HTTP/1.1\r\n", "version 71 is not SOCKS", b""),
        (b"\5\1\2", "wants to authenticate", b"\5\xff"),
        (b"\5\0", "wants to authenticate", b"\5\xff"),
        (b"\5\1\0\5\2\0\1" + LOOPBACK + PORT, "command 2", CHOSEN + b"\5\7\0\1" + bytes(6)),
        (b"\5\1\0\5\3\0\3\1h" + PORT, "command 3", CHOSEN + b"\5\7\0\1" + bytes(6)),
        (b"\5\1\0\4\1\0\1", "not of SOCKS 5", CHOSEN + b"\5\x08\0\1" + bytes(6)),
        (b"\5\1\0\5\1\0\x09", "not of SOCKS 5", CHOSEN + b"\5\x08\0\1" + bytes(6)),
        (b"\4\2" + PORT + LOOPBACK + b"\0", "command 2", b"\0\x5b" + bytes(6)),
        (b"\4\1" + PORT + LOOPBACK + b"u" * 300, "more than 255 bytes", b""),
        (b"\4\1" + PORT + b"\0\0\0\1\0" + b"h" * 300, "more than 255 bytes", b""),
    ],
)
async def test_what_is_refused(client: Client, data: bytes, why: str, replies: bytes) -> None:
    with pytest.raises(SOCKSError, match=why):
        await client.request(data)
    assert client.replies() == replies


@pytest.mark.parametrize("data", [b"", b"\4", b"\4\1\0\x50\x7f", b"\5", b"\5\2\0", b"\5\1\0\5\1\0"])
async def test_a_request_that_is_cut_off(client: Client, data: bytes) -> None:
    with pytest.raises(SOCKSError, match="closed the connection within"):
        await client.request(data, eof=True)


@pytest.mark.parametrize(
    ("data", "reply"),
    [
        (b"\4\1" + PORT + LOOPBACK + b"\0", b"\0\x5a" + bytes(6)),
        (b"\5\1\0\5\1\0\1" + LOOPBACK + PORT, CHOSEN + b"\5\0\0\1" + bytes(6)),
    ],
)
async def test_success(client: Client, data: bytes, reply: bytes) -> None:
    await client.request(data)
    await client.negotiation.succeed()
    assert client.replies() == reply


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ChannelOpenFailed(OpenFailure.ADMINISTRATIVELY_PROHIBITED, ""), 2),
        (ChannelOpenFailed(OpenFailure.CONNECT_FAILED, ""), 5),
        (ChannelOpenFailed(OpenFailure.RESOURCE_SHORTAGE, ""), 1),
        (ConnectionLost("gone"), 1),
    ],
)
async def test_failures_of_socks_5_have_their_code(
    client: Client, error: NacreError, code: int
) -> None:
    await client.request(b"\5\1\0\5\1\0\1" + LOOPBACK + PORT)
    await client.negotiation.fail(error)
    assert client.replies() == CHOSEN + bytes((5, code, 0, 1)) + bytes(6)


async def test_failures_of_socks_4_have_one_code(client: Client) -> None:
    await client.request(b"\4\1" + PORT + LOOPBACK + b"\0")
    await client.negotiation.fail(ConnectionLost("gone"))
    assert client.replies() == b"\0\x5b" + bytes(6)


async def test_a_client_of_no_known_version_gets_no_reply(client: Client) -> None:
    await client.negotiation.fail(ConnectionLost("gone"))
    assert client.replies() == b""
