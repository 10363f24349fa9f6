"""The criteria of Match, and lists of patterns and networks (ssh_config(5), PATTERNS)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from nacre.config.syntax.lexer import words
from nacre.errors import ConfigurationError
from nacre.keys.patterns import match_list
from nacre.value import value
from nacre.wire.text import safe

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

_BITS = re.compile(r"[0-9]{1,3}")

_MAY_BE_EMPTY = ("command", "tagged")
"""Criteria whose argument "" asks whether there is none."""


@value
class Criterion:
    """A criterion of Match.

    :ivar negated: whether it is met where ``argument`` does not match.
    """

    name: str
    negated: bool
    argument: str = ""


def parse_criteria(text: str, arguments: Mapping[str, bool]) -> tuple[Criterion, ...]:
    """Parse the criteria of a Match line.

    :param arguments: the criteria that exist, and whether each has an argument.
    :raises ConfigurationError: one is unknown, lacks its argument, or stands behind ``all``.
    """
    found: list[Criterion] = []
    rest = words(text)
    while rest:
        first = rest.pop(0)
        written, equals, argument = first.partition("=")
        name = written.lower().removeprefix("!")
        if name not in arguments:
            raise ConfigurationError(
                f"Match: unknown criterion {safe(written, 100)}; allowed: {', '.join(arguments)}"
            )
        if arguments[name] and not equals:
            if not rest:
                raise ConfigurationError(f"Match {name}: the value is missing")
            argument = rest.pop(0)
        if arguments[name] and not argument and name not in _MAY_BE_EMPTY:
            raise ConfigurationError(f"Match {name}: the value is empty")
        if equals and not arguments[name]:
            raise ConfigurationError(f"Match {name} takes no value")
        found.append(Criterion(name, written.startswith("!"), argument))
    names = [criterion.name for criterion in found]
    if not names:
        raise ConfigurationError(f"Match: a criterion is missing; allowed: {', '.join(arguments)}")
    if "all" in names[:-1]:
        raise ConfigurationError("Match: all can't stand before other criteria")
    return tuple(found)


def meets(criteria: Iterable[Criterion], test: Callable[[Criterion], bool]) -> bool:
    """Return whether all criteria are met; after the first that is not, no more are tested."""
    return all(test(criterion) != criterion.negated for criterion in criteria)


def in_list(text: str | None, patterns: str, *, lower: bool = False) -> bool:
    """Return whether a text matches a list of patterns with commas between them."""
    if text is None:
        return False
    return match_list(text, (patterns.lower() if lower else patterns).split(",")) is True


@value
class Networks:
    """A list of addresses, networks, and patterns of addresses, which may be negated.

    :ivar parts: for each, whether it is negated, its network or None, and its pattern.
    """

    parts: tuple[tuple[bool, IPv4Network | IPv6Network | None, str], ...]

    def __contains__(self, address: str) -> bool:
        """Return whether an address is in the list; a negated part overrides all others."""
        own = _address(address)
        found = False
        for negated, network, pattern in self.parts:
            if network is None:
                met = own is not None and match_list(address, (pattern,)) is True
            else:
                met = own is not None and own.version == network.version and own in network
            if met and negated:
                return False
            found = found or met
        return found


def parse_networks(keyword: str, text: str) -> Networks:
    """Parse a list such as ``192.0.2.0/24,!192.0.2.7,2001:db8::*``.

    :param keyword: for messages.
    :raises ConfigurationError: a part is empty, or its network is not possible.
    """
    from ipaddress import ip_network

    found = []
    for part in text.split(","):
        pattern = part.removeprefix("!")
        if not pattern:
            raise ConfigurationError(f"{keyword}: {safe(text, 100)!r} has an empty part")
        host, slash, bits = pattern.partition("/")
        network = None
        if _address(host) is not None and (not slash or _BITS.fullmatch(bits)):
            try:
                network = ip_network(pattern)
            except ValueError as error:
                raise ConfigurationError(
                    f"{keyword}: {safe(pattern, 100)!r} is no network: give for example "
                    "192.0.2.0/24, with no bits of the address behind the mask"
                ) from error
        found.append((part.startswith("!"), network, pattern))
    return Networks(tuple(found))


def _address(text: str) -> IPv4Address | IPv6Address | None:
    from ipaddress import ip_address

    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None


def check_networks(networks: str) -> None:
    """Check that a list has addresses and networks only, and no patterns.

    :raises ConfigurationError: an entry is another one.
    """
    for _, network, pattern in parse_networks("Match", networks).parts:
        if network is None:
            raise ConfigurationError(
                f"{safe(pattern, 100)!r} is no network: give for example 192.0.2.0/24"
            )


def in_networks(address: str, networks: str) -> bool:
    """Return whether an address is in a list of addresses, networks and patterns of addresses.

    :raises ConfigurationError: a network is not possible.
    """
    return address in parse_networks("Match", networks)
