"""From a configuration to a connection that is logged in: dial, then log in.

Few modules load with this one: the others load while the socket connects.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nacre.cli.common.dial import dial_host
from nacre.cli.common.log import Log
from nacre.cli.common.target import Target
from nacre.config.client.config import ClientConfig

if TYPE_CHECKING:
    from nacre.aio.connection import Trace
    from nacre.client.connection import Connection


async def dial_and_log_in(
    target: Target, config: ClientConfig, log: Log, trace: Trace | None = None
) -> Connection:
    """Connect to a host and log in.

    ConnectTimeout bounds each attempt to connect, then the time until the user is logged in.

    :param trace: gets each event of the connection; None logs those that ``-v`` shows.
    :raises NacreError: what :func:`nacre.connect` raises.
    """
    config.check()
    loading = asyncio.create_task(_load())
    try:
        sock = await dial_host(target, config, log.debug)
    finally:
        loading.cancel()
    log.debug("Connection established.")
    from nacre.cli.common.login import log_in

    return await log_in(sock, target, config, log, trace)


async def _load() -> None:
    """Load the modules of the protocol while the socket connects; yield between the parts."""
    import nacre.client.trust

    await asyncio.sleep(0)
    import nacre.ssh2.engine

    await asyncio.sleep(0)
    import nacre.cli.common.login  # noqa: F401
