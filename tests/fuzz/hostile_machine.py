"""An engine of SSH-2 whose peer has the right keys and says anything, and its owner's calls.

The peer logs in as it should. From then on it sends what the rules make up: messages whose layout
is right, mutations of them, and floods. What comes back it reads and ignores.
"""

from __future__ import annotations

import contextlib
import random
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from attacks.links import inside
from fuzz.messages import BY_KIND, PAYLOADS, records
from fuzz.mutate import mutated
from nacre.errors import ConnectionLost, LocalProtocolError, RemoteProtocolError
from nacre.limits import KIB, Limits
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskGlobalRequest,
    AskOpen,
    AskRequest,
    Denied,
    GlobalGranted,
    Granted,
    OpenRefused,
)
from nacre.protocol.events import (
    ConnectionEnded,
    Data,
    GlobalRequestAnswered,
    RequestAnswered,
    RequestReceived,
)
from nacre.protocol.options import ClientOptions, ServerOptions, algorithms
from nacre.protocol.phases import Phase, Role
from nacre.protocol.requests import Exec, ExitStatus, Keepalive, OtherRequest, Request
from nacre.ssh2.client import SSH2Client
from nacre.ssh2.connection.messages import MESSAGES
from nacre.ssh2.engine import Handler
from nacre.ssh2.server import SSH2Server
from nacre.testing import Pair, host_key
from nacre.wire.numbers import Msg

LIMITS = Limits(
    window_initial=5000,
    window_maximum=20_000,
    windows_total=40_000,
    packet_data=3000,
    channels=6,
    sessions=3,
    channel_requests=8,
    unanswered_pings=20,
    held_input=64 * KIB,
    kex_held_output=8 * KIB,
    environment=3,
)
"""Bounds that a few messages reach."""

_LOW = {
    **BY_KIND,
    "u32": st.sampled_from([0, 0, 0, 1, 1, 2, 3, 5, 900, 5000, (1 << 31) - 1, (1 << 32) - 1]),
    "string": st.binary(max_size=40) | st.sampled_from([bytes(900), bytes(3000), bytes(3001)]),
}
"""Values of fields of which many are numbers of channels that there are."""

SAID = st.sampled_from(list(MESSAGES.values())).flatmap(lambda kind: records(kind, _LOW)).map(
    lambda made: made.encode()
)  # fmt: skip
NUMBERS = st.integers(0, 3)


def _ignore(*_: object) -> None:
    pass


_IGNORED: dict[int, Handler] = {
    **dict.fromkeys(range(80, 128), _ignore),
    Msg.UNIMPLEMENTED: _ignore,
    Msg.PONG: _ignore,
}


class ShamelessClient(SSH2Client):
    """A client that ignores what concerns channels: it opened none."""

    @classmethod
    def handlers(cls) -> dict[int, Handler]:
        return {**super().handlers(), **_IGNORED}


class ShamelessServer(SSH2Server):
    """A server that ignores what concerns channels: it knows of none."""

    @classmethod
    def handlers(cls) -> dict[int, Handler]:
        return {**super().handlers(), **_IGNORED}


