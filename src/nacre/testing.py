"""Two engines back to back, in memory: for tests of nacre and of programs that use it.

::

    pair = Pair()
    pair.run()                        # through kex and authentication
    channel = pair.client.connection.open_channel("session")
    pair.run()

There is no clock, no socket and no thread. The same seed gives the same bytes, except for ML-KEM
and for signatures, which draw their own randomness.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from functools import cache

from nacre.keys import PrivateKey, generate
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskArithmetic,
    AskAuthentication,
    AskGlobalRequest,
    AskHostKey,
    AskOpen,
    AskPassword,
    AskRequest,
    AskUser,
    Denied,
    GlobalGranted,
    Granted,
    TryPassword,
    UserRequirement,
)
from nacre.protocol.engine import Engine
from nacre.protocol.events import Event
from nacre.protocol.options import Algorithms, ClientOptions, ServerOptions
from nacre.protocol.options import algorithms as default_algorithms
from nacre.ssh2.client import SSH2Client as Client
from nacre.ssh2.server import SSH2Server as Server

Answers = Callable[[Ask], Answer | None]
"""Answers a question, or returns None to leave it open."""

PASSWORD = "correct horse"
"""The password that :func:`agreeable` sends and accepts."""


@cache
def host_key() -> PrivateKey:
    """Return an Ed25519 host key, the same for the whole process."""
    return generate("ssh-ed25519", comment="nacre.testing")


def agreeable(ask: Ask) -> Answer | None:
    """Grant every question, and log in with :data:`PASSWORD`."""
    match ask:
        case AskHostKey() | AskOpen() | AskRequest():
            return Granted()
        case AskGlobalRequest():
            return GlobalGranted()
        case AskAuthentication():
            return TryPassword(PASSWORD)
        case AskUser():
            return UserRequirement((frozenset({"password"}),))
        case AskPassword(password=password):
            return Granted() if password == PASSWORD else Denied("wrong password")
    return None


def whole(data: bytes) -> Iterator[bytes]:
    """Deliver bytes in one piece."""
    yield data


def one_by_one(data: bytes) -> Iterator[bytes]:
    """Deliver bytes one at a time."""
    return (data[i : i + 1] for i in range(len(data)))


class Pair:
    """A client and a server, connected to each other.

    :param answers_client: answers the client's questions; ``answers_server``: the server's.
    :param engines: a client and a server to use in place of new ones of SSH-2.
    :param split: splits the bytes that one side sent into the portions that the other receives.
    :ivar client_events: the client's events, questions included; ``server_events``: the server's.
    :ivar now: the time that is passed to both engines.
    """

    def __init__(
        self,
        *,
        client: ClientOptions | None = None,
        server: ServerOptions | None = None,
        algorithms: Algorithms | None = None,
        answers_client: Answers = agreeable,
        answers_server: Answers = agreeable,
        split: Callable[[bytes], Iterable[bytes]] = whole,
        seed: int = 0,
        engines: tuple[Engine, Engine] | None = None,
    ) -> None:
        draw = random.Random(seed).randbytes
        both = algorithms or default_algorithms()
        client = client or ClientOptions(user="alice", algorithms=both)
        server = server or ServerOptions(host_keys=(host_key(),), algorithms=both)
        self.client, self.server = engines or (
            Client(client, random=draw),
            Server(server, random=draw),
        )
        self.client_events: list[Event] = []
        self.server_events: list[Event] = []
        self.now = 0.0
        self.split = split
        self._answers: dict[Engine, Answers] = {
            self.client: answers_client,
            self.server: answers_server,
        }
        self._start()

    def _start(self) -> None:
        self.client.start(self.now)
        self.server.start(self.now)

    def run(self) -> None:
        """Pass bytes and answers on until neither side has anything to send."""
        while self._settle(self.client, self.client_events) | self._settle(
            self.server, self.server_events
        ):
            self._carry(self.client, self.server)
            self._carry(self.server, self.client)

    def _carry(self, sender: Engine, receiver: Engine) -> None:
        for portion in self.split(bytes(sender.take_output())):
            receiver.receive(portion, self.now)
            self._settle(receiver, self._log(receiver))

    def _log(self, engine: Engine) -> list[Event]:
        return self.client_events if engine is self.client else self.server_events

    def _settle(self, engine: Engine, log: list[Event]) -> bool:
        """Log an engine's events and answer its questions; return whether it has bytes to send."""
        while events := engine.take_events():
            log += events
            for event in events:
                if type(event) is AskArithmetic:
                    engine.answer(event.ask_id, event.compute())
                elif (
                    isinstance(event, Ask) and (answer := self._answers[engine](event)) is not None
                ):
                    engine.answer(event.ask_id, answer)
        return engine.output_size > 0
