"""The connections that one SSH connection carries: what is known of them, and how one is joined."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

from nacre.errors import NacreError
from nacre.protocol.asks import AskOpen, OpenRefused
from nacre.protocol.tcpip import Endpoint
from nacre.tunnels.relay import Make, Relay, grant
from nacre.wire.numbers import MAIN, OpenFailure

if TYPE_CHECKING:
    from nacre.aio.connection import BaseConnection

_logger = logging.getLogger("nacre.client")

Reach: TypeAlias = Callable[[], Coroutine[Any, Any, socket.socket]]
"""Makes a connection, or raises a NacreError."""


class Carried:
    """The forwarded connections of one SSH connection.

    :ivar connection: the connection that carries them.
    """

    def __init__(self, connection: BaseConnection) -> None:
        self.connection = connection
        self._texts: dict[int, str] = {}

    def note(self, channel: int, text: str) -> None:
        """Note what a channel carries; the text is safe to print."""
        self._texts[channel] = text

    def open_now(self) -> tuple[str, ...]:
        """See :attr:`Connection.forwarded`."""
        relayed = {
            channel.number
            for channel in self.connection.channels
            if isinstance(channel.sinks.get(MAIN), Relay)
        }
        self._texts = {n: text for n, text in self._texts.items() if n in relayed}
        return tuple(f"#{number} {text}" for number, text in sorted(self._texts.items()))

    def warn(self, place: Endpoint | str, error: Exception) -> None:
        """Log that a connection could not be carried."""
        if not self.connection.ended:
            _logger.warning("forwarding to %s failed: %s", place, error)

    def refuse(self, ask: AskOpen) -> None:
        """Refuse a channel that belongs to nothing that was requested."""
        self.connection.answer(ask.ask_id, OpenRefused())

    async def join(
        self, ask: AskOpen, place: Endpoint | str, reach: Reach, make: Make = Relay
    ) -> None:
        """Grant a channel once ``reach`` has made a connection to ``place``, and relay the two.

        :param make: returns the relay.
        """
        try:
            sock = await reach()
        except NacreError as error:
            refusal = OpenRefused(OpenFailure.CONNECT_FAILED, str(error))
            self.connection.answer(ask.ask_id, refusal)
            self.warn(place, error)
            return
        self.note(ask.channel, f"from the server to {place}")
        await grant(self.connection, ask, sock, make)
