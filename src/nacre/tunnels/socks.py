"""The server's side of SOCKS 4, 4a and 5 (RFC 1928), for TCP connections only."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from struct import unpack

from nacre.errors import ChannelOpenFailed, ConnectFailed, NacreError
from nacre.wire.numbers import OpenFailure

NEGOTIATION = 30.0
"""Seconds that a client has to send its request."""

_CONNECT = 1
_NO_AUTHENTICATION = 0
_NO_METHOD = 0xFF
_IPV4, _NAME, _IPV6 = 1, 3, 4
_TEXT = 255
_NOWHERE = bytes(6)

_REASONS: dict[int, int] = {
    OpenFailure.ADMINISTRATIVELY_PROHIBITED: 2,
    OpenFailure.CONNECT_FAILED: 5,
}
"""The reply of SOCKS 5 for a channel's failure code; it is 1 for all others (section 6)."""


class SOCKSError(Exception):
    """The client's bytes are no request that this proxy serves."""


class Negotiation:
    """One client's request, read without a byte of what follows it.

    :param receive: returns at most so many bytes from the client; b"" at their end.
    :param send: sends bytes to the client.
    """

    def __init__(
        self,
        receive: Callable[[int], Awaitable[bytes]],
        send: Callable[[bytes], Awaitable[None]],
    ) -> None:
        self._receive = receive
        self._reply = send
        self._version = 0

    @classmethod
    def of(cls, sock: socket.socket) -> Negotiation:
        """Return that of a client at the other end of a socket that does not block."""
        loop = asyncio.get_running_loop()
        return cls(partial(loop.sock_recv, sock), partial(loop.sock_sendall, sock))

    async def request(self) -> tuple[str, int]:
        """Return the host and port that the client wants to connect to.

        :raises SOCKSError: it uses another protocol, or requests something else than CONNECT.
        :raises OSError: the socket failed.
        """
        (self._version,) = await self._read(1)
        if self._version == 4:
            return await self._request4()
        if self._version == 5:
            return await self._request5()
        raise SOCKSError(f"version {self._version} is not SOCKS 4 or 5")

    async def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            if not (more := await self._receive(size - len(data))):
                raise SOCKSError("the client closed the connection within its request")
            data += more
        return data

    async def _request4(self) -> tuple[str, int]:
        command, port, address = unpack(">BH4s", await self._read(7))
        await self._read_text()  # the client's user name, which is not checked
        # SOCKS 4a: an invalid address 0.0.0.x announces that a name follows.
        name = await self._read_text() if address[:3] == bytes(3) and address[3] else b""
        if command != _CONNECT:
            await self._reply(b"\x00\x5b" + _NOWHERE)
            raise SOCKSError(f"command {command} is not supported")
        return _text(name) if name else str(IPv4Address(address)), port

    async def _read_text(self) -> bytes:
        text = b""
        while (byte := await self._read(1)) != b"\0":
            text += byte
            if len(text) > _TEXT:
                raise SOCKSError(f"a text of more than {_TEXT} bytes")
        return text

    async def _request5(self) -> tuple[str, int]:
        (count,) = await self._read(1)
        if _NO_AUTHENTICATION not in await self._read(count):
            await self._reply(bytes((5, _NO_METHOD)))
            raise SOCKSError("the client wants to authenticate, which this proxy does not do")
        await self._reply(bytes((5, _NO_AUTHENTICATION)))
        version, command, _, kind = await self._read(4)
        if version != 5 or kind not in (_IPV4, _NAME, _IPV6):
            await self._reply(b"\x05\x08\x00\x01" + _NOWHERE)
            raise SOCKSError("a request that is not of SOCKS 5")
        if kind == _NAME:
            (size,) = await self._read(1)
            host = _text(await self._read(size))
        elif kind == _IPV4:
            host = str(IPv4Address(await self._read(4)))
        else:
            host = str(IPv6Address(await self._read(16)))
        port = int.from_bytes(await self._read(2), "big")
        if command != _CONNECT:
            await self._reply(b"\x05\x07\x00\x01" + _NOWHERE)
            raise SOCKSError(f"command {command} is not supported")
        return host, port

    async def succeed(self) -> None:
        """Reply that the connection is established."""
        await self._reply((b"\x00\x5a" if self._version == 4 else b"\x05\x00\x00\x01") + _NOWHERE)

    async def fail(self, error: NacreError) -> None:
        """Reply that the connection failed, and why."""
        if self._version == 4:
            await self._reply(b"\x00\x5b" + _NOWHERE)
        elif self._version == 5:
            failed = OpenFailure.CONNECT_FAILED if isinstance(error, ConnectFailed) else 0
            code = error.code if isinstance(error, ChannelOpenFailed) else failed
            await self._reply(bytes((5, _REASONS.get(code, 1), 0, _IPV4)) + _NOWHERE)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
