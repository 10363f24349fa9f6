"""From a configuration to a connection that is logged in: reach the host, then log in.

Few modules load with this one: the others load while the socket connects. The order of reading:
:func:`dial_and_log_in`, then ProxyJump, then ProxyCommand.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from nacre.cli.common.dial import dial_host
from nacre.cli.common.log import Log
from nacre.client.target import Target
from nacre.config.client.config import ClientConfig
from nacre.config.client.files import Config
from nacre.value import replace
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.aio.connection import Trace
    from nacre.cli.common.login import LoginCapture, Patience
    from nacre.client.connection import Connection
    from nacre.client.route import Carrier

NO_FILES = Config(())


async def dial_and_log_in(
    target: Target,
    config: ClientConfig,
    log: Log,
    trace: Trace | None = None,
    files: Config = NO_FILES,
    capture: LoginCapture | None = None,
) -> Connection:
    """Connect to a host and log in, through its jump hosts or its proxy command if it has them.

    ConnectTimeout bounds each attempt to connect, then the time until the user is logged in: one
    time for the jump hosts and the host.

    :param trace: gets each event of the connection; None logs those that ``-v`` shows.
    :param files: what configures jump hosts: they get the user and the port of ProxyJump, the level
        of messages and BatchMode, and nothing else of ``config``.
    :param capture: sees the bytes of the connection, or None.
    :raises NacreError: what :func:`nacre.connect` raises. An error of a jump host names it.
    """
    config.check()
    if config.proxy_jump is not None:
        return await _log_in_through(target, config, log, trace, files, capture)
    loading = asyncio.create_task(_load())
    try:
        carrier = await _reach(target, config, log)
    finally:
        loading.cancel()
    log.debug("Connection established.")
    from nacre.aio.driver import set_service
    from nacre.cli.common.login import log_in

    connection = await log_in(carrier, target, config, log, trace, capture=capture)
    set_service(connection.driver, config.ip_qos[1])
    return connection


async def _load() -> None:
    """Load the modules of the protocol while the socket connects; yield between the parts."""
    import nacre.client.trust.files

    await asyncio.sleep(0)
    import nacre.ssh2.client

    await asyncio.sleep(0)
    import nacre.cli.common.login  # noqa: F401


# --- ProxyJump ---


async def _log_in_through(
    target: Target,
    config: ClientConfig,
    log: Log,
    trace: Trace | None,
    files: Config,
    capture: LoginCapture | None,
) -> Connection:
    from nacre.cli.common.login import Patience, log_in
    from nacre.client.configured import jumps
    from nacre.client.route import Hop, through
    from nacre.keys.hosts.known_hosts import host_name

    patience = Patience(config)
    way = await asyncio.to_thread(jumps, target, config, files)
    hops = [
        Hop(
            safe(host_name(place.name, place.port)),
            place.host,
            place.port,
            partial(_log_in_to_hop, place, _bounded_by(config, its), log, patience),
        )
        for place, its in way
    ]
    streams = await through(hops, target.host, target.port, patience.start)
    try:
        return await log_in(streams, target, config, log, trace, patience, capture)
    except BaseException:
        streams.abort()
        raise


async def _log_in_to_hop(
    place: Target, config: ClientConfig, log: Log, patience: Patience, carrier: Carrier | None
) -> Connection:
    from nacre.cli.common.login import log_in

    log.debug(f"Connecting to the jump host {safe(place.name)} port {place.port}.")
    if carrier is None:
        carrier = await _reach(place, config, log)
    return await log_in(carrier, place, config, log, None, patience)


def _bounded_by(config: ClientConfig, hop: ClientConfig) -> ClientConfig:
    """Return a jump host's configuration, with what holds for all hosts on the way."""
    if "ServerAliveInterval" not in hop.settings:
        hop = replace(
            hop,
            server_alive_interval=config.server_alive_interval,
            server_alive_count_max=config.server_alive_count_max,
        )
    return replace(
        hop,
        connect_timeout=hop.connect_timeout or config.connect_timeout,
        log_level=config.log_level,
        batch_mode=config.batch_mode,
    )


# --- ProxyCommand ---


async def _reach(target: Target, config: ClientConfig, log: Log) -> Carrier:
    """Connect to the host, or run its proxy command."""
    if config.proxy_command is None:
        return await dial_host(target, config, log.debug)
    from nacre.client.configured import proxy

    command, text = proxy(target, config.proxy_command)
    log.debug(f"Executing proxy command: exec {safe(text, 1000)}")
    if not config.proxy_use_fdpass:
        return await command.start()
    from nacre.cli.common.login import LOGIN

    return await command.receive_socket(config.connect_timeout or LOGIN)
