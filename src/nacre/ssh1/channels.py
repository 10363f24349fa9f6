"""Channels of SSH-1: forwarded connections and agents, beside the one session.

There are no windows. ``full`` is True when readers have not kept up: no further packet is read
until they have, and the peer's data stays in the socket. Everything on the connection then waits
for its slowest reader; SSH-1 offers nothing better.

CHANNEL_CLOSE means that its sender has no more data, CHANNEL_CLOSE_CONFIRMATION that its sender
accepts no more. A channel ends when both sides have sent both. OpenSSH may send the second first,
which PuTTY treats as a protocol error. So nacre does not: it drops the data that arrives for a
channel between our close and the peer's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from nacre.errors import LocalProtocolError, MalformedMessage, RemoteProtocolError
from nacre.limits import Limits
from nacre.protocol.asks import Answer, AskOpen, Asks, Granted
from nacre.protocol.events import (
    ChannelClosed,
    ChannelOpened,
    ChannelRefused,
    Data,
    EofReceived,
    Event,
    RequestReceived,
    Writable,
)
from nacre.protocol.requests import EndOfWrite, Request
from nacre.ssh1 import messages as msg
from nacre.ssh1.framing import SSH1Outbox
from nacre.ssh1.messages import SSH1Msg
from nacre.wire.codec import Buffer, WireReader, string, u8, u32
from nacre.wire.message import Message
from nacre.wire.numbers import MAIN, OpenFailure
from nacre.wire.text import safe

PACKET = 32 * 1024
"""The most bytes of one packet with data, without its length field.

