"""Channels over one connection: messages 80-100 in, events out (RFC 4254)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from struct import Struct
from struct import error as StructError

from nacre.errors import (
    LocalProtocolError,
    MalformedMessage,
    PacketTooLarge,
    RemoteProtocolError,
)
from nacre.limits import KIB, Limits
from nacre.protocol.asks import Answer, AskOpen, AskRequest, Asks, Granted, OpenRefused
from nacre.protocol.events import (
    ChannelClosed,
    ChannelOpened,
    ChannelRefused,
    Data,
    EofReceived,
    Event,
    RequestAnswered,
    RequestReceived,
    Writable,
)
from nacre.protocol.phases import Role
from nacre.protocol.requests import Request, SessionOpen
from nacre.ssh2.connection.channel import ChannelState, State
from nacre.ssh2.connection.globals import GlobalRequests
from nacre.ssh2.connection.messages import (
    ChannelClose,
    ChannelEof,
    ChannelFailure,
    ChannelOpen,
    ChannelOpenConfirmation,
    ChannelOpenFailure,
    ChannelRequest,
    ChannelSuccess,
    ChannelWindowAdjust,
)
from nacre.ssh2.connection.opens import may_open
from nacre.ssh2.connection.replies import send_reply
from nacre.ssh2.connection.requests import RequestVerdict, check_name, decode, may_send, takes_reply
from nacre.ssh2.connection.window import ReceiveWindow
from nacre.ssh2.transport.outbox import Outbox
from nacre.wire.codec import Buffer
from nacre.wire.message import Message
from nacre.wire.numbers import MAIN, STDERR, Msg, OpenFailure
from nacre.wire.text import safe

# Data is packed by hand: one call of struct in place of a message object per packet.
_DATA = Struct(">BII")
_DATA_NUMBER = int(Msg.CHANNEL_DATA)
_EXTENDED_DATA = Struct(">BIII")
_EXTENDED_DATA_NUMBER = int(Msg.CHANNEL_EXTENDED_DATA)
_WINDOW_ADJUST = Struct(">BII")  # by hand too: OpenSSH sends one for every third packet

_LEAST_WINDOW = 64 * KIB  # usable, and small enough for a thousand channels

_PEER = {Role.CLIENT: Role.SERVER, Role.SERVER: Role.CLIENT}


class Mux:
    """Phases 4 and 5 of one connection; see :class:`nacre.protocol.engine.ConnectionLayer`.

    Events are ahead of their reader: a channel may be removed here while its last events are still
    in the list. ``close_channel`` and ``adjust_window`` of such a channel therefore do nothing, and
    methods that would send on it raise :class:`~nacre.errors.LocalProtocolError`.

    :ivar now: the time in seconds, for the growth of windows; the engine sets it.
    """

    # _channels     the channels by our number, from CHANNEL_OPEN to CLOSE of both sides.
    # _windows      the sum of the sizes of their receive windows, bounded by windows_total.
    # _gone         numbers of channels that existed and are closed on both sides.
    # _packet_data  limits.packet_data, read for each packet.
    # _globals      the global requests of both sides.

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
        self._channels: dict[int, ChannelState] = {}
        self._gone: set[int] = set()
        self._windows = 0
        self._globals = GlobalRequests(role, outbox, events, asks, limits)

    def resume(self) -> None:
        """Report ``Writable`` for the channels that a key exchange blocked. Call it at its end."""
        for channel in self._channels.values():
            self._unblock(channel)

    # --- the owner's calls ---

    def open_channel(self, channel_type: str, data: bytes = b"") -> int:
        """Ask the peer for a channel; ``ChannelOpened`` or ``ChannelRefused`` follows.

        :raises LocalProtocolError: this role opens no such channels, or too many are open.
        """
        if not may_open(self._role, channel_type):
            raise LocalProtocolError(f"a {self._role.value} can't open a {channel_type} channel")
        if len(self._channels) >= self._limits.channels:
            raise LocalProtocolError(f"{len(self._channels)} channels are open already")
        channel = self._new(channel_type, State.REQUESTED)
        message = ChannelOpen(
            channel_type, channel.number, channel.receive.left, self._packet_data, data
        )
        self._ask_peer(channel, message)
        channel.receive.announced(self.now)
        self._add(channel)
        return channel.number

    def send_data(self, channel: int, data: Buffer, stream: int = MAIN) -> int:
        """Send as much of ``data`` as the window allows, and return how many bytes that was.

        During a key exchange nothing is sent. If less than all was sent, ``Writable`` follows. On a
        channel for packets, ``data`` is one: it is sent as a whole or not at all, and counts as
        sent if the peer takes none of its size, as on a link that drops it.

        :raises LocalProtocolError: the channel is not open, or its EOF was sent; or ``stream`` is
            1, and this is not a server's session.
        """
        state = self._channels.get(channel)
        if state is None or not state.sends:
            raise LocalProtocolError(f"channel {channel} accepts no data")
        if stream:
            self._check_stream(state, stream)
        window = state.send
        offered = len(data)
        size = offered if self._outbox.takes_data else 0
        if size > window.left:
            size = window.left
        state.blocked = size < offered
        if state.whole:
            if offered > window.packet:
                return offered
            if state.blocked:
                return 0
        window.left -= size
        view, start = memoryview(data), 0
        while start < size:
            part = size - start if size - start <= window.packet else window.packet
            head = (
                _EXTENDED_DATA.pack(_EXTENDED_DATA_NUMBER, state.peer, stream, part)
                if stream
                else _DATA.pack(_DATA_NUMBER, state.peer, part)
            )
            self._outbox.send_parts(head, view[start : start + part])
            start += part
        return size

    def send_eof(self, channel: int) -> None:
        """Send EOF: no more data follows.

        :raises LocalProtocolError: the channel is not open, or EOF was sent already.
        """
        state = self._open(channel)
        if not state.sends:
            raise LocalProtocolError(f"EOF was sent on channel {channel} already")
        self._outbox.send(ChannelEof(state.peer).encode())
        state.end_of_sending()

    def close_channel(self, channel: int) -> None:
        """Close our side, unless it is closed; ``ChannelClosed`` follows when the peer closes too.

        A channel that the peer has not confirmed yet is closed as soon as the peer confirms it.

        :raises LocalProtocolError: the peer opened it, and the question about it is open.
        """
        state = self._channels.get(channel)
        if state is None:
            return
        if state.state is State.OFFERED:
            raise LocalProtocolError(f"refuse channel {channel} by answering its question")
        if state.state is State.REQUESTED:
            state.close_wanted = True
        elif state.state is State.OPEN:
            self._outbox.send(ChannelClose(state.peer).encode())
            self._closing(state)

    def send_request(self, channel: int, request: Request, *, want_reply: bool = True) -> int:
        """Send a request. Returns a token for ``RequestAnswered``, or 0 when none follows.

        Requests without a reply in RFC 4254 section 6, such as exit-status, never ask for one.

        :raises LocalProtocolError: the channel is not open, only the peer may send the request, or
            too many requests wait for their answers.
        """
        state = self._open(channel)
        if not may_send(self._role, state.channel_type, request):
            raise LocalProtocolError(
                f"a {self._role.value} can't send {request.NAME} on a {state.channel_type} channel"
            )
        want_reply = want_reply and takes_reply(request)
        if want_reply and len(state.waiting) >= self._limits.channel_requests:
            raise LocalProtocolError(f"too many requests wait for answers on channel {channel}")
        message = ChannelRequest(state.peer, request.NAME, want_reply, request.encode())
        if want_reply:
            return self._ask_peer(state, message)
        self._outbox.send(message.encode())
        return 0

    def send_global_request(self, name: str, data: bytes = b"", *, want_reply: bool = True) -> int:
        """Send a global request. Returns a token for ``GlobalRequestAnswered``, or 0.

        :raises LocalProtocolError: too many wait for their answers.
        """
        token = self._outbox.token() if want_reply else 0
        self._globals.send(token, name, data, want_reply=want_reply)
        return token

    def adjust_window(self, channel: int, count: int) -> None:
        """Report that a reader consumed ``count`` bytes; the peer may then send as many more.

        A WINDOW_ADJUST goes out once a step of the window was consumed.

        :raises LocalProtocolError: more is reported than was received and not yet reported.
        """
        state = self._channels.get(channel)
        if state is not None and state.state is State.OPEN:
            self._consume(state, count)

    def _open(self, number: int) -> ChannelState:
        channel = self._channels.get(number)
        if channel is None or channel.state is not State.OPEN:
            raise LocalProtocolError(f"channel {number} is not open")
        return channel

    def _check_stream(self, channel: ChannelState, stream: int) -> None:
        if stream != STDERR or self._role is not Role.SERVER or channel.channel_type != "session":
            raise LocalProtocolError(f"channel {channel.number} has no stream {stream} to send on")

    def _ask_peer(self, channel: ChannelState, message: Message) -> int:
        """Send a message that the peer has to answer, and return the token of its answer."""
        token = self._outbox.token()
        self._outbox.send(message.encode(), token)
        channel.waiting.append(token)
        return token

    def refused(self, token: int) -> None:
        """Take UNIMPLEMENTED as the refusal of the message that has this token."""
        if self._globals.refused(token):
            return
        channel = next(c for c in self._channels.values() if token in c.waiting)
        channel.waiting.remove(token)
        if channel.state is State.REQUESTED:
            self._refused(channel, OpenFailure.UNKNOWN_CHANNEL_TYPE, "the peer opens no channels")
        else:
            self._events.append(RequestAnswered(channel.number, token, False))

    # --- the table of channels ---

    def _new(self, channel_type: str, state: State) -> ChannelState:
        return ChannelState(
            next(number for number in count() if number not in self._channels),
            channel_type,
            state,
            self._first_window(),
            role=self._role,
            outbox=self._outbox,
            limits=self._limits,
        )

    def _add(self, channel: ChannelState) -> None:
        self._channels[channel.number] = channel
        self._windows += channel.receive.size

    def _first_window(self) -> ReceiveWindow:
        size = self._limits.window_initial
        if self._windows + size > self._limits.windows_total:
            size = min(size, _LEAST_WINDOW)
        return ReceiveWindow(size, self._limits.window_maximum)

    def _remove(self, channel: ChannelState) -> None:
        del self._channels[channel.number]
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
        channel = self._channels.get(number)
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
        channel = self._channels.get(number)
        if channel is not None and channel.state in (State.OPEN, State.CLOSING):
            return channel
        if number in self._gone:
            return None
        return self._known(number, State.OPEN, State.CLOSING)

    # --- global requests ---

    def _on_global_request(self, payload: Buffer) -> None:
        self._globals.on_request(payload)

    def _on_global_success(self, payload: Buffer) -> None:
        self._globals.on_success(payload)

    def _on_global_failure(self, payload: Buffer) -> None:
        self._globals.on_failure(payload)

    # --- opening ---

    def _on_open(self, payload: Buffer) -> None:
        message = ChannelOpen.decode(payload)
        check_name(message.channel_type, self._limits)
        if (refused := self._refusal(message)) is not None:
            self._refuse(message.sender, refused)
            return
        channel = self._new(message.channel_type, State.OFFERED)
        channel.peer = message.sender
        channel.send.start(message.window, message.packet)
        self._add(channel)
        self._asks.ask(
            AskOpen(channel=channel.number, channel_type=message.channel_type, data=message.data),
            lambda answer: self._decided(channel, answer),
        )

    def _refusal(self, message: ChannelOpen) -> OpenRefused | None:
        limits = self._limits
        if not may_open(_PEER[self._role], message.channel_type):
            return OpenRefused(
                OpenFailure.ADMINISTRATIVELY_PROHIBITED,
                f"a {self._role.value} opens no {message.channel_type} channels for its peer",
            )
        if len(self._channels) >= limits.channels:
            return OpenRefused(OpenFailure.RESOURCE_SHORTAGE, "too many channels are open")
        if message.channel_type == "session":
            SessionOpen.decode(message.data)
            if self._globals.no_more_sessions:
                raise RemoteProtocolError("a session is opened after no-more-sessions@openssh.com")
            sessions = sum(c.channel_type == "session" for c in self._channels.values())
            if sessions >= limits.sessions:
                return OpenRefused(OpenFailure.RESOURCE_SHORTAGE, "too many sessions are open")
        return None

    def _refuse(self, peer: int, refused: OpenRefused) -> None:
        message = ChannelOpenFailure(peer, refused.code, refused.description, "")
        send_reply(self._outbox, message.encode())

    def _decided(self, channel: ChannelState, answer: Answer) -> None:
        if isinstance(answer, OpenRefused):
            self._remove(channel)
            self._refuse(channel.peer, answer)
            return
        message = ChannelOpenConfirmation(
            channel.peer, channel.number, channel.receive.left, self._packet_data, b""
        )
        send_reply(self._outbox, message.encode())
        channel.receive.announced(self.now)
        channel.opened()
        self._events.append(ChannelOpened(channel.number))

    def _on_open_confirmation(self, payload: Buffer) -> None:
        message = ChannelOpenConfirmation.decode(payload)
        channel = self._known(message.recipient, State.REQUESTED)
        channel.answered(self._outbox)
        channel.peer = message.sender
        channel.send.start(message.window, message.packet)
        channel.opened()
        if channel.close_wanted:
            self.close_channel(channel.number)
        else:
            self._answered(channel)
            self._events.append(ChannelOpened(channel.number))

    def _on_open_failure(self, payload: Buffer) -> None:
        message = ChannelOpenFailure.decode(payload)
        channel = self._known(message.recipient, State.REQUESTED)
        self._refused(channel, message.code, message.description)

    def _refused(self, channel: ChannelState, code: int, description: str) -> None:
        self._remove(channel)
        self._events.append(ChannelRefused(channel.number, code, safe(description)))

    # --- data ---

    def _on_data(self, payload: Buffer) -> None:
        try:
            _, number, size = _DATA.unpack_from(payload)
        except StructError:
            raise MalformedMessage("CHANNEL_DATA is cut off") from None
        channel = self._incoming(number, size, len(payload) - _DATA.size)
        if size and channel is not None and channel.receives:
            self._events.append(Data(number, payload[_DATA.size :]))

    def _on_extended_data(self, payload: Buffer) -> None:
        try:
            _, number, code, size = _EXTENDED_DATA.unpack_from(payload)
        except StructError:
            raise MalformedMessage("CHANNEL_EXTENDED_DATA is cut off") from None
        channel = self._incoming(number, size, len(payload) - _EXTENDED_DATA.size)
        if not size or channel is None or not channel.receives:
            return
        if code == STDERR and self._role is Role.CLIENT and channel.channel_type == "session":
            self._events.append(Data(number, payload[_EXTENDED_DATA.size :], STDERR))
        else:
            self._consume(channel, size)

    def _incoming(self, number: int, size: int, present: int) -> ChannelState | None:
        """Check data against every bound, and subtract it from the window.

        Data for a channel we have closed was sent before the peer saw our CLOSE. It is checked like
        other data, and dropped, as data behind EOF is; the window is not adjusted any more. None
        stands for a channel that both sides have closed.
        """
        channel = self._channels.get(number)
        if channel is None or not channel.receives:
            channel = self._established(number)
            if channel is None:
                return None
        if size != present:
            raise MalformedMessage(f"data of {size} bytes in a message with room for {present}")
        if size > self._packet_data:
            raise PacketTooLarge(
                f"{size} bytes of data in one message; at most {self._packet_data} are accepted"
            )
        window = channel.receive
        if size > window.left:
            raise RemoteProtocolError(
                f"{size} bytes of data on channel {number}, whose window has {window.left}"
            )
        window.left -= size
        return channel

    def _consume(self, channel: ChannelState, count: int) -> None:
        window = channel.receive
        window.consume(count)
        if window.consumed < window.step or channel.eof_received:
            return
        before = window.size
        if grant := window.adjust(self.now, self._limits.windows_total - self._windows):
            self._grant(channel, grant, window.size - before)

    def _answered(self, channel: ChannelState) -> None:
        """Let the window grow at the peer's first message on a channel: a round trip has passed."""
        # Only sessions, which are few, and by a quarter of what is left: others will follow.
        if channel.channel_type == "session":
            spare = (self._limits.windows_total - self._windows) // 4
            if growth := channel.receive.answered(self.now, spare):
                self._grant(channel, growth, growth)

    def _grant(self, channel: ChannelState, count: int, growth: int) -> None:
        self._windows += growth
        send_reply(self._outbox, ChannelWindowAdjust(channel.peer, count).encode())

    def _on_window_adjust(self, payload: Buffer) -> None:
        try:
            _, number, data = _WINDOW_ADJUST.unpack(payload)
        except StructError:
            raise MalformedMessage("CHANNEL_WINDOW_ADJUST is cut off, or too long") from None
        if (channel := self._established(number)) is not None:
            channel.send.add(data)
            self._unblock(channel)

    def _unblock(self, channel: ChannelState) -> None:
        if channel.blocked and channel.send.left and self._outbox.takes_data:
            channel.blocked = False
            self._events.append(Writable(channel.number))

    # --- the end of a channel ---

    def _on_eof(self, payload: Buffer) -> None:
        channel = self._established(ChannelEof.decode(payload).recipient)
        if channel is None or channel.eof_received:
            return
        channel.eof_received = True
        channel.receives = False
        if channel.state is State.OPEN:
            self._events.append(EofReceived(channel.number))

    def _on_close(self, payload: Buffer) -> None:
        channel = self._established(ChannelClose.decode(payload).recipient)
        if channel is None:
            return
        if channel.state is State.OPEN:
            # The peer accepts no more data, so there is no reason to wait (section 5.3).
            send_reply(self._outbox, ChannelClose(channel.peer).encode())
            self._closing(channel)
        self._remove(channel)
        self._events.append(ChannelClosed(channel.number))

    # --- requests ---

    def _on_request(self, payload: Buffer) -> None:
        message = ChannelRequest.decode(payload)
        channel = self._established(message.recipient)
        check_name(message.name, self._limits)
        request = decode(message.name, message.data)
        if channel is None or channel.state is State.CLOSING:
            return
        self._answered(channel)
        verdict = channel.requests.judge(request)
        if verdict is RequestVerdict.ASK:
            self._ask(channel, request, want_reply=message.want_reply)
            return
        if verdict is RequestVerdict.TELL:
            self._events.append(RequestReceived(channel.number, request))
        if message.want_reply:
            slot = channel.replies.reserve()
            channel.replies.settle(slot, _reply(channel, verdict is RequestVerdict.TELL))

    def _ask(self, channel: ChannelState, request: Request, *, want_reply: bool) -> None:
        slot = channel.replies.reserve()

        def answered(answer: Answer) -> None:
            granted = isinstance(answer, Granted)
            if not granted:
                channel.requests.denied(request)
            channel.replies.settle(slot, _reply(channel, granted) if want_reply else b"")

        slot.ask_id = self._asks.ask(AskRequest(channel=channel.number, request=request), answered)

    def _on_success(self, payload: Buffer) -> None:
        self._on_reply(ChannelSuccess.decode(payload).recipient, True)

    def _on_failure(self, payload: Buffer) -> None:
        self._on_reply(ChannelFailure.decode(payload).recipient, False)

    def _on_reply(self, number: int, success: bool) -> None:
        channel = self._established(number)
        if channel is not None and channel.waiting:
            self._events.append(RequestAnswered(number, channel.answered(self._outbox), success))


