"""Requests on channels, and the answers to them (RFC 4254 section 5.4)."""

from __future__ import annotations

from nacre.errors import LocalProtocolError
from nacre.protocol.asks import Answer, AskRequest, Granted
from nacre.protocol.events import RequestAnswered, RequestReceived
from nacre.protocol.requests import Request
from nacre.ssh2.connection.channel import ChannelState, State
from nacre.ssh2.connection.data_layer import DataLayer
from nacre.ssh2.connection.messages import ChannelFailure, ChannelRequest, ChannelSuccess
from nacre.ssh2.connection.requests import RequestVerdict, check_name, decode, may_send, takes_reply
from nacre.wire.codec import Buffer


class RequestLayer(DataLayer):
    """Requests of both sides; see :class:`nacre.ssh2.connection.mux.Mux`."""

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
