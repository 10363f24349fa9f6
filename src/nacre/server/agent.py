"""Agent forwarding at the server: a Unix socket that leads to the client's agent.

OpenSSH's channels of type ``auth-agent@openssh.com`` (PROTOCOL.agent in its source); SSH-1 has the
same as SSH_SMSG_AGENT_OPEN.
"""

from __future__ import annotations

import os
import socket
import tempfile
from contextlib import suppress
from typing import Any

from nacre.aio.waiting import ClosesAtOnce
from nacre.protocol.tcpip import AGENT_CHANNEL
from nacre.server.offer import offer
from nacre.server.peer import ServerConnection
from nacre.tunnels.listeners import Listening

_SOCKET = "agent"


class AgentSocket(ClosesAtOnce):
    """A Unix socket that leads to the client's agent. ``async with`` removes it at the end.

    It lies in a directory of its own that only its owner, and root, can enter.

    :ivar path: the socket's path.
    """

    def __init__(self, connection: ServerConnection, owner: tuple[int, int] | None) -> None:
        self._connection = connection
        self._process = os.getpid()
        directory = tempfile.mkdtemp(prefix="nacre-")  # with mode 0700
        self.path = os.path.join(directory, _SOCKET)
        try:
            self._directory = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            os.rmdir(directory)
            raise
        sock: socket.socket | None = None
        try:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.bind(self.path)
            os.chmod(self.path, 0o600)
            sock.listen()
            if owner is not None:
                os.chown(self.path, *owner)
                os.fchown(self._directory, *owner)
        except BaseException:
            if sock is not None:
                sock.close()
            self._remove()
            raise
        self._listening = Listening(connection, [sock], self._take)

    async def _take(self, sock: socket.socket, originator: Any) -> None:
        await offer(self._connection, AGENT_CHANNEL, b"", sock)

    def _remove(self) -> None:
        if os.getpid() != self._process:
            return  # in a forked child: the socket is still the parent's
        # By its descriptor: the directory's owner could have put another one in its place.
        with suppress(OSError):
            os.unlink(_SOCKET, dir_fd=self._directory)
        os.close(self._directory)
        with suppress(OSError):
            os.rmdir(os.path.dirname(self.path))

    def close(self) -> None:
        """Remove the socket; connections that were accepted stay open."""
        self._listening.close()
        self._remove()


async def open_agent_socket(
    connection: ServerConnection, owner: tuple[int, int] | None
) -> AgentSocket:
    """Make the socket; see :meth:`Session.agent_socket` for ``owner`` and the errors."""
    return AgentSocket(connection, owner)
