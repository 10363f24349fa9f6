"""The way to a host: names, addresses, TCP, with the words of OpenSSH for what goes wrong."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any, Literal

from nacre.aio.dial import look_up
from nacre.errors import ConnectFailed, DeadlineExceeded
from nacre.value import value

_FAMILIES = {"any": socket.AF_UNSPEC, "inet": socket.AF_INET, "inet6": socket.AF_INET6}
_PAUSE = 1.0
"""Seconds between attempts, as ssh_config(5) says of ConnectionAttempts."""


@value
class Way:
    """How to reach a host.

    :ivar bind: the address to connect from, or None.
    :ivar attempts: how often all of the host's addresses are tried.
    :ivar timeout: seconds for each address, or None for as long as the system takes.
    :ivar keepalive: let TCP find out that the peer is gone.
    """

    host: str
    port: int
    family: Literal["any", "inet", "inet6"] = "any"
    bind: str | None = None
    attempts: int = 1
    timeout: float | None = None
    keepalive: bool = True


async def dial(way: Way, debug: Callable[[str], None]) -> socket.socket:
    """Return a connected, non-blocking socket; each address of the host is tried in turn.

    :raises ConnectFailed: no address took us; the last one's error is told.
    :raises DeadlineExceeded: the last one did not answer in time.
    """
    addresses = await _resolve(way.host, way.port, way)
    failure: BaseException = ConnectFailed("no address")
    for attempt in range(way.attempts):
        if attempt:
            await asyncio.sleep(_PAUSE)
        for family, kind, protocol, _, address in addresses:
            debug(f"Connecting to {way.host} [{address[0]}] port {way.port}.")
            try:
                return await _connect(way, socket.socket(family, kind, protocol), address)
            except OSError as error:
                failure = error
                debug(f"connect to address {address[0]} port {way.port}: {_reason(error)}")
    kind_of = DeadlineExceeded if isinstance(failure, TimeoutError) else ConnectFailed
    raise kind_of(f"connect to host {way.host} port {way.port}: {_reason(failure)}") from failure


async def _resolve(host: str, port: int, way: Way) -> list[Any]:
    try:
        return await look_up(host, port, _FAMILIES[way.family])
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConnectFailed(f"Could not resolve hostname {host}: {reason}") from error


async def _connect(way: Way, sock: socket.socket, address: Any) -> socket.socket:
    try:
        sock.setblocking(False)
        if way.keepalive:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if way.bind is not None:
            (source, *_) = await _resolve(way.bind, 0, way)
            sock.bind(source[4])
        async with asyncio.timeout(way.timeout):
            await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return "Connection timed out" if isinstance(error, TimeoutError) else str(error)
