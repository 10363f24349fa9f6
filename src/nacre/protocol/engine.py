"""The surface that every engine has, whichever version of the protocol it speaks."""

from __future__ import annotations

from typing import Final, Protocol

from nacre.errors import DisconnectCode
from nacre.protocol.asks import Answer
from nacre.protocol.events import Event
from nacre.protocol.phases import Phase, Role
from nacre.protocol.requests import Request
from nacre.wire.codec import Buffer

MAIN: Final = 0
"""The stream of a channel that CHANNEL_DATA carries: standard input and output."""

STDERR: Final = 1
"""The stream of CHANNEL_EXTENDED_DATA, for standard error (RFC 4254 section 5.2)."""


class ConnectionLayer(Protocol):
    """Phases 4 and 5: channels and requests. Numbers of channels are this side's.

    Every method raises :class:`~nacre.errors.LocalProtocolError` when the call is not legal now,
    such as data after EOF or a request on a channel that is not open.
    """

    def open_channel(self, channel_type: str, data: bytes = b"") -> int:
        """Ask the peer for a channel; ``ChannelOpened`` or ``ChannelRefused`` follows."""

    def send_data(self, channel: int, data: Buffer, stream: int = MAIN) -> int:
        """Send as much of ``data`` as the window allows now, and return how many bytes that was.

        When that is less than all, ``Writable`` follows as soon as there is room.
        """

    def send_eof(self, channel: int) -> None:
        """Say that no more data follows."""

    def close_channel(self, channel: int) -> None:
        """Close our side; ``ChannelClosed`` follows when the peer has closed too."""

    def send_request(self, channel: int, request: Request, *, want_reply: bool = True) -> int:
        """Send a request. Returns a token for ``RequestAnswered``, or 0 without ``want_reply``."""

    def send_global_request(self, name: str, data: bytes = b"", *, want_reply: bool = True) -> int:
        """Send a global request. Returns a token for ``GlobalRequestAnswered``, or 0."""

    def adjust_window(self, channel: int, count: int) -> None:
        """Say that a reader consumed ``count``, so that the peer may send as many more."""


class Engine(Protocol):
    """One end of one connection. It does no I/O: bytes go in and come out, time is handed in.

    After every call, drain ``take_events`` and ``take_output``.
    """

    @property
    def role(self) -> Role:
        """Which end this is."""

    @property
    def phase(self) -> Phase:
        """Where the connection stands."""

    @property
    def connection(self) -> ConnectionLayer:
        """Channels and requests.

        :raises LocalProtocolError: before authentication is done, and after the end.
        """

    @property
    def events(self) -> list[Event]:
        """What happened and was not taken yet; only ``take_events`` takes it."""

    @property
    def wants_input(self) -> bool:
        """False while an open question stops the packet loop: read no more until it is answered."""

    @property
    def output_size(self) -> int:
        """Bytes that wait in the outbox."""

    @property
    def next_tick(self) -> float | None:
        """When ``tick`` is due next, on the clock of ``now``; None for never."""

    def start(self, now: float) -> None:
        """Begin: put our identification line into the outbox."""

    def receive(self, data: Buffer, now: float, *, whole: bool = False) -> int:
        """Take bytes from the peer. What is wrong with them ends in ``ConnectionEnded``.

        :param whole: take whole packets alone, where that can be.
        :returns: how many bytes at the end of ``data`` were not taken, and must come again in
            front of what follows them; without ``whole`` there are none.
        """

    def receive_eof(self) -> None:
        """The transport ended: no more bytes will come."""

    def tick(self, now: float) -> None:
        """Do what is due at ``now``: a rekey by time."""

    def answer(self, ask_id: int, answer: Answer) -> bool:
        """Answer a question; False when it is no longer open."""

    def take_events(self) -> list[Event]:
        """Return what happened since the last call, in order."""

    def take_output(self) -> memoryview:
        """Return the bytes to send; the caller owns them.

        When they were sent, :meth:`~nacre.wire.blocks.BlockPool.give` may take their memory back.
        """

    def disconnect(self, code: DisconnectCode, description: str) -> None:
        """End the connection with a reason."""

    def rekey(self) -> None:
        """Start a new key exchange, unless one is on."""

    def ping(self, data: bytes = b"") -> None:
        """Send something that the peer answers: ``PongReceived`` or ``GlobalRequestAnswered``."""
