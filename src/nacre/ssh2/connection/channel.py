"""The state of one channel (RFC 4254 section 5)."""

from __future__ import annotations

from collections import deque
from enum import Enum

from nacre.limits import Limits
from nacre.protocol.phases import Role
from nacre.protocol.tunnel import TUNNEL
from nacre.ssh2.connection.replies import Replies
from nacre.ssh2.connection.requests import Requests
from nacre.ssh2.connection.window import ReceiveWindow, SendWindow
from nacre.ssh2.transport.outbox import Outbox


class State(Enum):
    """The state of a channel; one that is closed on both sides is removed."""

    REQUESTED = "we sent CHANNEL_OPEN, the peer has not answered"
    OFFERED = "the peer sent CHANNEL_OPEN, our owner has not decided"
    OPEN = "open"
    CLOSING = "we have sent CLOSE, the peer has not"


class ChannelState:
    """One channel.

    :ivar number: our number for it.
    :ivar peer: the peer's number for it.
    :ivar receive: the window of the peer's data; ``send``: the window of ours.
    :ivar receives: data from the peer is legal and goes to the owner.
    :ivar sends: the owner may send data.
    :ivar eof_received: the peer has sent EOF.
    :ivar blocked: the owner offered data that was not accepted, and waits for ``Writable``.
    :ivar close_wanted: the owner closed it before the peer confirmed it.
    :ivar requests: the peer's requests; ``replies``: the replies to them that are due.
    :ivar whole: each call to send is one message, sent as a whole or not at all.
    :ivar waiting: tokens of our CHANNEL_OPEN and requests that are not answered, oldest first.
    """

    __slots__ = (
        "blocked",
        "channel_type",
        "close_wanted",
        "eof_received",
        "number",
        "peer",
        "receive",
        "receives",
        "replies",
        "requests",
        "send",
        "sends",
        "state",
        "waiting",
        "whole",
    )

    def __init__(
        self,
        number: int,
        channel_type: str,
        state: State,
        receive: ReceiveWindow,
        *,
        role: Role,
        outbox: Outbox,
        limits: Limits,
    ) -> None:
        self.number = number
        self.channel_type = channel_type
        self.state = state
        self.peer = 0
        self.receive = receive
        self.send = SendWindow()
        self.receives = False
        self.sends = False
        self.eof_received = False
        self.blocked = False
        self.whole = channel_type == TUNNEL
        self.close_wanted = False
        self.waiting: deque[int] = deque()
        self.requests = Requests(role, channel_type, limits)
        self.replies = Replies(outbox, limits.channel_requests)

    def opened(self) -> None:
        """Note that both sides have agreed on the channel."""
        self.state = State.OPEN
        self.receives = self.sends = True

    def answered(self, outbox: Outbox) -> int:
        """Return the token of our oldest message that waits; it is answered now."""
        token = self.waiting.popleft()
        outbox.answered(token)
        return token

    def end_of_sending(self) -> None:
        """Note that EOF or CLOSE is sent: no data follows."""
        self.sends = self.blocked = False

    def closing(self) -> None:
        """Note that CLOSE is sent."""
        self.end_of_sending()
        self.state = State.CLOSING
        self.receives = False
