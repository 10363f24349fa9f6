"""Which messages are legal in which stage, and which stage follows, as data.

The engine refuses a message that :func:`legal` does not name. It does not read :data:`TRANSITIONS`:
the handlers of messages assign the stages (transport/kex.py, auth/); tests/ssh2/test_transitions
holds the table equal to what the engines do.

A connection rests in one stage after another: FIRST_KEXINIT, SERVICE, the stages of authentication,
CONNECTION. During a key exchange, from the peer's KEXINIT to its NEWKEYS, the stage of the exchange
takes the place of the resting one, which returns afterwards.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

from nacre.protocol.asks import (
    Ask,
    AskAuthentication,
    AskHostKey,
    AskKeyboardInteractive,
    AskNewPassword,
    AskPassword,
    AskPublicKey,
    AskSignature,
    AskUser,
)
from nacre.protocol.phases import Role
from nacre.ssh2.auth.messages import (
    UserauthFailure,
    UserauthRequest,
    UserauthSuccess,
)
from nacre.ssh2.auth.stages import LEGAL as AUTH_LEGAL
from nacre.ssh2.auth.stages import AuthStage
from nacre.ssh2.transport.kex import LEGAL as KEX_LEGAL
from nacre.ssh2.transport.kex import KexStage
from nacre.ssh2.transport.messages import (
    GexGroup,
    GexInit,
    GexReply,
    GexRequest,
    KexInit,
    KexInitiate,
    KexReply,
    NewKeys,
    ServiceAccept,
    ServiceRequest,
)
from nacre.wire.message import Message


class Resting(Enum):
    """Where a connection rests outside key exchanges and authentication."""

    FIRST_KEXINIT = "the first KEXINIT"
    SERVICE = "a service request or its answer"
    CONNECTION = "the connection protocol"


Stage: TypeAlias = Resting | AuthStage | KexStage

Trigger: TypeAlias = type[Message] | type[Ask]
"""What moves a connection on: a message of the peer, or the answer to a question of the engine."""

Transitions: TypeAlias = dict[Stage, dict[Trigger, tuple[Stage, ...]]]

ALWAYS = frozenset({1, 2, 3, 4})
"""DISCONNECT, IGNORE, UNIMPLEMENTED, DEBUG (RFC 4253 section 11)."""

STRICT = frozenset({1})
"""What remains of ALWAYS in the first exchange of strict kex."""

_ANYTIME = frozenset({20, 192, 193})
"""KEXINIT, PING and PONG: legal wherever keys are in use and no exchange is running."""

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
"""Numbers that have a meaning: outside their stages they end the connection.

Any other number is answered with UNIMPLEMENTED (RFC 4253 section 11.4).
"""


def legal(role: Role, stage: Stage, *, strict: bool = False) -> frozenset[int]:
    """Return the numbers of the messages that ``role`` accepts in ``stage``.

    :param strict: whether this is the first exchange of strict kex.
    """
    if isinstance(stage, KexStage):
        return KEX_LEGAL[stage] | (STRICT if strict else ALWAYS)
    if isinstance(stage, AuthStage):
        ext_info = {7} if role is Role.CLIENT else set()
        return AUTH_LEGAL[stage] | _ANYTIME | ALWAYS | ext_info
    return _REST[role, stage] | ALWAYS


# --- the transitions ---

_ATTEMPTS = (
    AuthStage.CLIENT_WAITING,
    AuthStage.CLIENT_PUBLICKEY_QUERY,
    AuthStage.CLIENT_PASSWORD,
    AuthStage.CLIENT_INTERACTIVE,
)
"""A client's stages while the server decides: it accepts messages in these, not in CLIENT_IDLE."""

_CLIENT_RESTS: tuple[Stage, ...] = (Resting.SERVICE, *_ATTEMPTS, Resting.CONNECTION)
_SERVER_RESTS: tuple[Stage, ...] = (
    Resting.SERVICE,
    AuthStage.SERVER_REQUEST,
    AuthStage.SERVER_INTERACTIVE,
    Resting.CONNECTION,
)

_CLIENT_BEGINS = (KexStage.REPLY, KexStage.GEX_GROUP)
_SERVER_BEGINS = (KexStage.INITIATE, KexStage.GEX_REQUEST)

