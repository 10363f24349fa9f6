"""Unix sockets of forwardings with the rights of an account, where the server has others.

The server makes a socket, and a process connects or binds it with the account's rights
(:mod:`nacre.daemon.processes.kinds.socket_process`): the path leads where the account may go, a new
file belongs to it, and the program at the other end sees the account (SO_PEERCRED in unix(7)). Both
processes share the socket, so none is passed back. There is a process for each connection to a
path, and for each path that is listened on.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from nacre.daemon.processes.errand import Errand, run_errand
from nacre.daemon.processes.kinds.socket_process import request
from nacre.errors import ConnectFailed
from nacre.tunnels.unix import UnixSockets, reason_of
from nacre.value import value
from nacre.wire.text import safe


@value
class AccountSockets(UnixSockets):
    """Makes Unix sockets with the rights of an account.

    :ivar rights: the numbers of the user, the group, and all groups.
    :ivar root: the directory that is the account's root directory, or None.
    """

    rights: tuple[int, int, tuple[int, ...]] = (0, 0, ())
    root: str | None = None

    async def connect(self, path: str) -> socket.socket:
        """Have a process connect; see the base class."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            errand = await self._run(sock, path, None)
            errand.release()
            sock.setblocking(False)
        except OSError as error:
            sock.close()
            raise ConnectFailed(f"no connection to {safe(path)}: {reason_of(error)}") from error
        except BaseException:
            sock.close()
            raise
        return sock

    async def listen(self, path: str) -> tuple[socket.socket, Callable[[], None]]:
        """Have a process bind and listen; it removes the file when it is released, or orphaned."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            errand = await self._run(sock, path, (self.mask, self.replace))
        except BaseException:
            sock.close()
            raise
        return sock, errand.release

    async def _run(self, sock: socket.socket, path: str, listen: tuple[int, bool] | None) -> Errand:
        given = request(path, self.rights, self.root, listen)
        return await run_errand("socket", given, sock.fileno())
