"""Global requests: messages 80-82 (RFC 4254 section 4)."""

from __future__ import annotations

from nacre.errors import LocalProtocolError
from nacre.limits import Limits
from nacre.protocol.asks import Answer, AskGlobalRequest, Asks, GlobalGranted
from nacre.protocol.events import Event, GlobalRequestAnswered, GlobalRequestReceived
from nacre.protocol.phases import Role
from nacre.ssh2.connection.messages import GlobalRequest, RequestFailure, RequestSuccess
from nacre.ssh2.connection.replies import Replies, Slot
from nacre.ssh2.connection.requests import check_name
from nacre.ssh2.transport.outbox import Outbox
from nacre.wire.codec import Buffer

_KEEPALIVE = "keepalive@openssh.com"
_NO_MORE_SESSIONS = "no-more-sessions@openssh.com"
_REFUSED_BY = {
    Role.CLIENT: frozenset(
        {
            _KEEPALIVE,
            _NO_MORE_SESSIONS,
            "tcpip-forward",
            "cancel-tcpip-forward",
            "streamlocal-forward@openssh.com",
            "cancel-streamlocal-forward@openssh.com",
            "hostkeys-prove-00@openssh.com",
        }
    ),
    Role.SERVER: frozenset({_KEEPALIVE, "hostkeys-00@openssh.com"}),
}
"""Requests refused without a question: keepalives, for which any reply will do, and requests that
only this role sends."""

_FAILURE = RequestFailure().encode()


class GlobalRequests:
    """Global requests of both sides.

    :ivar no_more_sessions: the client announced that it opens no further session; a server treats
        another one as a violation of the protocol.
    """

    def __init__(
        self, role: Role, outbox: Outbox, events: list[Event], asks: Asks, limits: Limits
    ) -> None:
        self.no_more_sessions = False
        self._role = role
        self._outbox = outbox
        self._events = events
        self._asks = asks
        self._limits = limits
        self._waiting: list[int] = []
        self._replies = Replies(outbox, limits.channel_requests)

    def send(self, token: int, name: str, data: bytes, *, want_reply: bool) -> None:
        """Send a request; ``token`` is in the event of its answer.

        :raises LocalProtocolError: too many wait for their answers.
        """
        if want_reply and len(self._waiting) >= self._limits.unanswered_pings:
            raise LocalProtocolError("too many global requests wait for their answers")
        message = GlobalRequest(name, want_reply, data)
        self._outbox.send(message.encode(), token if want_reply else None)
        if want_reply:
            self._waiting.append(token)

    def on_request(self, payload: Buffer) -> None:
        """Take SSH_MSG_GLOBAL_REQUEST."""
        message = GlobalRequest.decode(payload)
        check_name(message.name, self._limits)
        if message.name == _NO_MORE_SESSIONS and self._role is Role.SERVER:
            self.no_more_sessions = True
            if message.want_reply:
                self._replies.settle(self._replies.reserve(), RequestSuccess(b"").encode())
        elif message.name in _REFUSED_BY[self._role]:
            if message.want_reply:
                self._replies.settle(self._replies.reserve(), _FAILURE)
        elif message.want_reply:
            self._ask(message)
        else:
            self._events.append(GlobalRequestReceived(message.name, message.data))

    def _ask(self, message: GlobalRequest) -> None:
        slot = self._replies.reserve()
        ask = AskGlobalRequest(name=message.name, data=message.data)
        self._asks.ask(ask, lambda answer: self._answered(slot, answer))

    def _answered(self, slot: Slot, answer: Answer) -> None:
        if isinstance(answer, GlobalGranted):
            self._replies.settle(slot, RequestSuccess(answer.data).encode())
        else:
            self._replies.settle(slot, _FAILURE)

    def on_success(self, payload: Buffer) -> None:
        """Take SSH_MSG_REQUEST_SUCCESS."""
        self._reply_came(True, RequestSuccess.decode(payload).data)

    def on_failure(self, payload: Buffer) -> None:
        """Take SSH_MSG_REQUEST_FAILURE."""
        # It has no fields; OpenSSH looks at none that a peer adds.
        self._reply_came(False, b"")

    def _reply_came(self, success: bool, data: bytes) -> None:
        if not self._waiting:
            return
        token = self._waiting.pop(0)
        self._outbox.asked.pop(token, None)
        self._events.append(GlobalRequestAnswered(token, success, data))

    def refused(self, token: int) -> bool:
        """Take UNIMPLEMENTED as the failure of that request; return False if it is not open."""
        if token not in self._waiting:
            return False
        self._waiting.remove(token)
        self._events.append(GlobalRequestAnswered(token, False, b""))
        return True
