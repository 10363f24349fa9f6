"""Unix sockets of forwardings with the rights of an account, where the server has others.

The server makes a socket, and a process (:mod:`nacre.daemon.processes.socket_process`) connects or
binds it with the account's rights: the path leads where the account may go, a new file belongs to
it, and the program at the other end sees the account (SO_PEERCRED in unix(7)). Both processes share
the socket, so none is passed back. A process starts in about 20 ms, for each connection to a path
and for each path that is listened on.
"""

from __future__ import annotations

import asyncio
import os
import socket
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable

from nacre.daemon.processes.socket_process import command_line, environment
from nacre.errors import ConnectFailed
from nacre.tunnels.unix import UnixSockets, reason_of
from nacre.value import value
from nacre.wire.text import safe

_PATIENCE = 30.0
"""Seconds that a process has: a program that accepts nothing makes the connecting wait."""

ENDING: set[asyncio.Future[tuple[bytes, bytes]]] = set()
"""The ends of processes that were told to end, each until it has come."""


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
            process = await self._run(sock, path, None)
            await process.wait()
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
            process = await self._run(sock, path, (self.mask, self.replace))
        except BaseException:
            sock.close()
            raise
        stdin = process.stdin
        assert stdin is not None

        def release() -> None:
            stdin.close()
            task = asyncio.ensure_future(process.communicate())
            ENDING.add(task)
            task.add_done_callback(ENDING.discard)

        return sock, release

    async def _run(
        self, sock: socket.socket, path: str, listen: tuple[int, bool] | None
    ) -> asyncio.subprocess.Process:
        """Start the process and return when it has done its step.

        :raises OSError: it failed, or could not be started.
        """
        variables = environment(sock.fileno(), path, self.rights, self.root, listen)
        process = await asyncio.create_subprocess_exec(
            *command_line(),
            stdin=DEVNULL if listen is None else PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env=variables,
            cwd="/",
            start_new_session=True,
            pass_fds=[sock.fileno()],
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_PATIENCE):
                said = await process.stdout.readline()
        except TimeoutError:
            process.kill()
            raise TimeoutError(f"nothing has accepted it for {_PATIENCE:g} seconds") from None
        except BaseException:
            process.kill()
            raise
        if said != b"0\n":
            await process.wait()
            number = int(said) if said.strip().isdigit() else 0
            raise OSError(number, os.strerror(number) if number else "the process failed")
        return process
