"""Addresses in place of names of hosts, in any notation that the system's resolver takes."""

from __future__ import annotations

import re
import socket
from contextlib import suppress

_IPV4 = re.compile(r"[0-9a-fxA-FX.]+")


def numeric(host: str, family: str = "any") -> str | None:
    """Return an address in its usual notation, ``127.0.0.1`` for ``127.1``; None for a name.

    :param family: AddressFamily; an address of the other family counts as a name.
    """
    address, percent, zone = host.partition("%")
    with suppress(OSError, ValueError):
        if ":" in address and family != "inet":
            packed = socket.inet_pton(socket.AF_INET6, address)
            return f"{socket.inet_ntop(socket.AF_INET6, packed)}{percent}{zone}"
        if _IPV4.fullmatch(host) and family != "inet6":
            return socket.inet_ntoa(socket.inet_aton(host))
    return None
