"""A pair of engines whose server is frozen at the login, and goes on as another object."""

from __future__ import annotations

import random
from typing import Any

from nacre.protocol.asks import Answer, Ask, AskHandover
from nacre.protocol.events import Data
from nacre.protocol.frozen import FrozenServer
from nacre.protocol.options import Algorithms, ServerOptions, algorithms
from nacre.ssh2.thawed import ThawedServer
from nacre.testing import Pair, agreeable, host_key
from nacre.value import replace
from nacre.wire.numbers import MAIN


class Moving(Pair):
    """A pair that stands still when its server may be frozen; :meth:`move` goes on.

    :ivar options: the server's options.
    """

    def __init__(self, both: Algorithms | None = None, **options: Any) -> None:
        both = both or algorithms()
        server = options.pop("server", None) or ServerOptions(
            host_keys=(host_key(),), algorithms=both
        )
        self.options = replace(server, handover=True)
        answers = options.pop("answers_server", agreeable)

        def answer(ask: Ask) -> Answer | None:
            return None if isinstance(ask, AskHandover) else answers(ask)

        super().__init__(server=self.options, algorithms=both, answers_server=answer, **options)

    @property
    def question(self) -> AskHandover:
        """The question about the handover."""
        (ask,) = (event for event in self.server_events if isinstance(event, AskHandover))
        return ask

    def freeze(self) -> FrozenServer:
        """Freeze the server, and return what another process would read."""
        return FrozenServer.decode(self.question.freeze().encode())

    def thaw(self, frozen: FrozenServer, options: ServerOptions | None = None) -> None:
        """Go on with a new server; the one that was frozen gets nothing more."""
        old = self.server
        server = ThawedServer(
            options or replace(self.options, handover=False),
            frozen,
            random=random.Random(1).randbytes,
        )
        self.server = server
        self._answers[server] = self._answers.pop(old)
        self.server_events.clear()
        server.start(self.now)
        # Questions end the call; the next one reads the rest of what waits.
        while server.behind:
            server.receive(b"", self.now)
            self._settle(server, self.server_events)

    def move(self) -> None:
        """Freeze the server, thaw it, and let both sides come to rest."""
        self.thaw(self.freeze())
        self.run()

    def open(self) -> int:
        """Open a session, whose number is the same on both sides; return it."""
        channel = self.client.connection.open_channel("session")
        self.run()
        return channel

    def talk(self, channel: int, size: int = 10_000) -> None:
        """Check that data arrives in both directions."""
        data = random.Random(size).randbytes(size)
        for sender, events in (
            (self.client, self.server_events),
            (self.server, self.client_events),
        ):
            events.clear()
            assert sender.connection.send_data(channel, data, MAIN) == size
            self.run()
            got = b"".join(bytes(event.data) for event in events if isinstance(event, Data))
            assert got == data
