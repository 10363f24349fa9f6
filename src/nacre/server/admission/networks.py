"""Networks of addresses, and which of them an address is in."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Generic, TypeAlias, TypeVar

from nacre.errors import ConfigurationError
from nacre.wire.text import safe

V = TypeVar("V")

Network: TypeAlias = tuple[int, int, int]
"""The version of IP (4 or 6), the bits of the prefix, and the address as a number."""

_BITS = {4: 32, 6: 128}


def parse_network(text: str) -> Network:
    """Parse ``192.0.2.0/24``, ``2001:db8::/32`` or an address.

    A network of addresses that stand for IPv4 (``::ffff:192.0.2.0/120``) is one of IPv4.

    :raises ConfigurationError: it is neither, or has bits behind its prefix.
    """
    try:
        found = ipaddress.ip_network(text.strip())
    except ValueError as error:
        raise ConfigurationError(
            f"{safe(text, 64)!r} is no network: {safe(str(error), 128)}; give for example "
            "192.0.2.0/24, 2001:db8::/32 or an address"
        ) from None
    first = found.network_address
    mapped = first.ipv4_mapped if isinstance(first, ipaddress.IPv6Address) else None
    if mapped is not None and found.prefixlen >= 96:
        return 4, found.prefixlen - 96, int(mapped)
    return found.version, found.prefixlen, int(first)


def show_network(network: Network) -> str:
    """Return the text of a network; that of a single address is the address."""
    version, prefix, number = network
    if version == 4:
        address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.IPv4Address(number)
    else:
        address = ipaddress.IPv6Address(number)
    return str(address) if prefix == _BITS[version] else f"{address}/{prefix}"


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Parse networks; in each text, commas may separate several.

    :raises ConfigurationError: one of them can't be parsed.
    """
    return tuple(parse_network(one) for text in texts for one in text.split(","))


def host_network(host: str, bits: tuple[int, int] = (32, 128)) -> Network | None:
    """Return the network of a client's address; None for no address, as that of a Unix socket.

    :param bits: the size of an IPv4 and of an IPv6 network.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    version = address.version
    prefix = min(bits[version == 6], _BITS[version])
    spare = _BITS[version] - prefix
    return version, prefix, int(address) >> spare << spare


class NetworkTable(Generic[V]):
    """Values by networks. A look-up costs one step for each size of network that is there."""

    def __init__(self) -> None:
        self._tables: dict[tuple[int, int], dict[int, V]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __setitem__(self, network: Network, value: V) -> None:
        version, prefix, number = network
        table = self._tables.setdefault((version, prefix), {})
        self._count += number not in table
        table[number] = value

    def get(self, network: Network) -> V | None:
        """Return the value of exactly this network."""
        version, prefix, number = network
        return self._tables.get((version, prefix), {}).get(number)

    def remove(self, network: Network) -> None:
        """Remove a network, if it is there."""
        version, prefix, number = network
        table = self._tables.get((version, prefix), {})
        if number in table:
            del table[number]
            self._count -= 1
            if not table:
                del self._tables[version, prefix]

    def holding(self, network: Network) -> Iterator[V]:
        """Return the values of the networks that a network is in."""
        wanted, bits, number = network
        for (version, prefix), table in self._tables.items():
            if version != wanted or prefix > bits:
                continue
            spare = _BITS[version] - prefix
            found = table.get(number >> spare << spare)
            if found is not None:
                yield found


class NetworkSet:
    """A set of networks."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._table = NetworkTable[bool]()
        for one in networks:
            self._table[one] = True

    def __bool__(self) -> bool:
        return len(self._table) > 0

    def __contains__(self, host: object) -> bool:
        network = host_network(host) if isinstance(host, str) else None
        return network is not None and any(self._table.holding(network))