_FAILS: dict[Trigger, tuple[Stage, ...]] = {UserauthFailure: (AuthStage.CLIENT_IDLE,)}
_DECIDED: dict[Trigger, tuple[Stage, ...]] = {**_FAILS, UserauthSuccess: (Resting.CONNECTION,)}

_CLIENT: Transitions = {
    Resting.FIRST_KEXINIT: {KexInit: (KexStage.GUESS, *_CLIENT_BEGINS)},
    KexStage.GUESS: {KexInitiate: _CLIENT_BEGINS},
    KexStage.REPLY: {KexReply: (KexStage.NEWKEYS,), AskHostKey: (KexStage.NEWKEYS,)},
    KexStage.GEX_GROUP: {GexGroup: (KexStage.GEX_REPLY,)},
    KexStage.GEX_REPLY: {GexReply: (KexStage.NEWKEYS,), AskHostKey: (KexStage.NEWKEYS,)},
    KexStage.NEWKEYS: {NewKeys: _CLIENT_RESTS},
    # The question what to try is asked at EXT_INFO already, and may be answered by now.
    Resting.SERVICE: {ServiceAccept: (AuthStage.CLIENT_IDLE, *_ATTEMPTS)},
    AuthStage.CLIENT_IDLE: {
        AskAuthentication: _ATTEMPTS,
        AskSignature: (AuthStage.CLIENT_WAITING,),
    },
    AuthStage.CLIENT_WAITING: {**_DECIDED},
    AuthStage.CLIENT_PUBLICKEY_QUERY: {
        **_FAILS,
        AskSignature: (AuthStage.CLIENT_WAITING, AuthStage.CLIENT_IDLE),
    },
    AuthStage.CLIENT_PASSWORD: {**_DECIDED, AskNewPassword: (AuthStage.CLIENT_IDLE,)},
    AuthStage.CLIENT_INTERACTIVE: {**_DECIDED},
    Resting.CONNECTION: {},
}

_IN: tuple[Stage, ...] = (Resting.CONNECTION,)

_SERVER: Transitions = {
    Resting.FIRST_KEXINIT: {KexInit: (KexStage.GUESS, *_SERVER_BEGINS)},
    KexStage.GUESS: {KexInitiate: _SERVER_BEGINS},
    KexStage.INITIATE: {KexInitiate: (KexStage.NEWKEYS,)},
    KexStage.GEX_REQUEST: {GexRequest: (KexStage.GEX_INIT,)},
    KexStage.GEX_INIT: {GexInit: (KexStage.NEWKEYS,)},
    KexStage.NEWKEYS: {NewKeys: _SERVER_RESTS},
    Resting.SERVICE: {ServiceRequest: (AuthStage.SERVER_REQUEST,)},
    AuthStage.SERVER_REQUEST: {
        # "none" needs no question, once AskUser was answered for this user.
        UserauthRequest: _IN,
        AskUser: _IN,
        AskPassword: _IN,
        AskPublicKey: _IN,
        AskKeyboardInteractive: (AuthStage.SERVER_INTERACTIVE, Resting.CONNECTION),
    },
    AuthStage.SERVER_INTERACTIVE: {
        # A new request abandons the prompts; a wrong number of responses ends the connection.
        UserauthRequest: (AuthStage.SERVER_REQUEST, Resting.CONNECTION),
        AskKeyboardInteractive: (AuthStage.SERVER_REQUEST, Resting.CONNECTION),
    },
    Resting.CONNECTION: {},
}

for _stage in _CLIENT_RESTS:
    _CLIENT[_stage][KexInit] = (KexStage.GUESS, *_CLIENT_BEGINS)
for _stage in _SERVER_RESTS:
    _SERVER[_stage][KexInit] = (KexStage.GUESS, *_SERVER_BEGINS)

TRANSITIONS: dict[Role, Transitions] = {Role.CLIENT: _CLIENT, Role.SERVER: _SERVER}
"""For each role: stage -> {message or question: the stages that may follow}.

A message is a row where its arrival changes the stage, a question where its answer does. What is
not here leaves the stage as it is, or ends the connection, which is possible in every stage. In
GUESS, KexInitiate stands for any message numbered 30 to 49. An engine begins in FIRST_KEXINIT, once
both identification lines are there.
"""
