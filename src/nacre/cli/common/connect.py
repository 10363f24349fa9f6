"""From a configuration to a connection that is logged in: reach the host, then log in.

Few modules load with this one: the others load while the socket connects. The order of reading:
:func:`dial_and_log_in`, then ProxyJump, then ProxyCommand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from nacre.cli.common.dial import dial_host
from nacre.cli.common.log import Log
from nacre.cli.common.target import Target
from nacre.config.client import ClientConfig
from nacre.value import replace
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.aio.connection import Trace
    from nacre.cli.common.login import Patience
    from nacre.client.connection import Connection
    from nacre.client.route import Carrier

HopOf: TypeAlias = Callable[[str], tuple[Target, ClientConfig]]
"""Returns a jump host and its configuration, for its ``[user@]host[:port]`` in ProxyJump."""


async def dial_and_log_in(
    target: Target,
    config: ClientConfig,
    log: Log,
    trace: Trace | None = None,
    hop: HopOf | None = None,
) -> Connection:
    """Connect to a host and log in, through its jump hosts or its proxy command if it has them.

    ConnectTimeout bounds each attempt to connect, then the time until the user is logged in: one
    time for the jump hosts and the host.

    :param trace: gets each event of the connection; None logs those that ``-v`` shows.
    :param hop: has the configuration of jump hosts. By default they get the user and the port of
        ProxyJump, the level of messages and BatchMode, and nothing else of ``config``.
    :raises NacreError: what :func:`nacre.connect` raises. An error of a jump host names it.
    """
    if config.proxy_jump is not None:
        return await _log_in_through(target, config, log, trace, hop or _plain(config))
    loading = asyncio.create_task(_load())
    try:
        carrier = await _reach(target, config, log)
    finally:
        loading.cancel()
    log.debug("Connection established.")
    from nacre.cli.common.login import log_in

    return await log_in(carrier, target, config, log, trace)


async def _load() -> None:
    """Load the modules of the protocol while the socket connects; yield between the parts."""
    import nacre.client.trust

    await asyncio.sleep(0)
    import nacre.ssh2.engine

    await asyncio.sleep(0)
    import nacre.cli.common.login  # noqa: F401


# --- ProxyJump ---


async def _log_in_through(
    target: Target, config: ClientConfig, log: Log, trace: Trace | None, hop: HopOf
) -> Connection:
    from nacre.cli.common.login import Patience, log_in
    from nacre.client.route import Hop, through
    from nacre.keys.known_hosts import host_name

    patience = Patience(config)
    hops = [
        Hop(
            safe(host_name(place.name, place.port)),
            place.host,
            place.port,
            partial(_log_in_to_hop, place, _bounded_by(config, its), log, patience),
        )
        for place, its in jumps(target, config, hop)
    ]
    streams = await through(hops, target.host, target.port, patience.start)
    try:
        return await log_in(streams, target, config, log, trace, patience)
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


def jumps(target: Target, config: ClientConfig, hop: HopOf) -> list[tuple[Target, ClientConfig]]:
    """Return the jump hosts of a host in the order in which to visit them.

    The first of them may have jump hosts of its own. The others are reached through the one before,
    whatever their configuration says.

    :raises ConfigurationError: they are too many, or one comes twice, or is the host itself.
    """
    from nacre.config.destination import check_count
    from nacre.config.tokens import expand
    from nacre.errors import ConfigurationError

    visited = {_place(target)}
    way: list[tuple[Target, ClientConfig]] = []
    while config.proxy_jump is not None:
        texts = expand(config.proxy_jump, _tokens(target)).split(",")
        check_count(len(texts) + len(way))
        before = [hop(text.strip()) for text in texts]
        for place, _ in before:
            if _place(place) in visited:
                raise ConfigurationError(
                    f"ProxyJump leads to {place.destination} port {place.port} twice: leave it out "
                    "of the jump hosts of the hosts before, or give that host ProxyJump=none"
                )
            visited.add(_place(place))
        way[:0] = before
        target, config = before[0]
    return way


def _place(target: Target) -> tuple[str, int, str]:
    return target.host.lower(), target.port, target.user


def _plain(config: ClientConfig) -> HopOf:
    """Return the configurations of jump hosts without configuration files, as of ``ssh -J``."""
    from nacre.config.destination import parse

    def hop(text: str) -> tuple[Target, ClientConfig]:
        destination = parse("ProxyJump", text)
        its = ClientConfig(
            user=destination.user,
            port=destination.port or 22,
            log_level=config.log_level,
            batch_mode=config.batch_mode,
        )
        return Target.of(destination.host, its), its

    return hop


def _bounded_by(config: ClientConfig, hop: ClientConfig) -> ClientConfig:
    """Return a jump host's configuration with the times of the host where it has none."""
    if not hop.server_alive_interval:
        hop = replace(
            hop,
            server_alive_interval=config.server_alive_interval,
            server_alive_count_max=config.server_alive_count_max,
        )
    return replace(hop, connect_timeout=hop.connect_timeout or config.connect_timeout)


# --- ProxyCommand ---


async def _reach(target: Target, config: ClientConfig, log: Log) -> Carrier:
    """Connect to the host, or run its proxy command."""
    if config.proxy_command is None:
        return await dial_host(target, config, log.debug)
    from nacre.client.proxy import ProxyCommand
    from nacre.config.destination import check_host, check_user
    from nacre.config.tokens import expand

    for name in (target.name, target.host):
        check_host(name)
    check_user(target.user)
    command = expand(config.proxy_command, _tokens(target))
    log.debug(f"Executing proxy command: exec {safe(command, 1000)}")
    proxy = ProxyCommand(command)
    if not config.proxy_use_fdpass:
        return await proxy.start()
    from nacre.cli.common.login import LOGIN

    return await proxy.receive_socket(config.connect_timeout or LOGIN)


def _tokens(target: Target) -> dict[str, str]:
    """Return the tokens of ProxyCommand and ProxyJump (ssh_config(5), TOKENS)."""
    every = target.tokens()
    return {name: every[name] for name in "hnpr"}
