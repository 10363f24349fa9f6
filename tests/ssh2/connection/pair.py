"""Two multiplexers back to back, over outboxes that only record."""

from __future__ import annotations

from typing import Any, cast

from nacre.errors import LocalProtocolError
from nacre.limits import DEFAULT_LIMITS
from nacre.protocol.asks import Ask, Asks, Granted
from nacre.protocol.events import Event
from nacre.protocol.phases import Role
from nacre.ssh2.connection.messages import MESSAGES
from nacre.ssh2.connection.mux import HANDLERS, Mux


class RecordingOutbox:
    """What a multiplexer needs of an outbox; ``full`` makes it refuse messages."""

    def __init__(self):
        self.takes_data = True
        self.full = False
        self.payloads = []
        self.asked = {}
        self.last_token = 0

    def token(self):
        self.last_token += 1
        return self.last_token

    def send(self, payload, asked=None):
        if self.full:
            raise LocalProtocolError("too many messages wait for the end of the key exchange")
        if asked is not None:
            self.asked[asked] = len(self.asked)
        self.payloads.append(bytes(payload))

    def answered(self, token: int) -> None:
        self.asked.pop(token, None)

    def send_parts(self, head, body):
        self.payloads.append(bytes(head) + bytes(body))


class End:
    """One end: a multiplexer with its outbox, events and questions."""

    def __init__(self, role, limits=DEFAULT_LIMITS):
        self.role = role
        self.outbox = RecordingOutbox()
        self.events: list[Event | Ask] = []
        self.asks = Asks(self.events)
        self.mux = Mux(role, cast(Any, self.outbox), self.events, self.asks, limits)

    def receive(self, *payloads):
        for payload in payloads:
            data = payload if isinstance(payload, bytes) else payload.encode()
            HANDLERS[data[0]](self.mux, memoryview(data))

    def sent(self):
        """The messages sent since the last call."""
        taken, self.outbox.payloads = self.outbox.payloads, []
        return [MESSAGES[payload[0]].decode(payload) for payload in taken]

    def happened(self):
        """The events since the last call. The list itself is shared, so it is emptied in place."""
        taken = list(self.events)
        self.events.clear()
        return taken

    def questions(self):
        """Of the events since the last call, the questions."""
        return [event for event in self.happened() if isinstance(event, Ask)]

    def answer(self, ask, answer=None):
        return self.asks.answer(ask.ask_id, answer or Granted())


class Pair:
    """A client and a server, and a link that never loses anything."""

    def __init__(self, limits=DEFAULT_LIMITS, server_limits=None):
        self.client = End(Role.CLIENT, limits)
        self.server = End(Role.SERVER, server_limits or limits)

    def step(self, sender, receiver):
        """Deliver what ``sender`` has sent so far; returns how many messages that was."""
        taken, sender.outbox.payloads = sender.outbox.payloads, []
        receiver.receive(*taken)
        return len(taken)

    def pump(self):
        """Deliver until nothing is under way."""
        while self.step(self.client, self.server) + self.step(self.server, self.client):
            pass

    def session(self):
        """An open session: its number at the client and at the server."""
        mine = self.client.mux.open_channel("session")
        self.pump()
        (ask,) = self.server.questions()
        self.server.answer(ask)
        self.pump()
        self.client.happened()
        self.server.happened()
        return mine, ask.channel