class HostileMachine(RuleBasedStateMachine):
    """Every rule is something that the peer says, or one call of the victim's owner.

    When the connection has ended, the next rule begins another one.
    """

    @initialize(
        role=st.sampled_from(list(Role)), compression=st.sampled_from(["none", "zlib@openssh.com"])
    )
    def begin(self, role: Role, compression: str) -> None:
        self.role = role
        self.algorithms = algorithms(kex="curve25519-sha256", compression=compression)
        self.now = 0.0
        self._connect()

    def _connect(self) -> None:
        draw = random.Random(0).randbytes
        client = ClientOptions(user="alice", algorithms=self.algorithms, limits=LIMITS)
        server = ServerOptions(host_keys=(host_key(),), algorithms=self.algorithms, limits=LIMITS)
        engines: Any
        if self.role is Role.CLIENT:
            engines = SSH2Client(client, random=draw), ShamelessServer(server, random=draw)
        else:
            engines = ShamelessClient(client, random=draw), SSH2Server(server, random=draw)
        pair = Pair(engines=engines)
        pair.run()
        assert pair.client.phase is pair.server.phase is Phase.CONNECTION
        self.victim, self.peer = engines if self.role is Role.CLIENT else engines[::-1]
        self.ended = False
        self.asks: list[Ask] = []
        self.asked: set[int] = set()
        self.tokens: set[int] = set()

    # --- what the peer says ---

    @rule(payload=SAID | SAID | PAYLOADS, times=st.sampled_from([1, 1, 1, 1, 2, 9, 300]))
    def say(self, payload: bytes, times: int) -> None:
        self._say([payload] * times)

    @rule(payload=SAID | PAYLOADS, seed=st.integers(0, 1 << 32))
    def say_mutated(self, payload: bytes, seed: int) -> None:
        self._say([payload[:1] + mutated(payload[1:], random.Random(seed))])

    def _say(self, payloads: list[bytes]) -> None:
        self._live()
        for payload in payloads:
            inside(self.peer)._outbox.send_parts(payload, b"")
        before, said = self.victim.output_size, sum(map(len, payloads))
        self._pass_on()
        # An answer is no larger than what it answers, but for a text, a window adjust or KEXINIT.
        assert self.victim.output_size - before <= 2 * said + 700 * len(payloads) + 8 * KIB

    @rule()
    def exchange_keys(self) -> None:
        self._live()
        self.peer.rekey()
        self._pass_on()

    @rule()
    def read(self) -> None:
        """Let the peer read what the victim sent, and answer what is not about channels."""
        self._live()
        self.peer.receive(bytes(self.victim.take_output()), self.now)
        for event in self.peer.take_events():
            if isinstance(event, Ask):
                self.peer.answer(event.ask_id, event.compute())  # type: ignore[attr-defined]
        self._pass_on()

    def _pass_on(self) -> None:
        data = bytes(self.peer.take_output())
        self.victim.receive(data, self.now, most=5)
        self._settle()
        while self.victim.behind:
            self.victim.receive(b"", self.now, most=5)
            self._settle()

    # --- what the victim's owner does ---

    @rule(kind=st.sampled_from(["session", "x11", "fuzz@example.com"]))
    def open_channel(self, kind: str) -> None:
        self._own(lambda: self.victim.connection.open_channel(kind))

    @rule(channel=NUMBERS, size=st.sampled_from([0, 1, 3000, 70_000]), stream=st.integers(0, 1))
    def send_data(self, channel: int, size: int, stream: int) -> None:
        self._own(lambda: self.victim.connection.send_data(channel, bytes(size), stream))

    @rule(channel=NUMBERS)
    def send_eof(self, channel: int) -> None:
        self._own(lambda: self.victim.connection.send_eof(channel))

    @rule(channel=NUMBERS)
    def close_channel(self, channel: int) -> None:
        self._own(lambda: self.victim.connection.close_channel(channel))

    @rule(channel=NUMBERS, count=st.sampled_from([0, 1, 900, 5000]))
    def consume(self, channel: int, count: int) -> None:
        self._own(lambda: self.victim.connection.adjust_window(channel, count))

    @rule(
        channel=NUMBERS,
        request=st.sampled_from(
            [Exec(b"id"), ExitStatus(1), Keepalive(), OtherRequest("fuzz@example.com", b"")]
        ),
    )
    def send_request(self, channel: int, request: Request) -> None:
        self._note(lambda: self.victim.connection.send_request(channel, request))

    @rule()
    def send_global_request(self) -> None:
        self._note(lambda: self.victim.connection.send_global_request("fuzz@example.com"))

    @rule()
    def ping(self) -> None:
        self._own(lambda: self.victim.ping(b"?"))

    @rule()
    def rekey(self) -> None:
        self._own(self.victim.rekey)

    @rule(which=st.integers(0, 9), yes=st.booleans())
    def answer(self, which: int, yes: bool) -> None:
        if self.asks:
            ask = self.asks.pop(which % len(self.asks))
            answers: dict[type[Ask], tuple[Answer, Answer]] = {
                AskOpen: (OpenRefused(), Granted()),
                AskRequest: (Denied(""), Granted()),
                AskGlobalRequest: (Denied(""), GlobalGranted(b"fine")),
            }
            self._own(lambda: self.victim.answer(ask.ask_id, answers[type(ask)][yes]))

    @rule(seconds=st.sampled_from([0.01, 4000.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self._own(lambda: self.victim.tick(self.now))

    def _own(self, call: Any) -> Any:
        """Make a call of the owner. What is not legal now is its to know."""
        self._live()
        made = None
        with contextlib.suppress(LocalProtocolError):
            made = call()
        self._settle()
        return made

    def _note(self, call: Any) -> None:
        if token := self._own(call):
            assert token not in self.tokens
            self.tokens.add(token)

    def _live(self) -> None:
        if self.ended or self.peer.phase is Phase.CLOSED:
            self._connect()

    # --- what must hold ---

    def _settle(self) -> None:
        while events := self.victim.take_events():
            for event in events:
                assert not self.ended
                match event:
                    case AskOpen() | AskRequest() | AskGlobalRequest():
                        assert event.ask_id not in self.asked
                        self.asked.add(event.ask_id)
                        self.asks.append(event)
                    case Ask():
                        self.victim.answer(event.ask_id, event.compute())  # type: ignore[attr-defined]
                    case Data(data=data):
                        assert 0 < len(data) <= LIMITS.packet_data
                    case RequestAnswered(token=token) | GlobalRequestAnswered(token=token):
                        # The owner does not know the tokens of keepalives.
                        self.tokens.discard(token)
                    case RequestReceived(request=request):
                        assert not isinstance(request, OtherRequest)
                    case ConnectionEnded(error=error):
                        assert isinstance(error, RemoteProtocolError | ConnectionLost), error
                        self.ended = True
                        self.asks.clear()

    @invariant()
    def bounds_hold(self) -> None:
        victim = inside(self.victim)
        assert len(victim._inbox._held) <= LIMITS.held_input
        if self.ended:
            assert not victim._inbox._held
            assert not victim._asks._open
            return
        outbox, channels = victim._outbox, victim._mux.channels
        assert outbox._held_bytes <= LIMITS.kex_held_output
        assert len(channels) <= LIMITS.channels
        assert sum(c.channel_type == "session" for c in channels.values()) <= LIMITS.channels
        assert victim._mux._windows == sum(c.receive.size for c in channels.values())
        assert victim._mux._windows <= max(LIMITS.windows_total, LIMITS.channels * 5000)
        waiting = 0
        for channel in channels.values():
            window = channel.receive
            assert window.left >= 0
            assert window.left + window.unread + window.consumed == window.size
            assert window.size <= LIMITS.window_maximum
            assert 0 <= channel.send.left < 1 << 32
            assert len(channel.replies._slots) <= LIMITS.channel_requests
            waiting += len(channel.waiting)
        requests = victim._mux.globals
        assert len(requests._replies._slots) <= LIMITS.channel_requests
        assert len(victim._asks._open) <= (LIMITS.channels + 1) * (LIMITS.channel_requests + 1)
        waiting += len(requests._waiting) + len(victim._pings._waiting)
        assert sum(isinstance(asked, int) for asked in outbox.asked) <= waiting
