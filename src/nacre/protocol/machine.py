"""The part that the engines of both protocol versions share: questions, events, the end."""

from __future__ import annotations

from nacre.errors import (
    ConnectionLost,
    DisconnectCode,
    LocalProtocolError,
    NacreError,
    ProtocolError,
)
from nacre.protocol.asks import Answer, Asks
from nacre.protocol.banner import BannerReader, identification
from nacre.protocol.engine import ANY_NUMBER
from nacre.protocol.events import ConnectionEnded, Event
from nacre.protocol.options import EngineOptions
from nacre.protocol.phases import Phase, Role
from nacre.wire.text import safe


class Machine:
    """The base of an engine; see :class:`nacre.protocol.engine.Engine` for the interface.

    :ivar events: the events that were not taken yet.
    :ivar behind: whether messages wait because a call handles ``_most`` of them; 0 is any number.
    :param announce: the protocol version in our identification line.
    """

    role: Role

    def __init__(self, options: EngineOptions, announce: str) -> None:
        self.phase = Phase.VERSION
        self._options = options
        self._limits = options.limits
        self.events: list[Event] = []
        self._asks = Asks(self.events)
        self.behind = False
        self._most = ANY_NUMBER
        self._banner: BannerReader | None = BannerReader(self.role, options.limits)
        self._line = identification(announce, options.software)

    # --- what the owner calls ---

    def answer(self, ask_id: int, answer: Answer) -> bool:
        """Answer a question. Returns False if it is no longer open.

        :raises LocalProtocolError: no question had this number, or it takes no such answer.
        """
        try:
            taken = self._asks.answer(ask_id, answer)
        except LocalProtocolError:
            raise
        except NacreError as error:
            self._end(error)
            return True
        if taken:
            self._go_on()
        return taken

    def take_events(self) -> list[Event]:
        """Return the events since the last call, in order."""
        # All layers append to this list, so it is emptied and not replaced.
        events = self.events[:]
        self.events.clear()
        return events

    def disconnect(self, code: DisconnectCode, description: str) -> None:
        """End the connection with a reason for the peer; SSH-1 has no field for the code."""
        if self.phase is not Phase.CLOSED:
            self._say_goodbye(code, description)
            self._close(None)

    # --- what each version implements ---

    def _go_on(self) -> None:
        """Read the packets that waited for an answer."""
        raise NotImplementedError

    def _send_line(self, line: bytes) -> None:
        """Send a line of text, outside packets."""
        raise NotImplementedError

    def _send_disconnect(self, code: DisconnectCode, description: str) -> None:
        raise NotImplementedError

    def _clear(self) -> None:
        """Drop the bytes that were received and not read."""
        raise NotImplementedError

    # --- the end ---

    def _end(self, error: NacreError) -> None:
        """End the connection because of ``error``, and report the reason to the peer."""
        if self.phase is Phase.CLOSED:
            return
        if not isinstance(error, ConnectionLost):
            code = getattr(error, "code", DisconnectCode.BY_APPLICATION)
            # Other errors are for this side's user only: they name files, keys and remedies.
            shown = isinstance(error, ProtocolError)
            self._say_goodbye(code, str(error) if shown else code.name.lower().replace("_", " "))
        self._close(error)

    def _say_goodbye(self, code: DisconnectCode, description: str) -> None:
        description = safe(description, 255)
        if self.phase is Phase.VERSION:
            # The peer may not speak our version: a line of text is all that it can show.
            self._send_line(description.encode())
        else:
            self._send_disconnect(code, description)

    def _close(self, error: NacreError | None) -> None:
        self.phase = Phase.CLOSED
        self.behind = False
        self._asks.withdraw_all()
        self._clear()
        self.events.append(ConnectionEnded(error))
