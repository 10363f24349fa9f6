"""The criteria of Match, and lists of patterns and networks (ssh_config(5), PATTERNS)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from nacre.config.syntax.lexer import words
from nacre.errors import ConfigurationError
from nacre.keys.patterns import match_list
from nacre.value import value
from nacre.wire.text import safe

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


def check_networks(networks: str) -> None:
    """Check that a list has addresses and networks only, and no patterns.

    :raises ConfigurationError: an entry is another one.
    """
    from ipaddress import ip_network

    for text in networks.split(","):
        try:
            ip_network(text.removeprefix("!"))
        except ValueError as error:
            raise _no_network(text) from error


def _no_network(text: str) -> ConfigurationError:
    return ConfigurationError(f"{safe(text, 100)!r} is no network: give for example 192.0.2.0/24")


def in_networks(address: str, networks: str) -> bool:
    """Return whether an address is in a list of addresses, networks and patterns of addresses.

    :raises ConfigurationError: a network is not possible.
    """
    from ipaddress import ip_address, ip_network

    own = ip_address(address.partition("%")[0])
    found = False
    for text in networks.split(","):
        pattern = text.removeprefix("!")
        try:
            met = own in ip_network(pattern)
        except ValueError as error:
            if "/" in pattern:
                raise _no_network(pattern) from error
            met = match_list(address, (pattern,)) is True
        if met and text.startswith("!"):
            return False
        found = found or met
    return found
