"""What the engines of both protocol versions do alike: questions, events and the end."""

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
from nacre.protocol.events import ConnectionEnded, Event
from nacre.protocol.options import EngineOptions
from nacre.protocol.phases import Phase, Role
from nacre.wire.text import safe


class Machine:
    """The ground of an engine; see :class:`nacre.protocol.engine.Engine` for the surface.

    :ivar events: what happened and was not taken yet.
    :param announce: the protocol version that our identification line names.
    """

    role: Role

    def __init__(self, options: EngineOptions, announce: str) -> None:
        self.phase = Phase.VERSION
        self._options = options
        self._limits = options.limits
        self.events: list[Event] = []
        self._asks = Asks(self.events)
        self._banner: BannerReader | None = BannerReader(self.role, options.limits)
        self._line = identification(announce, options.software)

    # --- what the owner calls ---

    def answer(self, ask_id: int, answer: Answer) -> bool:
        """Answer a question; False when it is no longer open.

        :raises LocalProtocolError: there never was such a question, or the answer is not of it.
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
        """Return what happened since the last call, in order."""
        # The list itself stays: all layers put what happens into this one.
        events = self.events[:]
        self.events.clear()
        return events

    def disconnect(self, code: DisconnectCode, description: str) -> None:
        """End the connection with a reason; SSH-1 sends no code with it."""
        if self.phase is not Phase.CLOSED:
            self._say_goodbye(code, description)
            self._close(None)

    # --- what each version does its own way ---

    def _go_on(self) -> None:
        """Take up the packets that waited for an answer."""
        raise NotImplementedError

    def _send_line(self, line: bytes) -> None:
        """Send a line of text that is no packet."""
        raise NotImplementedError

    def _send_disconnect(self, code: DisconnectCode, description: str) -> None:
        raise NotImplementedError

    def _clear(self) -> None:
        """Forget what was received and not yet looked at."""
        raise NotImplementedError

    # --- the end ---

    def _end(self, error: NacreError) -> None:
        """End the connection because of ``error``, and tell the peer why."""
        if self.phase is Phase.CLOSED:
            return
        if not isinstance(error, ConnectionLost):
            code = getattr(error, "code", DisconnectCode.BY_APPLICATION)
            # Other errors are for this side's user alone: they name files, keys and what to do.
            told = isinstance(error, ProtocolError)
            self._say_goodbye(code, str(error) if told else code.name.lower().replace("_", " "))
        self._close(error)

    def _say_goodbye(self, code: DisconnectCode, description: str) -> None:
        description = safe(description, 255)
        if self.phase is Phase.VERSION:
            # The peer may not speak our version: a line of text is all it can be expected to show.
            self._send_line(description.encode())
        else:
            self._send_disconnect(code, description)

    def _close(self, error: NacreError | None) -> None:
        self.phase = Phase.CLOSED
        self._asks.withdraw_all()
        self._clear()
        self.events.append(ConnectionEnded(error))
