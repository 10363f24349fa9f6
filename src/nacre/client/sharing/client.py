"""A connection of the library through a master: the master carries its channels and requests."""

from __future__ import annotations

import asyncio
import os
import socket

from nacre.aio.connection import Trace
from nacre.client.connection import Connection
from nacre.client.identities import Identities
from nacre.client.sharing import messages
from nacre.client.target import Target
from nacre.client.trust.files import KnownHostsFile
from nacre.errors import ConnectFailed, MalformedMessage
from nacre.limits import Limits
from nacre.protocol.options import ClientOptions, algorithms
from nacre.ssh2.shared import SharedClient
from nacre.wire.message import Record
from nacre.wire.text import safe


async def connect_shared(
    path: str, target: Target, limits: Limits, *, trace: Trace | None = None
) -> Connection:
    """Return a connection to what a master is connected to, whatever ``target`` says.

    :param path: the master's socket.
    :raises ConnectFailed: there is no master, or it does not carry connections.
    """
    sock = await _carried(path)
    options = ClientOptions(
        algorithms=algorithms(), limits=limits, trace=trace is not None, user=target.user
    )
    connection = Connection(
        SharedClient(options, random=os.urandom),
        host=target.host,
        port=target.port,
        user=target.user,
        # The master has asked both already.
        trust=KnownHostsFile(()),
        login=Identities(target.user, target.name),
        # OpenSSH's master does not answer keepalives; it has its own.
        keepalive=None,
        keepalive_count=1,
        trace=trace,
    )
    try:
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: connection.driver, sock=sock)
        await connection.wait_authenticated()
    except BaseException:
        connection.abort()
        raise
    return connection


async def _carried(path: str) -> socket.socket:
    """Return a socket to the master on which it carries packets."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, path)
        hello = messages.encode(messages.Hello(messages.VERSION, b""))
        await loop.sock_sendall(sock, hello + messages.encode(messages.Proxy(0)))
        first = await _receive(sock)
        if not isinstance(first, messages.Hello) or first.version != messages.VERSION:
            raise ConnectFailed(f"{safe(path)}: the master speaks another version of its protocol")
        answer = await _receive(sock)
        if not isinstance(answer, messages.Proxied):
            why = safe(getattr(answer, "reason", "it has another answer"), 200)
            raise ConnectFailed(f"{safe(path)}: the master does not carry connections: {why}")
    except (OSError, MalformedMessage) as error:
        sock.close()
        reason = getattr(error, "strerror", None) or error
        raise ConnectFailed(f"no master answers at {safe(path)}: {reason}") from error
    except BaseException:
        sock.close()
        raise
    return sock


async def _receive(sock: socket.socket) -> Record:
    """Return the next message. What follows it stays in the socket: packets may."""
    size = int.from_bytes(await _exactly(sock, 4), "big")
    if size > messages.MAXIMUM_MESSAGE:
        raise MalformedMessage(f"a message of {size} bytes is announced")
    return messages.decode(await _exactly(sock, size))


async def _exactly(sock: socket.socket, size: int) -> bytes:
    loop = asyncio.get_running_loop()
    data = b""
    while len(data) < size:
        more = await loop.sock_recv(sock, size - len(data))
        if not more:
            raise ConnectionResetError("the master ended the connection")
        data += more
    return data
