"""Unix sockets that connections are forwarded from and to."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

from nacre.errors import ConnectFailed
from nacre.tunnels.unix_files import bind_unix, check, identity, remove
from nacre.value import value
from nacre.wire.text import safe


@value
class UnixSockets:
    """How the Unix sockets of forwardings are made: here with the rights of this process.

    :ivar mask: the permissions that a new socket's file does not get. The default leaves its owner
        alone the right to connect.
    :ivar replace: remove a file that is in the way, if it is a socket, before one is made.
    """

    mask: int = 0o177
    replace: bool = False

    async def connect(self, path: str) -> socket.socket:
        """Return a socket that is connected to the one at ``path``, and does not block.

        :raises ConnectFailed: no connection could be made.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            check(path)
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, path)
        except OSError as error:
            sock.close()
            raise ConnectFailed(f"no connection to {safe(path)}: {reason_of(error)}") from error
        except BaseException:
            sock.close()
            raise
        return sock

    async def listen(self, path: str) -> tuple[socket.socket, Callable[[], None]]:
        """Return a socket that listens at ``path``, and what removes its file.

        :raises OSError: the path can't be used.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            bind_unix(sock, path, mask=self.mask, replace=self.replace)
            made = identity(path)
        except BaseException:
            sock.close()
            raise
        return sock, lambda: remove(path, made)


def reason_of(error: OSError) -> str:
    """Return the system's text for an error."""
    return os.strerror(error.errno) if error.errno else str(error)
