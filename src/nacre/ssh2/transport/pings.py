"""PING and PONG: probes that the peer has to answer (``ping@openssh.com``, OpenSSH's PROTOCOL)."""

from __future__ import annotations

from nacre.errors import LocalProtocolError
from nacre.limits import Limits
from nacre.protocol.events import Event, PongReceived
from nacre.ssh2.transport.messages import Ping, Pong
from nacre.ssh2.transport.outbox import Outbox
from nacre.wire.codec import Buffer


class Pings:
    """Our PINGs that wait for their PONGs, which come in the same order."""

    # _waiting  the data of each PING by its token, oldest first.

    def __init__(self, outbox: Outbox, events: list[Event], limits: Limits) -> None:
        self._outbox = outbox
        self._events = events
        self._most = limits.unanswered_pings
        self._waiting: dict[int, bytes] = {}

    def send(self, data: bytes) -> None:
        """Send a PING; ``PongReceived`` follows.

        :raises LocalProtocolError: too many wait for their answers.
        """
        if len(self._waiting) >= self._most:
            raise LocalProtocolError("too many pings wait for their answers")
        token = self._outbox.token()
        self._waiting[token] = data
        self._outbox.send(Ping(data).encode(), token)

    def on_pong(self, payload: Buffer) -> None:
        """Take a PONG. One that answers no PING is reported too, and has no further effect."""
        data = Pong.decode(payload).data
        if self._waiting:
            token = next(iter(self._waiting))
            del self._waiting[token]
            self._outbox.asked.pop(token, None)
        self._events.append(PongReceived(data))

    def refused(self, token: int) -> bool:
        """Take UNIMPLEMENTED as the answer: the peer lives. Return False for another message."""
        if token not in self._waiting:
            return False
        self._events.append(PongReceived(self._waiting.pop(token)))
        return True
