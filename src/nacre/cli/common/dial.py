"""A TCP connection to a host as the configuration asks, with OpenSSH's words for errors."""

from __future__ import annotations

import socket
from collections.abc import Callable

from nacre.aio.dial import HostNotFound, Unreachable, dial, explain
from nacre.client.configured import dialing
from nacre.client.target import Target
from nacre.config.client.config import ClientConfig
from nacre.errors import ConnectFailed, DeadlineExceeded, NacreError
from nacre.wire.text import safe


async def dial_host(
    target: Target, config: ClientConfig, debug: Callable[[str], None]
) -> socket.socket:
    """Return a connected, non-blocking socket.

    :param debug: gets a line for each attempt, and for each that fails.
    :raises ConnectFailed: the name has no address, or no address accepted the connection.
    :raises DeadlineExceeded: the last address did not answer in time.
    """
    host, port = safe(target.host), target.port

    def report(address: str, error: OSError | None) -> None:
        if error is None:
            debug(f"Connecting to {host} [{address}] port {port}.")
        else:
            debug(f"connect to address {address} port {port}: {explain(error)}")

    try:
        return await dial(target.host, port, dialing(config, report))
    except HostNotFound as error:
        raise ConnectFailed(f"Could not resolve hostname {host}: {error.reason}") from error
    except Unreachable as error:
        raise _failure(host, port, config.bind_address, error.failures[-1]) from error


def _failure(host: str, port: int, bind: str | None, last: OSError) -> NacreError:
    if isinstance(last, socket.gaierror):
        return ConnectFailed(f"Could not resolve hostname {safe(bind or '')}: {explain(last)}")
    kind = DeadlineExceeded if isinstance(last, TimeoutError) else ConnectFailed
    return kind(f"connect to host {host} port {port}: {explain(last)}")
