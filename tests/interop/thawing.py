"""Serves one connection that a server in another process let in; also the link between the two.

The program gets one end of a socket pair. Over it come the state of the connection and its socket;
signatures with the host key, which it does not have, are asked for over it too.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable

from interop.programs import environment
from nacre.errors import KeyFormatError
from nacre.keys import PrivateKey, PublicKey, decode_public
from nacre.keys.base import RemoteKey
from nacre.protocol.frozen import MOST, FrozenServer
from nacre.server.listen import Server
from nacre.server.peer import ConnectionTerms, ServerConnection
from nacre.server.policy import Policy
from nacre.server.settings import ServerSettings
from nacre.wire.codec import WireReader, string, text
from parties import handle

_SIZE = 4


class AnySession(Policy):
    """Grants every session; it decides on no login."""

    def session_request(self, *about: object) -> bool:
        return True


async def read_message(reader: asyncio.StreamReader) -> bytes:
    """Return the next message of the link."""
    size = int.from_bytes(await reader.readexactly(_SIZE), "big")
    return await reader.readexactly(size)


class Gate:
    """Lets users in, and starts a process for each connection.

    :ivar ended: the exit statuses of those processes.
    """

    def __init__(self, key: PrivateKey, policy: Policy, changed: Callable[[], None]) -> None:
        self.ended: list[int] = []
        self._key = key
        self._changed = changed
        self.server = Server(
            ServerSettings(host_keys=[key], policy=policy, hand_over=self._hand_over)
        )

    async def _hand_over(
        self, connection: ServerConnection, frozen: FrozenServer, sock: socket.socket
    ) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                __file__,
                str(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                env=environment(PYTHONPATH=os.pathsep.join(sys.path)),
            )
        state = string(self._key.public.blob) + string(frozen.encode())
        socket.send_fds(ours, [len(state).to_bytes(_SIZE, "big") + state], [sock.fileno()])
        self.server.spawn(self._accompany(process, ours))

    async def _accompany(self, process: asyncio.subprocess.Process, link: socket.socket) -> None:
        """Sign for the process until it ends."""
        reader, writer = await asyncio.open_connection(sock=link)
        try:
            while True:
                asked = WireReader(await read_message(reader))
                algorithm, data = asked.text(), asked.string()
                writer.write(string(self._key.sign(data, algorithm)))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()
        self.ended.append(await process.wait())
        self._changed()


async def serve(link: socket.socket) -> None:
    """Serve the connection that comes over the link, until it ends."""
    data, descriptors, _, _ = socket.recv_fds(link, MOST, 1)
    assert len(data) == _SIZE + int.from_bytes(data[:_SIZE], "big")
    message = WireReader(data[_SIZE:])
    public = decode_public(message.string())
    frozen = FrozenServer.decode(message.string())
    reader, writer = await asyncio.open_connection(sock=link)

    async def sign(key: PublicKey, data: bytes, algorithm: str) -> bytes:
        if key != public:
            raise KeyFormatError("another key")
        writer.write(string(text(algorithm) + string(data)))
        return await read_message(reader)

    settings = ServerSettings(
        host_keys=[RemoteKey(public)],
        policy=AnySession(),
        handler=handle,
        terms=ConnectionTerms(sign_host=sign),
    )
    server = Server(settings)
    connection = await server.attach(socket.socket(fileno=descriptors[0]), frozen)
    await connection.wait_closed()
    await server.close()
    writer.close()


if __name__ == "__main__":
    asyncio.run(serve(socket.socket(fileno=int(sys.argv[1]))))