PuTTY's clients stop reading while they hold more bytes than that of an incomplete packet, and so
never receive the rest of a larger one.
"""

_OVERHEAD = 64
"""The most bytes of a packet beside its data: padding, the message's fields, the CRC, and what zlib
adds to incompressible data."""


@dataclass(slots=True)
class SSH1ChannelState:
    """One forwarded connection, or the session.

    :ivar number: our number for it; ``peer``: the peer's.
    :ivar open: both sides have agreed on it.
    :ivar offered: the peer asked for it, and our owner has not decided.
    :ivar eof_sent: we have sent CHANNEL_CLOSE; ``eof_received``: the peer has.
    :ivar done_sent: we have sent CHANNEL_CLOSE_CONFIRMATION; ``done_received``: the peer has.
    :ivar unread: bytes of data that the owner has not consumed.
    :ivar given_up: the owner has closed it, and only gets the event of its end.
    """

    number: int
    peer: int = 0
    open: bool = False
    offered: bool = False
    eof_sent: bool = False
    done_sent: bool = False
    eof_received: bool = False
    done_received: bool = False
    unread: int = 0
    given_up: bool = False

    @property
    def over(self) -> bool:
        """Whether both sides have sent both messages of the end."""
        return self.eof_sent and self.done_sent and self.eof_received and self.done_received


class Channels:
    """The part of :class:`nacre.protocol.engine.ConnectionLayer` that both roles share.

    :param originators: whether PORT_OPEN has the origin of its connection.
    :param go_on: called when packets may be read again.
    :param hang_up: ends the connection, with a text for the peer.
    :ivar waiting: a request is being decided; no further packet is read.
    """

    def __init__(
        self,
        outbox: SSH1Outbox,
        events: list[Event],
        asks: Asks,
        limits: Limits,
        *,
        originators: bool,
        go_on: Callable[[], None],
        hang_up: Callable[[str], None],
    ) -> None:
        self.waiting = False
        self._outbox = outbox
        self._events = events
        self._asks = asks
        self._limits = limits
        self._originators = originators
        self._go_on = go_on
        self._hang_up = hang_up
        self._channels: dict[int, SSH1ChannelState] = {}
        self._session: SSH1ChannelState | None = None
        self._blocked: set[int] = set()
        self._unread = 0
        self._piece = PACKET - _OVERHEAD
        self._last_token = 0

    # --- what the engine calls ---

    @property
    def full(self) -> bool:
        """Whether readers have to consume data before another packet is read."""
        return self._unread > self._limits.window_initial

    def sent(self) -> None:
        """Report ``Writable`` for the channels that waited for room. Call it after ``take``."""
        blocked, self._blocked = self._blocked, set()
        self._events.extend(Writable(number) for number in sorted(blocked))

    def handlers(self) -> dict[int, Callable[[Buffer], None]]:
        """Return the handler of each message."""
        return {
            SSH1Msg.CHANNEL_OPEN_CONFIRMATION: self._on_open_confirmation,
            SSH1Msg.CHANNEL_OPEN_FAILURE: self._on_open_failure,
            SSH1Msg.CHANNEL_DATA: self._on_data,
            SSH1Msg.CHANNEL_CLOSE: self._on_close,
            SSH1Msg.CHANNEL_CLOSE_CONFIRMATION: self._on_close_confirmation,
        }

    # --- the owner's calls, for forwarded channels ---

    def adjust_window(self, channel: int, count: int) -> None:
        """Report that a reader consumed ``count`` bytes."""
        state = self._find(channel)
        if state is None:
            return
        if not 0 <= count <= state.unread:
            raise LocalProtocolError(
                f"a window adjust of {count} bytes where {state.unread} are unread"
            )
        self._forget_unread(state, count)

    def _forget_unread(self, channel: SSH1ChannelState, count: int) -> None:
        full = self.full
        channel.unread -= count
        self._unread -= count
        if full and not self.full:
            self._go_on()

    def _find(self, number: int) -> SSH1ChannelState | None:
        if self._session is not None and number == self._session.number:
            return self._session
        return self._channels.get(number)

    def _sending(self, number: int) -> SSH1ChannelState:
        state = self._channels.get(number)
        if state is None or not state.open or state.eof_sent:
            raise LocalProtocolError(f"channel {number} accepts no data")
        return state

    def send_data(self, channel: int, data: Buffer, stream: int = MAIN) -> int:
        """Send as much of ``data`` as the outbox has room for; if not all, ``Writable`` follows.

        :raises LocalProtocolError: the channel is not open, or its EOF was sent.
        """
        if stream:
            raise LocalProtocolError(f"channel {channel} has no stream {stream} to send on")
        peer = u32(self._sending(channel).peer)
        return self._send_pieces(channel, u8(SSH1Msg.CHANNEL_DATA) + peer, data)

    def _send_pieces(self, number: int, head: bytes, data: Buffer) -> int:
        size = min(len(data), max(0, self._limits.ssh1_output - len(self._outbox.buffer)))
        view = memoryview(data)
        for start in range(0, size, self._piece):
            part = view[start : min(start + self._piece, size)]
            self._outbox.send_payload(head + string(part))
        if size < len(data):
            self._blocked.add(number)
        return size

    def limit_packets(self, count: int) -> None:
        """Send no packets of more than ``count`` bytes, as the peer requests."""
        self._piece = max(1, min(PACKET, count) - _OVERHEAD)

    def send_eof(self, channel: int) -> None:
        """Announce that no more data follows.

        :raises LocalProtocolError: the channel is not open, or EOF was sent already.
        """
        state = self._sending(channel)
        self._send_end(state)
        self._end_when_over(state)

    def close_channel(self, channel: int) -> None:
        """Close our side, unless it is closed; ``ChannelClosed`` follows when the peer closes too.

        :raises LocalProtocolError: the peer opened it, and the question about it is open.
        """
        state = self._channels.get(channel)
        if state is None:
            return
        if state.offered:
            raise LocalProtocolError(f"refuse channel {channel} by answering its question")
        state.given_up = True
        self._blocked.discard(channel)
        if state.open:
            self._finish(state)

    def _finish(self, channel: SSH1ChannelState) -> None:
        """Announce that we send no more data, and drop the data that still arrives."""
        self._forget_unread(channel, channel.unread)
        if not channel.eof_sent:
            self._send_end(channel)
        self._end_when_over(channel)
        self._channel_ended()

    def _send_end(self, channel: SSH1ChannelState) -> None:
        channel.eof_sent = True
        self._outbox.send(msg.ChannelClose(channel.peer))

    def _send_done(self, channel: SSH1ChannelState) -> None:
        channel.done_sent = True
        self._outbox.send(msg.ChannelCloseConfirmation(channel.peer))

    def _end_when_over(self, channel: SSH1ChannelState) -> None:
        if channel.over and channel.number in self._channels:
            self._remove(channel)
            self._events.append(ChannelClosed(channel.number))
            self._channel_ended()

    def _channel_ended(self) -> None:
        """Do what has to wait for the end of the owner's last channel."""

    @property
    def _forwards_data(self) -> bool:
        """Whether the owner still uses a forwarded channel."""
        return any(not channel.given_up for channel in self._channels.values())

    def _remove(self, channel: SSH1ChannelState) -> None:
        del self._channels[channel.number]
        self._blocked.discard(channel.number)
        self._forget_unread(channel, channel.unread)

    # --- opening ---

    def _number(self) -> int:
        return next(number for number in count() if self._find(number) is None)

    def _new(self, *, peer: int = 0, offered: bool = False) -> SSH1ChannelState:
        channel = SSH1ChannelState(self._number(), peer, offered=offered)
        self._channels[channel.number] = channel
        return channel

    def _request_channel(self, message: Callable[[int], Message]) -> int:
        if len(self._channels) >= self._limits.channels:
            raise LocalProtocolError(f"{len(self._channels)} channels are open already")
        channel = self._new()
        self._outbox.send(message(channel.number))
        return channel.number

    def _offer(self, peer: int, channel_type: str, data: bytes) -> None:
        """Ask the owner about a channel that the peer opens."""
        if len(self._channels) >= self._limits.channels:
            self._outbox.send(msg.ChannelOpenFailure(peer))
            return
        channel = self._new(peer=peer, offered=True)

        def decided(answer: Answer) -> None:
            channel.offered = False
            if isinstance(answer, Granted):
                channel.open = True
                self._outbox.send(msg.ChannelOpenConfirmation(peer, channel.number))
                self._events.append(ChannelOpened(channel.number))
            else:
                self._remove(channel)
                self._outbox.send(msg.ChannelOpenFailure(peer))

        self._asks.ask(
            AskOpen(channel=channel.number, channel_type=channel_type, data=data), decided
        )

    def _on_open_confirmation(self, payload: Buffer) -> None:
        message = msg.ChannelOpenConfirmation.decode(payload)
        channel = self._known(message.recipient, confirmed=False)
        channel.peer = message.sender
        channel.open = True
        if channel.given_up:
            self._finish(channel)
        else:
            self._events.append(ChannelOpened(channel.number))

    def _on_open_failure(self, payload: Buffer) -> None:
        channel = self._known(msg.ChannelOpenFailure.decode(payload).recipient, confirmed=False)
        self._remove(channel)
        refused = ChannelRefused(channel.number, OpenFailure.CONNECT_FAILED, "refused")
        self._events.append(refused)

    def _known(self, number: int, *, confirmed: bool = True) -> SSH1ChannelState:
        channel = self._channels.get(number)
        if channel is None or channel.open is not confirmed or channel.offered:
            raise RemoteProtocolError(f"a message for channel {number} that is not legal")
        return channel

    # --- data ---

    def _on_data(self, payload: Buffer) -> None:
        reader = WireReader(payload, 1)
        channel = self._known(reader.u32())
        size = reader.u32()
        if size != reader.remaining:
            raise MalformedMessage(
                f"data of {size} bytes in a message with room for {reader.remaining}"
            )
        if channel.eof_received:
            raise RemoteProtocolError(f"data on channel {channel.number} after its end")
        if not channel.given_up:
            self._deliver(channel, memoryview(payload)[9:])

    def _deliver(self, channel: SSH1ChannelState, data: Buffer, stream: int = MAIN) -> None:
        if len(data):
            channel.unread += len(data)
            self._unread += len(data)
            self._events.append(Data(channel.number, data, stream))

    def _on_close(self, payload: Buffer) -> None:
        channel = self._known(msg.ChannelClose.decode(payload).recipient)
        if channel.eof_received:
            raise RemoteProtocolError(f"a second end of data on channel {channel.number}")
        channel.eof_received = True
        if not channel.given_up:
            self._events.append(EofReceived(channel.number))
        self._send_done(channel)
        self._end_when_over(channel)

    def _on_close_confirmation(self, payload: Buffer) -> None:
        channel = self._known(msg.ChannelCloseConfirmation.decode(payload).recipient)
        if channel.done_received:
            raise RemoteProtocolError(f"a second close confirmation on channel {channel.number}")
        channel.done_received = True
        if not channel.eof_sent:
            # The peer accepts no more data, so we end ours.
            self._send_end(channel)
            self._events.append(RequestReceived(channel.number, EndOfWrite()))
        self._end_when_over(channel)

    # --- ports ---

    def _originator(self, text: str) -> bytes:
        return string(text.encode("utf-8", "surrogateescape")) if self._originators else b""

    def _read_originator(self, rest: bytes) -> bytes:
        """Return the origin at the end of PORT_OPEN; empty without ``originators``.

        :raises MalformedMessage: it is there without agreement, or missing.
        """
        reader = WireReader(rest)
        text = reader.string() if self._originators else b""
        reader.end()
        return string(text)

    # --- tokens ---

    def _token(self) -> int:
        self._last_token += 1
        return self._last_token


def unknown_type(channel_type: str) -> LocalProtocolError:
    """Return the error for a channel that this side can't open."""
    return LocalProtocolError(f"this side of SSH-1 can't open {safe(channel_type, 64)} channels")


def unsuited(request: Request) -> LocalProtocolError:
    """Return the error for a request that this side can't send."""
    return LocalProtocolError(f"this side of SSH-1 can't send {request.NAME}")
