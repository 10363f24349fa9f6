"""Which messages are legal when, as data. What is not in the table is refused.

A connection rests in one stage after another: FIRST_KEXINIT, SERVICE, the stages of authentication,
CONNECTION. While a key exchange is on, from the peer's KEXINIT to its NEWKEYS, the stage of the
exchange takes the place of the resting one.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

from nacre.protocol.phases import Role
from nacre.ssh2.auth.stages import LEGAL as AUTH_LEGAL
from nacre.ssh2.auth.stages import AuthStage
from nacre.ssh2.transport.kex import LEGAL as KEX_LEGAL
from nacre.ssh2.transport.kex import KexStage


class Resting(Enum):
    """Where a connection rests outside key exchanges and authentication."""

    FIRST_KEXINIT = "the first KEXINIT"
    SERVICE = "a service request"
    CONNECTION = "the connection protocol"


Stage: TypeAlias = Resting | AuthStage | KexStage

ALWAYS = frozenset({1, 2, 3, 4})
"""DISCONNECT, IGNORE, UNIMPLEMENTED, DEBUG (RFC 4253 section 11)."""

STRICT = frozenset({1})
"""What remains of ALWAYS in the first exchange of strict kex."""

_ANYTIME = frozenset({20, 192, 193})
"""KEXINIT, PING and PONG, wherever keys are in use and no exchange is on."""

_CHANNELS = frozenset({80, 81, 82, *range(90, 101)})

_REST: dict[tuple[Role, Resting], frozenset[int]] = {
    (Role.CLIENT, Resting.FIRST_KEXINIT): frozenset({20}),
    (Role.SERVER, Resting.FIRST_KEXINIT): frozenset({20}),
    # EXT_INFO is the first message after NEWKEYS, or comes right before USERAUTH_SUCCESS
    # (RFC 8308 section 2.4).
    (Role.CLIENT, Resting.SERVICE): _ANYTIME | {6, 7},
    (Role.SERVER, Resting.SERVICE): _ANYTIME | {5, 7},
    (Role.CLIENT, Resting.CONNECTION): _ANYTIME | _CHANNELS,
    # Authentication requests after success are ignored (RFC 4252 section 5.1).
    (Role.SERVER, Resting.CONNECTION): _ANYTIME | _CHANNELS | {50},
}

KNOWN = frozenset({*range(1, 9), 20, 21, *range(30, 54), *range(60, 83), *range(90, 101), 192, 193})
"""Numbers that mean something: out of their stage they end the connection.

Any other is answered with UNIMPLEMENTED (RFC 4253 section 11.4).
"""


def legal(role: Role, stage: Stage, *, strict: bool = False) -> frozenset[int]:
    """Return the numbers of the messages that ``role`` takes in ``stage``.

    :param strict: whether this is the first exchange of strict kex.
    """
    if isinstance(stage, KexStage):
        return KEX_LEGAL[stage] | (STRICT if strict else ALWAYS)
    if isinstance(stage, AuthStage):
        ext_info = {7} if role is Role.CLIENT else set()
        return AUTH_LEGAL[stage] | _ANYTIME | ALWAYS | ext_info
    return _REST[role, stage] | ALWAYS
