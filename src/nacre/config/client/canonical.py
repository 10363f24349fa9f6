"""Canonical names of hosts (CanonicalizeHostname of ssh_config(5)), and this host's addresses."""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from nacre.config.client.numeric import numeric
from nacre.config.syntax.match import in_list
from nacre.errors import ConfigurationError
from nacre.wire.text import safe

_SIOCGIFCONF = 0x8912
_MOST_INTERFACES = 1024


def canonical(host: str, value: Callable[[str], Any]) -> str:
    """Return the canonical name of a host, or ``host`` if there is none.

    :param value: returns the value of a keyword, or None.
    :raises ConfigurationError: no domain has the name, and CanonicalizeFallbackLocal is ``no``.
    """
    proxied = any(value(name) not in (None, "none") for name in ("ProxyCommand", "ProxyJump"))
    if proxied and value("CanonicalizeHostname") != "always":
        return host
    if numeric(host) is not None:
        return host
    aliases = value("CanonicalizePermittedCNAMEs") or ()
    if host.endswith("."):
        return _follow(host.rstrip("."), _look_up(host), aliases) or host.rstrip(".")
    dots = value("CanonicalizeMaxDots")
    domains = value("CanonicalDomains") or ()
    if host.count(".") <= (1 if dots is None else dots):
        for domain in domains:
            name = f"{host}.{domain}"
            if found := _follow(name, _look_up(f"{name}."), aliases):
                return found
    if domains and value("CanonicalizeFallbackLocal") is False:
        raise ConfigurationError(
            f"Could not resolve host {safe(host)!r}: none of the CanonicalDomains has it, and "
            "CanonicalizeFallbackLocal is no"
        )
    return host


def _look_up(name: str) -> str | None:
    """Return the canonical name that the DNS has for a name, or None: it has no address."""
    with suppress(OSError, UnicodeError):
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM, flags=socket.AI_CANONNAME)
        return (found[0][3] or name).rstrip(".").lower()
    return None


def _follow(name: str, official: str | None, aliases: tuple[tuple[str, str], ...]) -> str | None:
    """Return the name, or that of which it is a permitted alias; None if it has no address."""
    if official is None:
        return None
    permitted = any(in_list(name, here) and in_list(official, there) for here, there in aliases)
    return official if permitted else name


def local_addresses() -> Iterator[str]:
    """Yield the addresses of this host's interfaces, as far as the system tells them."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        yield from _addresses_of(sock)
    with suppress(OSError), open("/proc/net/if_inet6", encoding="ascii") as file:
        for line in file:
            yield str(ipaddress.IPv6Address(int(line.split()[0], 16)))


def _addresses_of(sock: socket.socket) -> Iterator[str]:
    """Yield the IPv4 addresses that SIOCGIFCONF reports (netdevice(7))."""
    import array

    size = struct.calcsize("16s24s")
    rows = array.array("B", bytes(size * _MOST_INTERFACES))
    address, length = rows.buffer_info()
    request = struct.pack("iP", length, address)
    used = struct.unpack("iP", fcntl.ioctl(sock.fileno(), _SIOCGIFCONF, request))[0]
    for at in range(0, used, size):
        yield socket.inet_ntoa(rows[at + 20 : at + 24].tobytes())
