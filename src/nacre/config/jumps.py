"""Jump hosts in the notation of ProxyJump (ssh_config(5))."""

from __future__ import annotations

import re

from nacre.config import values
from nacre.errors import ConfigurationError
from nacre.value import value
from nacre.wire.text import safe

_HOST = re.compile(r"(?:\[([^\[\]]+)\]|([^:\[\]]*))(?::(.*))?", re.DOTALL)


@value
class Jump:
    """A host to connect through.

    :ivar user: the name to log in with, or None for the configured one.
    :ivar port: None for the configured one.
    """

    host: str
    user: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user is not None else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port is not None else ""
        return f"{user}{host}{port}"


def parse_jumps(keyword: str, text: str) -> tuple[Jump, ...]:
    """Parse ``[user@]host[:port]`` or ``ssh://[user@]host[:port]``, with commas between them.

    :raises ConfigurationError: a part names no host, or has a bad port.
    """
    return tuple(_parse_jump(keyword, part) for part in text.split(","))


def _parse_jump(keyword: str, text: str) -> Jump:
    plain = text[6:].rstrip("/") if text.lower().startswith("ssh://") else text
    user, at, rest = plain.rpartition("@")
    found = _HOST.fullmatch(rest)
    host = (found[1] or found[2]) if found else ""
    if not host or host.startswith("-") or (at and not user) or any(c.isspace() for c in plain):
        raise ConfigurationError(
            f"{keyword}: {safe(text, 100)!r} is no host to connect through; "
            "give [user@]host[:port], with commas between several"
        )
    assert found is not None
    port = values.port(keyword, found[3]) if found[3] else None
    return Jump(host, user if at else None, port)
