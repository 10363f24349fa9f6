"""Forwardings in the notation of ssh(1) and ssh_config(5)."""

from __future__ import annotations

import re

from nacre.config import values
from nacre.errors import ConfigurationError
from nacre.value import value

_PART = re.compile(r"(?:\[([^\[\]]+)\]|([^:\[\]]*))(:|\Z)")
_EVERYWHERE = ("", "*")


@value
class Forward:
    """A port to listen on, and the destination of the connections it accepts.

    :ivar bind: the address to listen on, "" for all; None if none was given.
    :ivar port: 0 lets the server choose.
    :ivar host: the destination; empty if a SOCKS client names it.
    :ivar host_port: the destination's port.
    """

    bind: str | None
    port: int
    host: str = ""
    host_port: int = 0


def local(keyword: str, text: str) -> tuple[Forward, ...]:
    """Parse ``[bind:]port:host:hostport``, or ``[bind:]port host:hostport``."""
    return (_with_place(keyword, text, lowest=1),)


def remote(keyword: str, text: str) -> tuple[Forward, ...]:
    """Parse the same as :func:`local`; port 0 is allowed."""
    if len(_parts(keyword, text)) < 3:
        raise ConfigurationError(
            f"{keyword}: a SOCKS proxy on the server's side is not supported by nacre yet: "
            "give the destination too, port:host:hostport"
        )
    return (_with_place(keyword, text, lowest=0),)


def dynamic(keyword: str, text: str) -> tuple[Forward, ...]:
    """Parse ``[bind:]port``."""
    parts = _parts(keyword, text)
    if len(parts) > 2:
        raise values.bad(keyword, text, "[bind_address:]port")
    return (Forward(_bind(parts[:-1]), values.port(keyword, parts[-1])),)


def place(keyword: str, text: str) -> tuple[str, int]:
    """Parse ``host:port``."""
    parts = _parts(keyword, text)
    if len(parts) != 2 or not parts[0]:
        raise values.bad(keyword, text, "host:port, an IPv6 address in brackets")
    return parts[0], values.port(keyword, parts[1])


def _with_place(keyword: str, text: str, *, lowest: int) -> Forward:
    parts = _parts(keyword, text)
    if len(parts) not in (3, 4) or not parts[-2]:
        raise values.bad(
            keyword, text, "[bind_address:]port:host:hostport, IPv6 addresses in brackets"
        )
    port = values.integer(keyword, parts[-3], lowest, 65535)
    return Forward(_bind(parts[:-3]), port, parts[-2], values.port(keyword, parts[-1]))


def _bind(parts: list[str]) -> str | None:
    if not parts:
        return None
    return "" if parts[0] in _EVERYWHERE else parts[0]


def _parts(keyword: str, text: str) -> list[str]:
    """Split at the colons outside of brackets."""
    joined = ":".join(values.some_words(keyword, text))
    if "/" in joined:
        raise ConfigurationError(
            f"{keyword}: Unix sockets are not supported by nacre yet: give ports"
        )
    found: list[str] = []
    at = 0
    while match := _PART.match(joined, at):
        found.append(match[1] or match[2])
        at = match.end()
        if not match[3]:
            return found
    raise values.bad(keyword, text, "ports and hosts with colons between them")
