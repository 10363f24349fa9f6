"""Which versions of the protocol SSH-2 goes on with (RFC 4253 section 5)."""

from __future__ import annotations

from nacre.errors import VersionError
from nacre.protocol.banner import Identification
from nacre.protocol.phases import Role
from nacre.wire.text import safe


def check_version(peer: Identification, role: Role) -> None:
    """Refuse a peer that does not speak SSH-2 (RFC 4253 section 5).

    A server that names a higher version may still accept our 2.0. A client chose its version
    after it read ours, so a higher one is refused.

    :param role: ours.
    :raises VersionError: the message says what the peer speaks.
    """
    if peer.protocol == "1.99" or peer.major == 2:
        return
    if peer.major > 2 and role is Role.CLIENT:
        return
    speaks, remedy = f"wants {peer.protocol}", ""
    if peer.major < 2:
        speaks = f"speaks SSH {peer.protocol} only"
        remedy = (
            "; SSH-1 is weak and therefore off: to use it nevertheless, give -o Protocol=2,1 "
            "(in programs, protocols=(2, 1))"
        )
    other = "server" if role is Role.CLIENT else "client"
    raise VersionError(
        f"no SSH version in common: the {other} ({safe(peer.line, 255)}) {speaks}, "
        f"this {role.value} speaks 2.0{remedy}"
    )
