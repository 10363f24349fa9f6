"""From a configuration to a connection that is logged in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nacre.cli.common.dial import Way, dial
from nacre.cli.common.log import Log
from nacre.cli.common.target import Target
from nacre.config.client import ClientConfig

if TYPE_CHECKING:
    from nacre.aio.connection import Trace
    from nacre.client.connection import Connection


async def dial_and_log_in(
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
    from nacre.cli.common.login import log_in

    return await log_in(sock, target, config, log, trace)


async def _load() -> None:
    """Load what speaks with a server, in parts: the way to it is found meanwhile."""
    import nacre.client.trust

    await asyncio.sleep(0)
    import nacre.ssh2.engine

    await asyncio.sleep(0)
    import nacre.cli.common.login  # noqa: F401
