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
    AskArithmetic,
    AskAuthentication,
    AskHandover,
    AskHostBased,
    AskHostKey,
    AskHostSignature,
    AskKeyboardInteractive,
    AskNewPassword,
    AskPassword,
    AskPrincipal,
    AskPublicKey,
    AskSecurityStep,
    AskSignature,
    AskUser,
)
from nacre.protocol.phases import Role
from nacre.ssh2.auth.messages import (
    MechanismChosen,
    SecurityErrorToken,
    SecurityMIC,
    UserauthFailure,
    UserauthRequest,
    UserauthSuccess,
)
from nacre.ssh2.auth.stages import LEGAL as AUTH_LEGAL
from nacre.ssh2.auth.stages import AuthStage
from nacre.ssh2.transport.messages import (
    GexGroup,
    GexRequest,
    KexInit,
    KexInitiate,
    KexReply,
    NewKeys,
    ServiceAccept,
    ServiceRequest,
)
from nacre.ssh2.transport.stages import LEGAL as KEX_LEGAL
from nacre.ssh2.transport.stages import KexStage
from nacre.wire.codec import Buffer
from nacre.wire.message import Message
from nacre.wire.numbers import Msg


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

_ANYTIME = frozenset({7, 20, 192, 193})
"""EXT_INFO, KEXINIT, PING and PONG: legal wherever keys are in use and no exchange is running.

RFC 8308 section 2.4 has EXT_INFO right behind the first NEWKEYS and right before USERAUTH_SUCCESS.
Paramiko, Erlang and ProFTPD send it behind every NEWKEYS.
"""

_CHANNELS = frozenset({80, 81, 82, *range(90, 101)})

_REST: dict[tuple[Role, Resting], frozenset[int]] = {
    (Role.CLIENT, Resting.FIRST_KEXINIT): frozenset({20}),
    (Role.SERVER, Resting.FIRST_KEXINIT): frozenset({20}),
    (Role.CLIENT, Resting.SERVICE): _ANYTIME | {6},
    (Role.SERVER, Resting.SERVICE): _ANYTIME | {5},
    (Role.CLIENT, Resting.CONNECTION): _ANYTIME | _CHANNELS,
    # Authentication requests after success are ignored (RFC 4252 section 5.1).
    (Role.SERVER, Resting.CONNECTION): _ANYTIME | _CHANNELS | {50},
}

_AUTH: dict[Role, frozenset[int]] = {
    Role.CLIENT: _ANYTIME,
    # Paramiko asks for the service again with each method.
    Role.SERVER: _ANYTIME | {5},
}
"""What is legal in every stage of authentication."""

REKEY = _CHANNELS | {192, 193}
"""Legal between the peer's KEXINIT and its NEWKEYS, once the user is in.

RFC 4253 section 7.1 forbids them, but some peers answer requests meanwhile, under the old keys, and
OpenSSH takes that.
"""

_KEEPALIVE = b"keepalive@"
"""How the names of keepalives begin. A peer's timer may run before the login is done (Paramiko)."""

AFTER_LOGIN: dict[Role, dict[int, str]] = {
    Role.CLIENT: {
        6: "an answer to a second request for the service",
        51: "the answer to a request that was overtaken by another one's success",
        52: "a success that is reported twice",
        53: "a banner that is late",
        60: "prompts of a method that was overtaken by another one's success",
    },
    Role.SERVER: {
        5: "a client that asks for ssh-connection too (RFC 4253 section 10)",
        61: "answers to prompts that the server gave up",
    },
}
"""Messages that are late once the user is in, with the reason why a peer may send them."""

KNOWN = frozenset({*range(1, 9), 20, 21, *range(30, 54), *range(60, 83), *range(90, 101), 192, 193})
"""Numbers that have a meaning: outside their stages they end the connection, unless
:func:`unneeded` names them.

Any other number is answered with UNIMPLEMENTED (RFC 4253 section 11.4).
"""


def legal(role: Role, stage: Stage, *, strict: bool = False, rekey: bool = False) -> frozenset[int]:
    """Return the numbers of the messages that ``role`` accepts in ``stage``.

    :param strict: whether this is the first exchange of strict kex.
    :param rekey: whether the user is in already, for a stage of a key exchange.
    """
    if isinstance(stage, KexStage):
        others = REKEY if rekey else frozenset()
        return KEX_LEGAL[stage] | (STRICT if strict else ALWAYS | others)
    if isinstance(stage, AuthStage):
        return AUTH_LEGAL[stage] | _AUTH[role] | ALWAYS
    return _REST[role, stage] | ALWAYS


def unneeded(role: Role, stage: Stage | None, payload: Buffer) -> bool:
    """Return whether a message that is not legal in ``stage`` may be left aside.

    It has no effect, and is answered with UNIMPLEMENTED, as OpenSSH does; the connection goes on.
    """
    if stage is Resting.CONNECTION:
        return payload[0] in AFTER_LOGIN[role]
    if stage is Resting.SERVICE or isinstance(stage, AuthStage):
        name = bytes(payload[5 : 5 + len(_KEEPALIVE)])
        return payload[0] == Msg.GLOBAL_REQUEST and name == _KEEPALIVE
    return False


# --- the transitions ---

_ATTEMPTS = (
    AuthStage.CLIENT_WAITING,
    AuthStage.CLIENT_PUBLICKEY_QUERY,
    AuthStage.CLIENT_PASSWORD,
    AuthStage.CLIENT_INTERACTIVE,
    AuthStage.CLIENT_MECHANISM,
)
"""A client's stages while the server decides: it accepts messages in these, not in CLIENT_IDLE."""

