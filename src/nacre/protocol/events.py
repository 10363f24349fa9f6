"""The events that an engine reports, in the order in which they happened."""

from __future__ import annotations

from typing import Literal

from nacre.errors import NacreError
from nacre.keys import PublicKey
from nacre.protocol.requests import Request
from nacre.value import value
from nacre.wire.codec import Buffer
from nacre.wire.numbers import MAIN


class Event:
    """The base of every event."""

    __slots__ = ()


@value
class VersionReceived(Event):
    """Phase 1 is over: both identification lines are known (RFC 4253 section 4.2).

    :ivar protocol: the version that both will speak: ``2.0`` or ``1.5``.
    :ivar local: our line, without its line end.
    :ivar remote: the peer's line, without its line end, made safe to print.
    :ivar before: lines the server sent before its line, made safe to print.
    """

    protocol: str
    local: str
    remote: str
    before: tuple[str, ...]


@value
class Proposal:
    """One side's name-lists, in its order (RFC 4253 section 7.1)."""

    kex: tuple[str, ...]
    host_key: tuple[str, ...]
    ciphers_c2s: tuple[str, ...]
    ciphers_s2c: tuple[str, ...]
    macs_c2s: tuple[str, ...]
    macs_s2c: tuple[str, ...]
    compression_c2s: tuple[str, ...]
    compression_s2c: tuple[str, ...]


@value
class Chosen:
    """The algorithms that negotiation chose. With an AEAD cipher the MAC is ``<implicit>``.

    :ivar strict: whether strict kex applies.
    """

    kex: str
    host_key: str
    cipher_c2s: str
    cipher_s2c: str
    mac_c2s: str
    mac_s2c: str
    compression_c2s: str
    compression_s2c: str
    strict: bool


@value
class AlgorithmsChosen(Event):
    """Both proposals are known, and a common algorithm was found in each list.

    :ivar first: False for a rekey.
    """

    client: Proposal
    server: Proposal
    chosen: Chosen
    first: bool


@value
class KexDone(Event):
    """New keys are in use in both directions.

    :ivar host_key: the server's key; None where exchanges by GSSAPI never showed one.
    :ivar first: False for a rekey.
    """

    session_id: bytes
    host_key: PublicKey | None
    chosen: Chosen
    first: bool


@value
class Resumed(Event):
    """Another process exchanged keys and let the user in.

    :ivar version: what both identification lines said.
    :ivar keys: the exchange whose keys are in use.
    :ivar login: the login, if the client knows of it; otherwise ``Authenticated`` follows.
    """

    version: VersionReceived
    keys: KexDone
    login: Authenticated | None


@value
class ExtensionsReceived(Event):
    """The peer's EXT_INFO (RFC 8308)."""

    extensions: dict[str, bytes]


@value
class AuthBanner(Event):
    """A banner to show before login (RFC 4252 section 5.4), made safe to print on a terminal."""

    text: str


@value
class AuthResult(Event):
    """One authentication attempt has ended (both roles).

    :ivar user: the user name as received: make it safe before printing it.
    :ivar method: the method's name, as in RFC 4250 section 4.8.
    :ivar detail: for this side's log: a key's type and fingerprint, why it failed; safe to print.
    :ivar outcome: ``success``: the user is in; ``partial``: more is required; ``failure``.
    :ivar can_continue: the methods that may follow, as the server lists them.
    :ivar attempt: the number of failures so far on this connection.
    """

    user: str
    method: str
    detail: str
    outcome: Literal["success", "partial", "failure"]
    can_continue: tuple[str, ...]
    attempt: int


@value
class Authenticated(Event):
    """Phase 3 is over: the user is authenticated.

    :ivar methods: the methods that succeeded, in order.
    """

    user: str
    methods: tuple[str, ...]


@value
class ChannelOpened(Event):
    """A channel is open, asked for by either side."""

    channel: int


@value
class ChannelRefused(Event):
    """The peer refused to open our channel; its number may be used again."""

    channel: int
    code: int
    description: str


class Data(Event):
    """Data for a channel's reader. Call ``adjust_window`` once it has been consumed.

    :ivar stream: 0 for the main stream, 1 for standard error.
    :ivar data: a buffer that the reader alone uses.
    """

    # Not a value: one is made per packet, and an immutable object costs twice as much to make.
    __slots__ = ("channel", "data", "stream")

    def __init__(self, channel: int, data: Buffer, stream: int = MAIN) -> None:
        self.channel = channel
        self.data = data
        self.stream = stream

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Data)
            and (self.channel, self.stream) == (other.channel, other.stream)
            and bytes(self.data) == bytes(other.data)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Data(channel={self.channel}, {len(self.data)} bytes, stream={self.stream})"


@value
class Writable(Event):
    """A channel that accepted less data than was offered accepts data again."""

    channel: int


@value
class EofReceived(Event):
    """The peer sends no more data on the channel."""

    channel: int


@value
class ChannelClosed(Event):
    """The channel is closed on both sides; its number may be used again."""

    channel: int


@value
class RequestReceived(Event):
    """A request that needs no decision: exit-status, exit-signal, window-change, signal, eow."""

    channel: int
    request: Request


@value
class RequestAnswered(Event):
    """The peer answered our channel request.

    :ivar token: what ``send_request`` returned.
    """

    channel: int
    token: int
    success: bool


@value
class GlobalRequestReceived(Event):
    """A global request without ``want_reply``."""

    name: str
    data: bytes


@value
class GlobalRequestAnswered(Event):
    """The peer answered our global request.

    :ivar token: what ``send_global_request`` returned.
    :ivar data: the request-specific data of a success.
    """

    token: int
    success: bool
    data: bytes


@value
class PongReceived(Event):
    """The peer answered our ``ping@openssh.com``."""

    data: bytes


@value
class DebugReceived(Event):
    """SSH_MSG_DEBUG, its text made safe to print (RFC 4253 section 11.3)."""

    always_display: bool
    text: str


@value
class MessageSeen(Event):
    """One message was sent or received; only made with the option ``trace``.

    ``payload`` holds the message as it is, passwords included: hide them before printing it.
    """

    direction: Literal["in", "out"]
    payload: bytes


@value
class SecretAgreed(Event):
    """A key exchange has a shared secret; only made with the option ``key_log``, by SSH-2.

    Who has the secret and a recording of the bytes can read the connection.

    :ivar cookie: the cookie of our KEXINIT, which names the exchange.
    :ivar secret: the shared secret as it is hashed, without its length.
    """

    cookie: bytes
    secret: bytes


@value
class ConnectionEnded(Event):
    """The last event. Nothing more is received; bytes in the outbox may still be sent.

    :ivar error: why; None if this side called ``disconnect``.
    """

    error: NacreError | None
