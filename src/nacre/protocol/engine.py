"""The interface of every engine, of SSH-2 and of SSH-1."""

from __future__ import annotations

from typing import Protocol

from nacre.errors import DisconnectCode
from nacre.protocol.asks import Answer
from nacre.protocol.events import Event
from nacre.protocol.phases import Phase, Role
from nacre.protocol.requests import Request
from nacre.wire.codec import Buffer
from nacre.wire.numbers import MAIN

ANY_NUMBER = 0
"""No bound on the messages that one call of :meth:`Engine.receive` handles."""


class ConnectionLayer(Protocol):
    """Phases 4 and 5: channels and requests. Channel numbers are this side's.

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
        """Announce that no more data follows."""

    def close_channel(self, channel: int) -> None:
        """Close our side; ``ChannelClosed`` follows once the peer has closed its side."""

    def send_request(self, channel: int, request: Request, *, want_reply: bool = True) -> int:
        """Send a request. Returns a token for ``RequestAnswered``, or 0 without ``want_reply``."""

    def send_global_request(self, name: str, data: bytes = b"", *, want_reply: bool = True) -> int:
        """Send a global request. Returns a token for ``GlobalRequestAnswered``, or 0."""

    def adjust_window(self, channel: int, count: int) -> None:
        """Report that a reader consumed ``count`` bytes, so that the peer may send as many more.

        Call it for the data of each ``Data`` event; a WINDOW_ADJUST goes out in larger steps.
        """


class Engine(Protocol):
    """One end of one connection. It does no I/O: bytes go in and come out, time is handed in.

    Call ``start`` once, then ``receive``, ``receive_eof``, ``answer`` and ``tick`` when there is
    cause. After each call, take what ``take_events`` and ``take_output`` return.
    """

    @property
    def role(self) -> Role:
        """Which end of the connection this is."""

    @property
    def phase(self) -> Phase:
        """The phase of the connection."""

    @property
    def connection(self) -> ConnectionLayer:
        """The layer of channels and requests.

        :raises LocalProtocolError: before authentication is done, and after the end.
        """

    @property
    def events(self) -> list[Event]:
        """The events that ``take_events`` would return. Do not change the list."""

    @property
    def wants_input(self) -> bool:
        """Whether to read: False while a question stops the packet loop, or it is ``behind``."""

    @property
    def output_size(self) -> int:
        """How many bytes ``take_output`` would return."""

    @property
    def next_tick(self) -> float | None:
        """When to call ``tick`` next, on the clock of ``now``; None for never."""

    def start(self, now: float) -> None:
        """Begin: put our identification line into the outbox. Call it once, before all others."""

    @property
    def behind(self) -> bool:
        """Whether the last call left messages for the next one: ``most`` of them were handled."""

    def receive(
        self, data: Buffer, now: float, *, whole: bool = False, most: int = ANY_NUMBER
    ) -> int:
        """Take bytes from the peer. An error in them ends in ``ConnectionEnded``, never raises.

        :param whole: leave a packet that is not complete with the caller, if possible.
        :param most: how many messages to handle, now and when a question is answered. If ``behind``
            is True then, more are there: call this again, with no other bytes than those that were
            not taken.
        :returns: how many bytes at the end of ``data`` were not taken. Pass them again, followed by
            the next ones. Without ``whole`` it is 0.
        """

    def receive_eof(self) -> None:
        """Report that the transport ended. Call it when a read returns no bytes."""

    def tick(self, now: float) -> None:
        """Do what is due at ``now``: a rekey by time. Call it when ``next_tick`` has come."""

    def answer(self, ask_id: int, answer: Answer) -> bool:
        """Answer a question. Returns False if it is no longer open."""

    def take_events(self) -> list[Event]:
        """Return the events since the last call, in order. Call it after every other method."""

    def take_output(self) -> memoryview:
        """Return the bytes to send. The caller owns them; call it after every other method.

        Once they are sent, :meth:`~nacre.wire.blocks.BlockPool.give` may return their memory to the
        pool.
        """

    def disconnect(self, code: DisconnectCode, description: str) -> None:
        """End the connection with a reason for the peer."""

    def rekey(self) -> None:
        """Start a new key exchange, unless one is running."""

    @property
    def pings(self) -> bool:
        """Whether the peer announced that it answers ``ping@openssh.com``."""

    def ping(self, data: bytes = b"") -> None:
        """Send a message that the peer answers: ``PongReceived`` or ``GlobalRequestAnswered``."""
