"""The client without await: connections and processes."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from functools import wraps
from typing import IO, TYPE_CHECKING, Any, TypeAlias, Unpack

from nacre.blocking.agent import Agent
from nacre.blocking.background import (
    Attribute,
    Closing,
    Facade,
    background,
    plain,
    waiting,
    wrapping,
)
from nacre.blocking.forwarding import DeviceTunnel, Listener, Tunnel
from nacre.blocking.streams import Reader, Writer
from nacre.client import connect as _connect
from nacre.client import connection as _connection
from nacre.client import process as _process
from nacre.errors import NacreError
from nacre.keys import PublicKey
from nacre.protocol.events import Chosen

if TYPE_CHECKING:
    from nacre.blocking.sftp import SFTPClient
    from nacre.client.options import PassedOptions
    from nacre.sftp.client.options import SFTPOptions


class Process(Closing[_process.Process]):
    """A running command, shell or subsystem. ``with`` closes it at the end.

    Like :class:`nacre.Process`; its streams are raw files.
    """

    exit_status = Attribute[int | None]()
    exit_signal = Attribute[str | None]()

    def __init__(self, inner: _process.Process) -> None:
        super().__init__(inner)
        self.stdin = Writer(inner.stdin)
        self.stdout = Reader(inner.stdout)
        self.stderr = Reader(inner.stderr)

    wait = waiting(_process.Process.wait)
    send_signal = plain(_process.Process.send_signal)
    resize = plain(_process.Process.resize)
    send_break = waiting(_process.Process.send_break)
    wait_closed = waiting(_process.Process.wait_closed)

    def close(self) -> None:
        """Close the channel without waiting for the server, which then ends the process."""
        background.call_soon(self._inner.close)


class Connection(Closing[_connection.Connection]):
    """A client's connection. ``with`` closes it at the end; threads may share it.

    Like :class:`nacre.Connection`.
    """

    host = Attribute[str]()
    port = Attribute[int]()
    user = Attribute[str]()
    methods = Attribute[tuple[str, ...]]()
    peer_version = Attribute[str]()
    server_host_key = Attribute[PublicKey | None]()
    algorithms = Attribute[Chosen | None]()
    closed = Attribute[bool]()
    error = Attribute[NacreError | None]()
    forwarded = Attribute[tuple[str, ...]]()

    run = waiting(_connection.Connection.run)
    process = wrapping(_connection.Connection.process, Process)
    shell = wrapping(_connection.Connection.shell, Process)
    open_connection = wrapping(_connection.Connection.open_connection, Tunnel)
    open_unix_connection = wrapping(_connection.Connection.open_unix_connection, Tunnel)
    forward_local = wrapping(_connection.Connection.forward_local, Listener)
    forward_remote = wrapping(_connection.Connection.forward_remote, Listener)
    forward_dynamic = wrapping(_connection.Connection.forward_dynamic, Listener)
    forward_remote_dynamic = wrapping(_connection.Connection.forward_remote_dynamic, Listener)
    forward_tunnel = wrapping(_connection.Connection.forward_tunnel, DeviceTunnel)
    forward_agent = plain(_connection.Connection.forward_agent)
    forward_x11 = waiting(_connection.Connection.forward_x11)
    forwards_agent = Attribute[bool]()
    keepalive = waiting(_connection.Connection.keepalive)
    rekey = waiting(_connection.Connection.rekey)

    def sftp(
        self,
        command: str | bytes | None = None,
        *,
        subsystem: str = "sftp",
        **options: Unpack[SFTPOptions],
    ) -> SFTPClient:
        """Open an SFTP session; ``with`` closes it at the end.

        Like :meth:`nacre.Connection.sftp`.
        """
        from nacre.blocking.sftp import SFTPClient

        connection = self._inner
        return SFTPClient(
            background.call(lambda: connection.sftp(command, subsystem=subsystem, **options))
        )

    close = waiting(_connection.Connection.close)
    abort = plain(_connection.Connection.abort)
    wait_closed = waiting(_connection.Connection.wait_closed)


Jump: TypeAlias = str | Connection
"""A jump host, as :data:`nacre.Jump`."""

Sock: TypeAlias = socket.socket | Tunnel | tuple[Reader | IO[Any] | int, Writer | IO[Any] | int]
"""What a connection can use in place of a socket of its own, as :data:`nacre.Sock`."""


@wraps(_connect.connect, assigned=())  # for the signature of nacre.connect
def connect(
    host: str,
    port: int | None = None,
    *,
    jump: Jump | Sequence[Jump] | None = None,
    sock: Sock | None = None,
    agent: bool | Agent = True,
    **options: Unpack[PassedOptions],
) -> Connection:
    """Connect and log in, as :func:`nacre.connect` does, with the same parameters.

    :param jump: an open connection is one of this module.
    :param sock: a tunnel, or the streams of a pair, are those of this module; streams of asyncio
        belong to another loop.
    :param agent: an agent is one of this module.
    """
    way: dict[str, Any] = {"jump": _inner(jump), "sock": _inner(sock), "agent": _inner(agent)}
    return Connection(background.call(lambda: _connect.connect(host, port, **way, **options)))


def _inner(given: object) -> object:
    """Return what is in the loop in place of an object of this module, also within a list."""
    if isinstance(given, (Facade, Reader, Writer)):
        return given._inner
    if isinstance(given, (list, tuple)):
        return type(given)(map(_inner, given))
    return given
