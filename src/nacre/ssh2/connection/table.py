"""The channels of one connection: their numbers, and the sum of their windows."""

from __future__ import annotations

from itertools import count

from nacre.errors import LocalProtocolError, RemoteProtocolError
from nacre.limits import KIB, Limits
from nacre.protocol.asks import Asks
from nacre.protocol.events import Event
from nacre.protocol.phases import Role
from nacre.ssh2.connection.channel import ChannelState, State
from nacre.ssh2.connection.globals import GlobalRequests
from nacre.ssh2.connection.window import ReceiveWindow
from nacre.ssh2.transport.outbox import Outbox
from nacre.wire.message import Message

_LEAST_WINDOW = 64 * KIB  # usable, and small enough for a thousand channels


class ChannelTable:
    """The channels, and what all layers of :class:`nacre.ssh2.connection.mux.Mux` share.

    :ivar now: the time in seconds, for the growth of windows; the engine sets it.
    :ivar channels: the channels by our number, from CHANNEL_OPEN to CLOSE of both sides.
    :ivar globals: the global requests of both sides.
    """

    # _windows      the sum of the sizes of their receive windows, bounded by windows_total.
    # _gone         numbers of channels that existed and are closed on both sides.
    # _packet_data  limits.packet_data, read for each packet.

    def __init__(
        self, role: Role, outbox: Outbox, events: list[Event], asks: Asks, limits: Limits
    ) -> None:
        self.now = 0.0
        self._role = role
        self._outbox = outbox
        self._events = events
        self._asks = asks
        self._limits = limits
        self._packet_data = limits.packet_data
        self.channels: dict[int, ChannelState] = {}
        self._gone: set[int] = set()
        self._windows = 0
        self.globals = GlobalRequests(role, outbox, events, asks, limits)

    def _open(self, number: int) -> ChannelState:
        channel = self.channels.get(number)
        if channel is None or channel.state is not State.OPEN:
            raise LocalProtocolError(f"channel {number} is not open")
        return channel

    def _ask_peer(self, channel: ChannelState, message: Message) -> int:
        """Send a message that the peer has to answer, and return the token of its answer."""
        token = self._outbox.token()
        self._outbox.send(message.encode(), token)
        channel.waiting.append(token)
        return token

    def _new(self, channel_type: str, state: State) -> ChannelState:
        return ChannelState(
            next(number for number in count() if number not in self.channels),
            channel_type,
            state,
            self._first_window(),
            role=self._role,
            outbox=self._outbox,
            limits=self._limits,
        )

    def _add(self, channel: ChannelState) -> None:
        self.channels[channel.number] = channel
        self._windows += channel.receive.size

    def _first_window(self) -> ReceiveWindow:
        size = self._limits.window_initial
        if self._windows + size > self._limits.windows_total:
            size = min(size, _LEAST_WINDOW)
        return ReceiveWindow(size, self._limits.window_maximum)

    def _remove(self, channel: ChannelState) -> None:
        del self.channels[channel.number]
        while channel.waiting:
            channel.answered(self._outbox)
        self._windows -= channel.receive.size
        self._gone.add(channel.number)

    def _closing(self, channel: ChannelState) -> None:
        """Withdraw the questions about it: no reply may follow our CLOSE."""
        channel.closing()
        for ask_id in channel.replies.open_asks():
            self._asks.withdraw(ask_id)

    def _known(self, number: int, *states: State) -> ChannelState:
        channel = self.channels.get(number)
        if channel is None:
            raise RemoteProtocolError(f"a message for channel {number}, which does not exist")
        if channel.state not in states:
            raise RemoteProtocolError(
                f"a message for channel {number} that is not legal: {channel.state.value}"
            )
        return channel

    def _established(self, number: int) -> ChannelState | None:
        """Return the channel, or None if it was closed: what comes late for it has no effect.

        :raises RemoteProtocolError: the peer can't know a channel of this number.
        """
        channel = self.channels.get(number)
        if channel is not None and channel.state in (State.OPEN, State.CLOSING):
            return channel
        if number in self._gone:
            return None
        return self._known(number, State.OPEN, State.CLOSING)
