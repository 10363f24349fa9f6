"""From a configuration to a connection that is logged in."""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
from typing import TYPE_CHECKING

from nacre.client.dial import Way, dial
from nacre.client.log import Log
from nacre.config.client import ClientConfig
from nacre.config.tokens import expand
from nacre.value import value
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.runtime.base import Trace
    from nacre.runtime.connection import Connection


@value
class Target:
    """Whom to reach.

    :ivar name: the host as the user gave it.
    :ivar host: the host to connect to, as HostName has it.
    """

    name: str
    host: str
    port: int
    user: str

    @classmethod
    def of(cls, name: str, config: ClientConfig) -> Target:
        """Return what ``config`` makes of a host's name."""
        host = expand(config.host_name or "%h", {"h": name})
        return cls(name, host, config.port, config.user or getpass.getuser())

    @property
    def whom(self) -> str:
        """``user@host``, safe to print."""
        return f"{safe(self.user)}@{safe(self.name)}"

    def tokens(self) -> dict[str, str]:
        """Return what percent tokens in configuration values stand for."""
        return {
            "d": os.path.expanduser("~"),
            "h": self.host,
            "i": str(os.getuid()),
            "L": socket.gethostname().partition(".")[0],
            "l": socket.gethostname(),
            "n": self.name,
            "p": str(self.port),
            "r": self.user,
            "u": getpass.getuser(),
        }


async def log_in(
    target: Target, config: ClientConfig, log: Log, trace: Trace | None = None
) -> Connection:
    """Connect and log in.

    ConnectTimeout counts for the dialling, and again until the host key is at hand.

    :raises NacreError: what :func:`nacre.connect` raises.
    """
    way = Way(
        target.host,
        target.port,
        config.address_family,
        config.bind_address,
        config.connection_attempts,
        config.connect_timeout,
        config.tcp_keep_alive,
    )
    loading = asyncio.create_task(_load())
    try:
        sock = await dial(way, log.debug)
    finally:
        loading.cancel()
    from nacre.client.handshake import shake_hands

    return await shake_hands(sock, target, config, log, trace)


async def _load() -> None:
    """Load what speaks with a server, in parts: the way to it is found meanwhile."""
    import nacre.runtime.trust

    await asyncio.sleep(0)
    import nacre.ssh2.engine

    await asyncio.sleep(0)
    import nacre.client.handshake  # noqa: F401
