"""A connection of the library through a master: the master carries its channels and requests."""

from __future__ import annotations

import asyncio
import os
import socket

from nacre.aio.connection import Trace
from nacre.client.connection import Connection
from nacre.client.identities import Identities
from nacre.client.sharing import messages
from nacre.client.sharing.forwards import SharedForwards
from nacre.client.sharing.talk import asked, greeted
from nacre.client.target import Target
from nacre.client.trust.files import KnownHostsFile
from nacre.errors import ConnectFailed, MalformedMessage
from nacre.limits import Limits
from nacre.protocol.options import ClientOptions, algorithms
from nacre.ssh2.shared import SharedClient
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
    connection._forwards = SharedForwards(connection, path)
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
    sock = await greeted(path)
    try:
        answer = await asked(sock, messages.Proxy(0))
        if not isinstance(answer, messages.Proxied):
            why = safe(getattr(answer, "reason", "it has another answer"), 200)
            raise ConnectFailed(f"{safe(path)}: the master does not carry connections: {why}")
    except (OSError, MalformedMessage) as error:
        sock.close()
        if isinstance(error, ConnectFailed):
            raise
        raise ConnectFailed(f"no master answers at {safe(path)}: {error}") from error
    except BaseException:
        sock.close()
        raise
    return sock
