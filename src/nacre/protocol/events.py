"""What an engine reports. Events come out in the order in which things happened."""

from __future__ import annotations

from typing import Literal

from nacre.errors import NacreError
from nacre.keys import PublicKey
from nacre.protocol.requests import Request
from nacre.value import value
from nacre.wire.codec import Buffer


class Event:
    """The base of every event."""

    __slots__ = ()


@value
class VersionReceived(Event):
    """Phase 1 is done: both identification lines are known (RFC 4253 section 4.2).

    :ivar protocol: the version both will speak: ``2.0``, or ``1.5``.
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
    """What negotiation chose. With an AEAD cipher the MAC is ``<implicit>``."""

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
    """Both proposals are known and matched."""

    client: Proposal
    server: Proposal
    chosen: Chosen
    first: bool


@value
class KexDone(Event):
    """New keys are in use in both directions.

    :ivar first: False for a rekey.
    """

    session_id: bytes
    host_key: PublicKey
    chosen: Chosen
    first: bool


@value
class ExtensionsReceived(Event):
    """The peer's EXT_INFO (RFC 8308)."""

    extensions: dict[str, bytes]


@value
class AuthBanner(Event):
    """A banner to show before login (RFC 4252 section 5.4), made safe except for line ends."""

    text: str


@value
class AuthResult(Event):
    """One authentication attempt came to its end (both roles).

    :ivar method: the method's name, as in RFC 4250 section 4.8.
    :ivar user: as it came: make it safe before you print it.
    :ivar detail: for this side's log: a key's type and fingerprint, why it failed; made safe.
    :ivar outcome: ``success``: the user is in; ``partial``: more is needed; ``failure``.
    :ivar can_continue: the methods that can go on, as the server lists them.
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
    """Phase 3 is done.

    :ivar methods: the methods that succeeded, in order.
    """

    user: str
    methods: tuple[str, ...]


@value
class ChannelOpened(Event):
    """A channel is open, whoever asked for it."""

    channel: int


@value
class ChannelRefused(Event):
    """The peer refused to open our channel; its number is free again."""

    channel: int
    code: int
    description: str


class Data(Event):
    """Data for a channel's reader: ``adjust_window`` it when it was consumed.

    :ivar stream: 0 for the main stream, 1 for standard error.
    :ivar data: a buffer that nobody else uses.
    """

    # Not a value: one is made per packet, and what can't be changed costs twice as much to make.
    __slots__ = ("channel", "data", "stream")

    def __init__(self, channel: int, data: Buffer, stream: int = 0) -> None:
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
    """A channel that took less than was offered takes data again."""

    channel: int


@value
class EofReceived(Event):
    """The peer sends no more data on the channel."""

    channel: int


@value
class ChannelClosed(Event):
    """The channel is closed on both sides; its number is free again."""

    channel: int


@value
class RequestReceived(Event):
    """A request that wants no decision: exit-status, exit-signal, window-change, signal, eow."""

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
    """A global request that wants no reply."""

    name: str
    data: bytes


@value
class GlobalRequestAnswered(Event):
    """The peer answered our global request; ``data`` is what a success carries."""

    token: int
    success: bool
    data: bytes


@value
class PongReceived(Event):
    """The peer answered a ``ping@openssh.com``."""

    data: bytes


@value
class DebugReceived(Event):
    """SSH_MSG_DEBUG, its text made safe to print (RFC 4253 section 11.3)."""

    always_display: bool
    text: str


@value
class MessageSeen(Event):
    """One message went out or came in; only made when the options ask for ``trace``.

    ``payload`` holds what was sent, passwords and all: whoever prints it hides them.
    """

    direction: Literal["in", "out"]
    payload: bytes


@value
class ConnectionEnded(Event):
    """The last event. Nothing more is received, and what is in the outbox may still be sent.

    :ivar error: why, or None when this side closed in peace.
    """

    error: NacreError | None
