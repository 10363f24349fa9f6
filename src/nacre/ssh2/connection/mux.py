"""Channels over one connection: messages 80-100 in, events out (RFC 4254)."""

from __future__ import annotations

from collections.abc import Callable

from nacre.errors import LocalProtocolError, RemoteProtocolError
from nacre.protocol.asks import Answer, AskOpen, OpenRefused
from nacre.protocol.events import (
    ChannelClosed,
    ChannelOpened,
    ChannelRefused,
    EofReceived,
    RequestAnswered,
)
from nacre.protocol.phases import Role
from nacre.protocol.requests import SessionOpen
from nacre.ssh2.connection.channel import ChannelState, State
from nacre.ssh2.connection.messages import (
    ChannelClose,
    ChannelEof,
    ChannelOpen,
    ChannelOpenConfirmation,
    ChannelOpenFailure,
)
from nacre.ssh2.connection.opens import may_open
from nacre.ssh2.connection.replies import send_reply
from nacre.ssh2.connection.request_layer import RequestLayer
from nacre.ssh2.connection.requests import check_name
from nacre.wire.codec import Buffer
from nacre.wire.numbers import Msg, OpenFailure
from nacre.wire.text import safe

_PEER = {Role.CLIENT: Role.SERVER, Role.SERVER: Role.CLIENT}


class Mux(RequestLayer):
    """Phases 4 and 5 of one connection; see :class:`nacre.protocol.engine.ConnectionLayer`.

    It is made of layers, each with one idea: the table of channels, their data, their requests, and
    here how they open and end. A layer calls those below it alone.

    Events are ahead of their reader: a channel may be removed here while its last events are still
    in the list. ``close_channel`` and ``adjust_window`` of such a channel therefore do nothing, and
    methods that would send on it raise :class:`~nacre.errors.LocalProtocolError`.
    """

    # --- the owner's calls ---

    def open_channel(self, channel_type: str, data: bytes = b"") -> int:
        """Ask the peer for a channel; ``ChannelOpened`` or ``ChannelRefused`` follows.

        :raises LocalProtocolError: this role opens no such channels, or too many are open.
        """
        if not may_open(self._role, channel_type):
            raise LocalProtocolError(f"a {self._role.value} can't open a {channel_type} channel")
        if len(self.channels) >= self._limits.channels:
            raise LocalProtocolError(f"{len(self.channels)} channels are open already")
        channel = self._new(channel_type, State.REQUESTED)
        message = ChannelOpen(
            channel_type, channel.number, channel.receive.left, self._packet_data, data
        )
        self._ask_peer(channel, message)
        channel.receive.announced(self.now)
        self._add(channel)
        return channel.number

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
        state = self.channels.get(channel)
        if state is None:
            return
        if state.state is State.OFFERED:
            raise LocalProtocolError(f"refuse channel {channel} by answering its question")
        if state.state is State.REQUESTED:
            state.close_wanted = True
        elif state.state is State.OPEN:
            self._outbox.send(ChannelClose(state.peer).encode())
            self._closing(state)

    def send_global_request(self, name: str, data: bytes = b"", *, want_reply: bool = True) -> int:
        """Send a global request. Returns a token for ``GlobalRequestAnswered``, or 0.

        :raises LocalProtocolError: too many wait for their answers.
        """
        token = self._outbox.token() if want_reply else 0
        self.globals.send(token, name, data, want_reply=want_reply)
        return token

    def refused(self, token: int) -> None:
        """Take UNIMPLEMENTED as the refusal of the message that has this token."""
        if self.globals.refused(token):
            return
        channel = next(c for c in self.channels.values() if token in c.waiting)
        channel.waiting.remove(token)
        if channel.state is State.REQUESTED:
            self._refused(channel, OpenFailure.UNKNOWN_CHANNEL_TYPE, "the peer opens no channels")
        else:
            self._events.append(RequestAnswered(channel.number, token, False))

    # --- global requests ---

    def _on_global_request(self, payload: Buffer) -> None:
        self.globals.on_request(payload)

    def _on_global_success(self, payload: Buffer) -> None:
        self.globals.on_success(payload)

    def _on_global_failure(self, payload: Buffer) -> None:
        self.globals.on_failure(payload)

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
        if len(self.channels) >= limits.channels:
            return OpenRefused(OpenFailure.RESOURCE_SHORTAGE, "too many channels are open")
        if message.channel_type == "session":
            SessionOpen.decode(message.data)
            if self.globals.no_more_sessions:
                raise RemoteProtocolError("a session is opened after no-more-sessions@openssh.com")
            sessions = sum(c.channel_type == "session" for c in self.channels.values())
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
