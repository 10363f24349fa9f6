"""A client's conversation with a master, over asyncio: the greeting, and one request at a time."""

from __future__ import annotations

import asyncio
import socket

from nacre.client.sharing import messages
from nacre.errors import ConnectFailed, MalformedMessage
from nacre.wire.message import Record
from nacre.wire.text import safe


async def greeted(path: str) -> socket.socket:
    """Return a socket to a master, which was greeted.

    :raises ConnectFailed: there is none, or it speaks another version of the protocol.
    """
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, path)
        hello = await asked(sock, messages.Hello(messages.VERSION, b""))
        if not isinstance(hello, messages.Hello) or hello.version != messages.VERSION:
            raise ConnectFailed(f"{safe(path)}: the master speaks another version of its protocol")
    except (OSError, MalformedMessage) as error:
        sock.close()
        if isinstance(error, ConnectFailed):
            raise
        reason = getattr(error, "strerror", None) or error
        raise ConnectFailed(f"no master answers at {safe(path)}: {reason}") from error
    except BaseException:
        sock.close()
        raise
    return sock


async def asked(sock: socket.socket, message: Record) -> Record:
    """Send a message, and return the next one that the master sends.

    :raises OSError: the master is gone.
    :raises MalformedMessage: it sends no message.
    """
    await asyncio.get_running_loop().sock_sendall(sock, messages.encode(message))
    return await receive(sock)


async def receive(sock: socket.socket) -> Record:
    """Return the next message. What follows it stays in the socket: packets may.

    :raises OSError: the master is gone.
    :raises MalformedMessage: it sends no message.
    """
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
