"""The names of clients' addresses: UseDNS of sshd_config(5)."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from functools import cache, partial

from nacre.server.admission.sources import network_of
from nacre.server.admission.threads import FairThreads

_LOOKUPS = 8
_SHARE = 2
_NETWORK = (32, 64)
"""The bits of an IPv4 and of an IPv6 network whose clients share a part of the threads."""

PATIENCE = 10.0
"""Seconds for a lookup; after that the client has no name."""


@cache
def _threads() -> FairThreads:
    """Return threads for lookups.

    A name server that hangs must hold up no other work, and no lookup for another network: whoever
    has a network names its name server.
    """
    return FairThreads(_LOOKUPS, _SHARE)


async def name_of(address: str) -> str:
    """Return the name of an address, in lower case, or the address itself.

    A name counts only if the address is one of its addresses, because whoever owns the address can
    give it any name.
    """
    if not address:
        return address
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            network = network_of(address, _NETWORK)
            return await _threads().run(network, partial(look_up, address))
    return address


def endpoint_words(address: tuple[str, int]) -> str:
    """Return host and port as sshd's users know them: what is no address of a network has words."""
    host, port = address
    return f"{host} {port}" if host else "UNKNOWN 65535"


def look_up(address: str) -> str:
    """Do the work of :func:`name_of`. Blocks."""
    try:
        name = socket.getnameinfo((address, 0), socket.NI_NAMEREQD)[0].rstrip(".").lower()
        if _is_numeric(name):
            return address
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return address
    return name if any(where[0] == address for *_, where in found) else address


def _is_numeric(name: str) -> bool:
    """Tell whether a name is an address, which would pass for one in patterns of addresses."""
    try:
        socket.getaddrinfo(name, None, flags=socket.AI_NUMERICHOST)
    except OSError:
        return False
    return True
