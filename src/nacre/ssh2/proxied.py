"""The connection protocol alone, as the proxy mode of OpenSSH's shared connections carries it.

The master of a shared connection and its client speak RFC 4254 over a socket of their own: there is
no key exchange and no authentication, and packets have neither padding nor encryption (OpenSSH's
PROTOCOL.mux, section 9). To the client, the master is the server.
"""

from __future__ import annotations

from typing import Final

from nacre.crypto.packets.seal import BareOpener, BareSealer
from nacre.errors import (
    ConnectionLost,
    DisconnectCode,
    Disconnected,
    LocalProtocolError,
    NacreError,
    RemoteProtocolError,
)
from nacre.protocol.engine import ANY_NUMBER
from nacre.protocol.machine import Machine
from nacre.protocol.options import EngineOptions
from nacre.protocol.phases import Phase, Role
from nacre.ssh2.connection.mux import HANDLERS, Mux
from nacre.ssh2.transport.framing import Inbox
from nacre.ssh2.transport.messages import Disconnect, Unimplemented
from nacre.ssh2.transport.outbox import Outbox
from nacre.wire.codec import Buffer
from nacre.wire.numbers import Msg
from nacre.wire.text import safe

_CLOSED: Final = Phase.CLOSED
_WITHOUT_EFFECT = frozenset({Msg.IGNORE, Msg.DEBUG, Msg.UNIMPLEMENTED})
_KEEPALIVE = "keepalive@openssh.com"


class ProxiedEngine(Machine):
    """One end of such a connection; see :class:`nacre.protocol.engine.Engine` for the interface.

    It begins in the phase of channels: ``Authenticated`` and what comes before never happens.

    :param role: ``Role.SERVER`` for the master.
    :ivar connection: the layer of channels and requests.
    """

    pings = False
    next_tick: float | None = None

    def __init__(self, role: Role, options: EngineOptions) -> None:
        self.role = role
        super().__init__(options, options.announce)
        limits = options.limits
        self.phase = Phase.CONNECTION
        self._outbox = Outbox(BareSealer(), limits, self.events, trace=options.trace)
        self._outbox.takes_data = True
        self._inbox = Inbox(BareOpener(limits.packet), limits)
        self._mux = Mux(role, self._outbox, self.events, self._asks, limits)

    # --- what the owner calls ---

    @property
    def connection(self) -> Mux:
        """Return the layer of channels and requests.

        :raises LocalProtocolError: after the end.
        """
        if self.phase is _CLOSED:
            raise LocalProtocolError("the connection has ended")
        return self._mux

    @property
    def wants_input(self) -> bool:
        """Whether to read from the transport."""
        return self.phase is not _CLOSED and not self.behind

    @property
    def output_size(self) -> int:
        """How many bytes ``take_output`` would return."""
        return self._outbox.size

    def start(self, now: float) -> None:
        """Begin: nothing is sent first."""
        self._mux.now = now

    def receive(
        self, data: Buffer, now: float, *, whole: bool = False, most: int = ANY_NUMBER
    ) -> int:
        """Take bytes from the peer; see :meth:`nacre.protocol.engine.Engine.receive`."""
        self._mux.now = now
        if self.phase is _CLOSED:
            return 0
        try:
            self._inbox.feed(data)
            self.behind = False
            while (payload := self._inbox.next()) is not None:
                self._take(payload)
                most -= 1
                if not most:
                    self.behind = self._inbox.left > 0
                    break
            if whole:
                return self._inbox.leave()
            self._inbox.keep()
        except NacreError as error:
            self._end(error)
        return 0

    def _take(self, payload: Buffer) -> None:
        number = payload[0]
        if (handler := HANDLERS.get(number)) is not None:
            handler(self._mux, payload)
        elif number == Msg.DISCONNECT:
            told = Disconnect.decode(payload)
            self._close(Disconnected(told.code, safe(told.description)))
        elif number < Msg.CHANNEL_OPEN and number not in _WITHOUT_EFFECT:
            raise RemoteProtocolError(f"message {number} is not legal in a shared connection")
        elif number not in _WITHOUT_EFFECT:
            sequence = (self._inbox.sequence - 1) & 0xFFFFFFFF
            self._outbox.send(Unimplemented(sequence).encode())

    def receive_eof(self) -> None:
        """End the connection: the transport ended."""
        self._end(ConnectionLost("the other end of the shared connection is gone"))

    def tick(self, now: float) -> None:
        """Nothing is ever due."""

    def take_output(self) -> memoryview:
        """Return the bytes to send. The caller owns them; call it after every other method."""
        return self._outbox.take()

    def rekey(self) -> None:
        """Do nothing: the keys are those of the connection that is shared.

        :raises LocalProtocolError: always.
        """
        raise LocalProtocolError("the connection is another program's, which renews its keys")

    def ping(self, data: bytes = b"") -> None:
        """Send a request that the peer answers: ``GlobalRequestAnswered`` follows."""
        if self.phase is not _CLOSED:
            self._mux.send_global_request(_KEEPALIVE)

    # --- see Machine ---

    def _go_on(self) -> None:
        """No question stops the reading of packets."""

    def _send_disconnect(self, code: DisconnectCode, description: str) -> None:
        self._outbox.send(Disconnect(code, description, "").encode())

    def _clear(self) -> None:
        self._inbox.clear()