def _reply(channel: ChannelState, success: bool) -> bytes:
    return (ChannelSuccess if success else ChannelFailure)(channel.peer).encode()


HANDLERS: dict[int, Callable[[Mux, Buffer], None]] = {
    Msg.GLOBAL_REQUEST: Mux._on_global_request,
    Msg.REQUEST_SUCCESS: Mux._on_global_success,
    Msg.REQUEST_FAILURE: Mux._on_global_failure,
    Msg.CHANNEL_OPEN: Mux._on_open,
    Msg.CHANNEL_OPEN_CONFIRMATION: Mux._on_open_confirmation,
    Msg.CHANNEL_OPEN_FAILURE: Mux._on_open_failure,
    Msg.CHANNEL_WINDOW_ADJUST: Mux._on_window_adjust,
    Msg.CHANNEL_DATA: Mux._on_data,
    Msg.CHANNEL_EXTENDED_DATA: Mux._on_extended_data,
    Msg.CHANNEL_EOF: Mux._on_eof,
    Msg.CHANNEL_CLOSE: Mux._on_close,
    Msg.CHANNEL_REQUEST: Mux._on_request,
    Msg.CHANNEL_SUCCESS: Mux._on_success,
    Msg.CHANNEL_FAILURE: Mux._on_failure,
}
"""The handler of each message of phases 4 and 5.

A handler gets the whole payload, and raises :class:`~nacre.errors.RemoteProtocolError` if the peer
breaks the protocol.
"""
