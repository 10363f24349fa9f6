"""Channel types, and which role may open each (RFC 4254 section 5.1)."""

from __future__ import annotations

from nacre.protocol.phases import Role

_OPENED_ONLY_BY = {
    "session": Role.CLIENT,
    "direct-tcpip": Role.CLIENT,
    "direct-streamlocal@openssh.com": Role.CLIENT,
    "forwarded-tcpip": Role.SERVER,
    "forwarded-streamlocal@openssh.com": Role.SERVER,
    "x11": Role.SERVER,
    "auth-agent@openssh.com": Role.SERVER,
}


def may_open(opener: Role, channel_type: str) -> bool:
    """Return whether the role ``opener`` may open channels of this type.

    A client must not accept a ``session``: it would run programs for its server (RFC 4254 section
    6.1). Types that are not listed may be opened by either side.
    """
    return _OPENED_ONLY_BY.get(channel_type, opener) is opener