_CLIENT_RESTS: tuple[Stage, ...] = (
    Resting.SERVICE,
    *_ATTEMPTS,
    AuthStage.CLIENT_TOKEN,
    Resting.CONNECTION,
)
_SERVER_RESTS: tuple[Stage, ...] = (
    Resting.SERVICE,
    AuthStage.SERVER_REQUEST,
    AuthStage.SERVER_INTERACTIVE,
    AuthStage.SERVER_TOKEN,
    AuthStage.SERVER_MIC,
    Resting.CONNECTION,
)

_CLIENT_BEGINS = (KexStage.REPLY, KexStage.GEX_GROUP, KexStage.GSS_REPLY)
_SERVER_BEGINS = (KexStage.INITIATE, KexStage.GEX_REQUEST, KexStage.GSS_INITIATE)

# A method that is slow has its owner compute first.
_KEYS = (KexStage.NEWKEYS,)

_FAILS: dict[Trigger, tuple[Stage, ...]] = {UserauthFailure: (AuthStage.CLIENT_IDLE,)}
_DECIDED: dict[Trigger, tuple[Stage, ...]] = {**_FAILS, UserauthSuccess: (Resting.CONNECTION,)}

_CLIENT: Transitions = {
    Resting.FIRST_KEXINIT: {KexInit: (KexStage.GUESS, *_CLIENT_BEGINS)},
    KexStage.GUESS: {KexInitiate: _CLIENT_BEGINS},
    KexStage.REPLY: {KexReply: _KEYS, AskArithmetic: _KEYS, AskHostKey: _KEYS},
    KexStage.GEX_GROUP: {GexGroup: (KexStage.GEX_REPLY,)},
    KexStage.GEX_REPLY: {AskArithmetic: _KEYS, AskHostKey: _KEYS},
    # The last token of Kerberos 5 is the server's, and comes with KEXGSS_COMPLETE.
    KexStage.GSS_REPLY: {AskSecurityStep: _KEYS, AskArithmetic: _KEYS},
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
    AuthStage.CLIENT_MECHANISM: {**_FAILS, MechanismChosen: (AuthStage.CLIENT_TOKEN,)},
    AuthStage.CLIENT_TOKEN: {
        **_FAILS,
        AskSecurityStep: (AuthStage.CLIENT_WAITING, AuthStage.CLIENT_IDLE),
    },
    Resting.CONNECTION: {},
}

_IN: tuple[Stage, ...] = (Resting.CONNECTION,)
_ABANDONED: dict[Trigger, tuple[Stage, ...]] = {
    UserauthRequest: (AuthStage.SERVER_REQUEST, Resting.CONNECTION)
}

_SERVER: Transitions = {
    Resting.FIRST_KEXINIT: {KexInit: (KexStage.GUESS, *_SERVER_BEGINS)},
    KexStage.GUESS: {KexInitiate: _SERVER_BEGINS},
    KexStage.INITIATE: {KexInitiate: _KEYS, AskArithmetic: _KEYS, AskHostSignature: _KEYS},
    KexStage.GEX_REQUEST: {GexRequest: (KexStage.GEX_INIT,)},
    KexStage.GEX_INIT: {AskArithmetic: _KEYS, AskHostSignature: _KEYS},
    KexStage.GSS_INITIATE: {
        AskSecurityStep: (KexStage.GSS_CONTINUE, KexStage.NEWKEYS),
        AskArithmetic: _KEYS,
    },
    KexStage.GSS_CONTINUE: {AskSecurityStep: _KEYS, AskArithmetic: _KEYS},
    KexStage.NEWKEYS: {NewKeys: _SERVER_RESTS},
    Resting.SERVICE: {ServiceRequest: (AuthStage.SERVER_REQUEST,)},
    AuthStage.SERVER_REQUEST: {
        # "none" needs no question, once AskUser was answered for this user.
        UserauthRequest: (*_IN, AuthStage.SERVER_TOKEN),
        AskUser: (*_IN, AuthStage.SERVER_TOKEN),
        AskPassword: _IN,
        AskPublicKey: _IN,
        AskHostBased: _IN,
        AskPrincipal: _IN,
        AskHandover: _IN,
        AskKeyboardInteractive: (AuthStage.SERVER_INTERACTIVE, Resting.CONNECTION),
    },
    AuthStage.SERVER_INTERACTIVE: {
        # A new request abandons the prompts; a wrong number of responses ends the connection.
        UserauthRequest: (AuthStage.SERVER_REQUEST, Resting.CONNECTION),
        AskKeyboardInteractive: (AuthStage.SERVER_REQUEST, Resting.CONNECTION),
    },
    AuthStage.SERVER_TOKEN: {
        **_ABANDONED,
        SecurityErrorToken: (AuthStage.SERVER_REQUEST,),
        AskSecurityStep: (AuthStage.SERVER_MIC, AuthStage.SERVER_REQUEST),
    },
    AuthStage.SERVER_MIC: {
        **_ABANDONED,
        SecurityErrorToken: (AuthStage.SERVER_REQUEST,),
        SecurityMIC: (AuthStage.SERVER_REQUEST,),
        AskPrincipal: (AuthStage.SERVER_REQUEST, Resting.CONNECTION),
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
