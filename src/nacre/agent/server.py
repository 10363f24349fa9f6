"""A server of the SSH agent protocol, over a Unix socket."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import Callable
from contextlib import suppress
from struct import Struct

from nacre.agent.keyring import AgentClient, Keyring
from nacre.agent.service import Log, serve
from nacre.aio.home import detach, own
from nacre.aio.waiting import Closes, Later, Opening
from nacre.errors import NotUsableHere

MAXIMUM_CLIENTS = 256
"""Connections at once; a further one is closed. Each holds up to one message of 256 KiB."""

_BACKLOG = 128
_CREDENTIALS = Struct("3i")  # struct ucred: pid, uid, gid


def _ignore(line: str) -> None:
    pass


def serve_agent(
    path: str | os.PathLike[str] | None, keyring: Keyring, *, log: Callable[[str], None] = _ignore
) -> Opening[AgentServer]:
    """Serve the keys of ``keyring`` as an SSH agent, for one's own signing service.

    ::

        async with nacre.serve_agent(None, MyKeyring()) as agent:
            print(f"SSH_AUTH_SOCK={agent.path}")
            await agent.wait_closed()

    Only programs of this process's account, and root's, are served.

    :param path: where to make the socket, with mode 0600; None makes it in a new directory, which
        others can't enter. Both are removed at the end.
    :param log: gets a line about each request that is refused.
    :raises OSError: the socket can't be made, for example because the path is in use.
    """

    async def start() -> AgentServer:
        server = AgentServer(listen_at(path), keyring, log)
        await server.start()
        return server

    return Opening(start)


class AgentSocketFile:
    """A listening Unix socket in the file system.

    :ivar path: the socket's path.
    :ivar sock: the socket.
    """

    def __init__(self, path: str, sock: socket.socket, directory: str | None) -> None:
        self.path = path
        self.sock = sock
        self._directory = directory
        self._file = os.stat(path)

    def remove(self) -> None:
        """Remove the socket, unless another one has taken its place, and its directory."""
        with suppress(OSError):
            if os.path.samestat(self._file, os.stat(self.path)):
                os.unlink(self.path)
        if self._directory is not None:
            with suppress(OSError):
                os.rmdir(self._directory)


def listen_at(path: str | os.PathLike[str] | None) -> AgentSocketFile:
    """Make a socket for an agent; see :func:`serve_agent`."""
    directory = None
    if path is None:
        directory = tempfile.mkdtemp(prefix="ssh-")  # with mode 0700
        path = os.path.join(directory, f"agent.{os.getpid()}")
    path = os.fspath(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
        # Nobody can connect before the socket listens.
        os.chmod(path, 0o600)
        sock.listen(_BACKLOG)
        return AgentSocketFile(path, sock, directory)
    except BaseException:
        sock.close()
        if directory is not None:
            with suppress(OSError):
                os.unlink(path)
            os.rmdir(directory)
        raise


class AgentServer(Closes):
    """An agent that :func:`serve_agent` started. ``async with`` closes it at the end.

    :ivar path: the socket's path, for ``SSH_AUTH_SOCK``.
    """

    def __init__(self, listening: AgentSocketFile, keyring: Keyring, log: Log) -> None:
        self.path = listening.path
        self._listening = listening
        self._keyring = keyring
        self._log = log
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()

    async def start(self) -> None:
        """Begin to accept clients."""
        own(self)
        self._server = await asyncio.start_unix_server(self._accept, sock=self._listening.sock)

    def disown(self, error: NotUsableHere) -> None:
        """Let go of the socket in a forked child; see :mod:`nacre.aio.home`."""
        detach([self._listening.sock.fileno()])
        self._server = None
        self._clients.clear()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = _client(writer.get_extra_info("socket"))
        if client.uid not in (-1, 0, os.geteuid()):
            self._log(f"a client of the account {client.uid} is refused: it is not the owner")
            writer.transport.abort()
        elif len(self._clients) >= MAXIMUM_CLIENTS:
            self._log(f"a client is refused: {MAXIMUM_CLIENTS} are connected")
            writer.transport.abort()
        else:
            task = asyncio.create_task(self._serve(reader, writer, client))
            self._clients.add(task)
            task.add_done_callback(self._clients.discard)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: AgentClient
    ) -> None:
        try:
            with suppress(OSError):
                await serve(reader, writer, self._keyring.for_client(client), self._log)
        finally:
            writer.transport.abort()

    def close(self) -> Later[None]:
        """Remove the socket and close all connections; await the result for the end of that."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._listening.remove()
            for task in self._clients:
                task.cancel()
            self._ended.set()
        return Later(self._wait_clients)

    async def _wait_clients(self) -> None:
        if self._clients:
            await asyncio.wait(set(self._clients))

    async def wait_closed(self) -> None:
        """Return when :meth:`close` was called."""
        await self._ended.wait()
        await self._wait_clients()


def _client(sock: socket.socket) -> AgentClient:
    """Return who connected, where the system tells it (``SO_PEERCRED``, unix(7))."""
    if not hasattr(socket, "SO_PEERCRED"):
        return AgentClient()
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(data)
    return AgentClient(uid, pid)
