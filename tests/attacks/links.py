"""Links and peers that break the rules, between two real engines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from nacre.crypto.packets.seal import OVERHEAD, PlainSealer
from nacre.errors import NacreError
from nacre.keys import PrivateKey, PublicKey
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskAuthentication,
    AskPublicKey,
    AskSignature,
    AskUser,
    Denied,
    GiveUp,
    Granted,
    Signature,
    TryPublicKey,
    UserRequirement,
)
from nacre.protocol.engine import Engine
from nacre.protocol.events import ConnectionEnded, Event
from nacre.protocol.phases import Phase, Role
from nacre.testing import Answers, Pair, agreeable

Kind = TypeVar("Kind", bound=Event)
Says = Callable[[bytes], Iterable[bytes]]
"""What a peer says instead of a message of its own: none, one or many."""


@dataclass(frozen=True)
class Packet:
    """One packet on its way: who sent it, its payload, its bytes on the wire."""

    sender: Role
    payload: bytes
    wire: bytes


Tap = Callable[[Packet], Iterable[bytes]]
"""What an attacker in the middle delivers instead of a packet."""


def inside(engine: object) -> Any:
    """Return an engine with everything that its surface hides."""
    return cast(Any, engine)


def of(events: Iterable[Event], kind: type[Kind]) -> list[Kind]:
    """Return the events of a kind."""
    return [event for event in events if isinstance(event, kind)]


def error(events: list[Event]) -> NacreError | None:
    """Return why the connection ended; it must have, and as the last thing."""
    (ended,) = of(events, ConnectionEnded)
    assert events[-1] is ended
    return ended.error


def log_of(pair: Pair, engine: Engine) -> list[Event]:
    """Return what ``engine`` reported."""
    return pair.client_events if engine is pair.client else pair.server_events


def refused(pair: Pair, engine: Engine, kind: type[NacreError], words: str = "") -> None:
    """Check that ``engine`` ended the connection, said so to its peer, and says why."""
    found = error(log_of(pair, engine))
    assert type(found) is kind or (words and isinstance(found, kind)), found
    assert words in str(found), found
    assert engine.phase is Phase.CLOSED
    assert not engine.wants_input


def say(pair: Pair, engine: Engine, *payloads: bytes) -> None:
    """Let ``engine`` send messages, legal or not, under its keys; run until both are quiet."""
    for payload in payloads:
        inside(engine)._outbox.send_parts(payload, b"")
    pair.run()


def plain(payload: bytes) -> bytes:
    """Return a packet as it is before the first key exchange."""
    out = memoryview(bytearray(len(payload) + OVERHEAD))
    return bytes(out[: PlainSealer(bytes).seal(payload, b"", out, 0)])


class Crooked(Pair):
    """A pair of which one end says other things than its engine wants to."""

    def __init__(
        self, *, client_says: Says | None = None, server_says: Says | None = None, **options: Any
    ) -> None:
        self._says = client_says, server_says
        super().__init__(**options)

    def _start(self) -> None:
        for engine, says in zip((self.client, self.server), self._says, strict=True):
            if says is not None:
                outbox = inside(engine)._outbox
                outbox.send_parts = _replaced(outbox.send_parts, says)
        super()._start()


def _replaced(send: Callable[[bytes, bytes], None], says: Says) -> Callable[[bytes, bytes], None]:
    def send_parts(head: bytes, body: bytes) -> None:
        for payload in says(head + bytes(body)):
            send(payload, b"")

    return send_parts


class Middle(Pair):
    """A pair with somebody in the middle, who sees packets but holds no keys."""

    def __init__(self, tap: Tap, **options: Any) -> None:
        self.tap = tap
        self._sent: dict[Engine, list[tuple[bytes, int]]] = {}
        super().__init__(**options)

    def _start(self) -> None:
        for engine in (self.client, self.server):
            self._sent[engine] = []
            self._watch(inside(engine)._outbox, self._sent[engine])
        super()._start()

    @staticmethod
    def _watch(outbox: Any, sent: list[tuple[bytes, int]]) -> None:
        send = outbox.send_parts

        def send_parts(head: bytes, body: bytes) -> None:
            before = outbox.size
            send(head, body)
            sent.append((head + bytes(body), outbox.size - before))

        outbox.send_parts = send_parts

    def _carry(self, sender: Engine, receiver: Engine) -> None:
        data = bytes(sender.take_output())
        sent = self._sent[sender][:]
        self._sent[sender].clear()
        # What is no packet comes first: the identification line.
        at = len(data) - sum(size for _, size in sent)
        portions = [data[:at]]
        for payload, size in sent:
            portions += self.tap(Packet(sender.role, payload, data[at : at + size]))
            at += size
        for portion in portions:
            receiver.receive(portion, self.now)
            self._settle(receiver, self._log(receiver))


def inject_before(sender: Role, number: int, *payloads: bytes) -> Tap:
    """Return a tap that puts plain packets before the first message ``number`` of ``sender``."""
    waiting = [plain(payload) for payload in payloads]

    def tap(packet: Packet) -> list[bytes]:
        if packet.sender is sender and packet.payload[0] == number:
            taken = [*waiting, packet.wire]
            waiting.clear()
            return taken
        return [packet.wire]

    return tap


def policy(*alternatives: str, known: PublicKey | None = None, users: str = "") -> Answers:
    """Answer a server's questions: each alternative is a text of methods joined by ``+``."""
    requirement = UserRequirement(tuple(frozenset(text.split("+")) for text in alternatives))

    def answer(ask: Ask) -> Answer | None:
        match ask:
            case AskUser():
                return requirement
            case AskPublicKey(key=key, user=user):
                there = key == known and (not users or user in users.split(","))
                return Granted() if there else Denied("not listed")
        return agreeable(ask)

    return answer


def key_holder(key: PrivateKey, algorithm: str, sign: Callable[[bytes], bytes]) -> Answers:
    """Answer a client's questions: offer ``key`` once, and sign with ``sign``."""
    tries: list[Answer] = [TryPublicKey(key.public, (algorithm,))]

    def answer(ask: Ask) -> Answer | None:
        match ask:
            case AskAuthentication():
                return tries.pop() if tries else GiveUp(NacreError("the key was not taken"))
            case AskSignature(data=data):
                return Signature(sign(data))
        return agreeable(ask)

    return answer
