"""Two engines of SSH-2 joined in memory, random legal calls of both owners, and a model beside.

The model knows what each owner was told and has done. From that it says what must hold: data
arrives once and in order, each question and each request is answered once, windows and bounds hold.
"""

from __future__ import annotations

import random
from collections import deque
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from attacks.links import inside
from nacre.errors import DisconnectCode, Disconnected
from nacre.limits import Limits
from nacre.protocol.asks import (
    Ask,
    AskArithmetic,
    AskGlobalRequest,
    AskOpen,
    AskRequest,
    Denied,
    GlobalGranted,
    Granted,
    OpenRefused,
)
from nacre.protocol.events import (
    Authenticated,
    ChannelClosed,
    ChannelOpened,
    ChannelRefused,
    ConnectionEnded,
    Data,
    EofReceived,
    Event,
    GlobalRequestAnswered,
    GlobalRequestReceived,
    PongReceived,
    RequestAnswered,
    RequestReceived,
    Writable,
)
from nacre.protocol.options import ClientOptions, ServerOptions, algorithms
from nacre.protocol.phases import Phase, Role
from nacre.protocol.requests import (
    EndOfWrite,
    Exec,
    ExitStatus,
    OtherRequest,
    Request,
    WindowChange,
)
from nacre.ssh2.client import SSH2Client
from nacre.ssh2.server import SSH2Server
from nacre.testing import agreeable, host_key
from nacre.wire.codec import u32
from nacre.wire.numbers import MAIN, STDERR

TYPE = "fuzz@example.com"
"""A type of channels that either side may open, and the name of requests of either side."""

_CONTENT = 2 * random.Random(1).randbytes(1 << 16)

_FIRST = ((Role.CLIENT, True), (Role.SERVER, False), (Role.CLIENT, False))
"""The channels that a connection begins with: who opens each, and whether it is a session."""

ROLES = st.sampled_from(list(Role))
WHICH = st.integers(0, 9)


def content(end: End, stream: int, at: int, size: int) -> bytes:
    """Return what is sent from one end of a channel, at an offset of its stream: at most 64 KiB."""
    start = (at + 7919 * end.key + 31 * stream) & 0xFFFF
    return _CONTENT[start : start + size]


class End:
    """One end of a channel, as its owner knows it.

    :ivar key: a number that no other end has.
    :ivar open: data, requests and EOF may be sent.
    :ivar closed: the owner has closed it; ``gone``: both sides have.
    :ivar sent: bytes sent on each stream; ``received``: bytes that came in.
    :ivar unread: bytes that came in and are not reported as consumed.
    :ivar blocked: less was accepted than was offered, so ``Writable`` is due.
    :ivar asked: the keys of all requests that were not answered.
    :ivar waiting: token and key of each request that waits for its answer.
    """

    def __init__(self, key: int, number: int, channel_type: str) -> None:
        self.key = key
        self.number = number
        self.channel_type = channel_type
        self.peer: End | None = None
        self.open = self.closed = self.gone = False
        self.eof_sent = self.eof_received = self.blocked = False
        self.sent = [0, 0]
        self.received = [0, 0]
        self.unread = 0
        self.asked: set[int] = set()
        self.waiting: deque[tuple[int, int]] = deque()


class Side:
    """One owner and its engine.

    :ivar way: bytes that were sent and not delivered yet.
    :ivar ends: the ends of channels that are not closed on both sides, by number.
    :ivar asks: questions that are open.
    """

    def __init__(self, engine: SSH2Client | SSH2Server) -> None:
        self.engine = engine
        self.way = bytearray()
        self.events: list[Event] = []
        self.ends: dict[int, End] = {}
        self.asks: list[Ask] = []
        self.global_waiting: deque[tuple[int, int]] = deque()
        self.pings: deque[bytes] = deque()

    @property
    def role(self) -> Role:
        return self.engine.role

    @property
    def inner(self) -> Any:
        return inside(self.engine)


class EngineMachine(RuleBasedStateMachine):
    """Every rule is one call of an owner, or the delivery of some bytes."""

    @initialize(
        window=st.sampled_from([1, 7, 1000, 70_000]),
        packet=st.sampled_from([1, 100, 32_768]),
        packets=st.sampled_from([25, 1 << 31]),
        size=st.sampled_from([5000, 1 << 30]),
        cipher=st.sampled_from(
            ["chacha20-poly1305@openssh.com", "aes128-gcm@openssh.com", "aes128-ctr", "aes128-cbc"]
        ),
        compression=st.sampled_from(["none", "zlib@openssh.com"]),
        portion=st.sampled_from([1, 13, 1 << 20]),
        channels=st.integers(0, 3),
    )
    def log_in(
        self,
        window: int,
        packet: int,
        packets: int,
        size: int,
        cipher: str,
        compression: str,
        portion: int,
        channels: int,
    ) -> None:
        self.limits = Limits(
            window_initial=window,
            window_maximum=4 * window,
            packet_data=packet,
            rekey_packets=packets,
            rekey_bytes=size,
            channels=6,
            sessions=3,
            channel_requests=8,
        )
        both = algorithms(kex="curve25519-sha256", ciphers=cipher, compression=compression)
        options: dict[str, Any] = {"algorithms": both, "limits": self.limits}
        draw = random.Random(window * packet).randbytes
        self.now = 0.0
        self.keys = 0
        self.decisions: dict[int, bool] = {}
        self.sides = {
            Role.CLIENT: Side(SSH2Client(ClientOptions(user="alice", **options), random=draw)),
            Role.SERVER: Side(
                SSH2Server(ServerOptions(host_keys=(host_key(),), **options), random=draw)
            ),
        }
        for side in self.sides.values():
            side.engine.start(self.now)
        while self.deliver(Role.CLIENT, portion) | self.deliver(Role.SERVER, portion):
            pass
        for side in self.sides.values():
            assert side.engine.phase is Phase.CONNECTION
            assert sum(isinstance(event, Authenticated) for event in side.events) == 1
        for role, session in _FIRST[:channels]:
            self.open_channel(role, session)
        self._finish()

    # --- what both owners do ---

    @rule(role=ROLES, session=st.booleans())
    def open_channel(self, role: Role, session: bool) -> None:
        side = self.sides[role]
        if len(side.inner._mux.channels) >= self.limits.channels:
            return
        session = session and role is Role.CLIENT
        key = self._key()
        kind, data = ("session", b"") if session else (TYPE, u32(key))
        number = side.engine.connection.open_channel(kind, data)
        assert number not in side.ends
        side.ends[number] = End(key, number, kind)
        self._settle(side)

    @rule(
        role=ROLES,
        which=WHICH,
        size=st.sampled_from([0, 1, 99, 5000, 60_000]),
        stream=st.sampled_from([MAIN, MAIN, STDERR]),
    )
    def send_data(self, role: Role, which: int, size: int, stream: int) -> None:
        side = self.sides[role]
        end = self._chosen(side, which, lambda end: end.open and not end.eof_sent)
        if end is None:
            return
        if role is Role.CLIENT or end.channel_type != "session":
            stream = MAIN
        in_exchange = side.inner._kex.active
        data = content(end, stream, end.sent[stream], size)
        taken = side.engine.connection.send_data(end.number, data, stream)
        assert 0 <= taken <= size
        assert not (in_exchange and taken)
        end.sent[stream] += taken
        end.blocked = taken < size
        self._settle(side)

    @rule(role=ROLES, which=WHICH)
    def send_eof(self, role: Role, which: int) -> None:
        side = self.sides[role]
        end = self._chosen(side, which, lambda end: end.open and not end.eof_sent)
        if end is not None:
            side.engine.connection.send_eof(end.number)
            end.eof_sent, end.blocked = True, False
            self._settle(side)

    @rule(role=ROLES, which=WHICH, part=st.sampled_from([1.0, 1.0, 0.5]))
    def consume(self, role: Role, which: int, part: float) -> None:
        side = self.sides[role]
        end = self._chosen(side, which, lambda end: end.unread > 0)
        if end is not None:
            count = max(1, int(end.unread * part))
            side.engine.connection.adjust_window(end.number, count)
            end.unread -= count
            self._settle(side)

    @rule(role=ROLES, which=WHICH)
    def close_channel(self, role: Role, which: int) -> None:
        side = self.sides[role]
        offered = {ask.channel for ask in side.asks if isinstance(ask, AskOpen)}
        end = self._chosen(side, which, lambda end: not end.closed and end.number not in offered)
        if end is not None:
            side.engine.connection.close_channel(end.number)
            end.closed, end.open, end.blocked, end.unread = True, False, False, 0
            self._settle(side)

    @rule(
        role=ROLES,
        which=WHICH,
        kind=st.sampled_from([OtherRequest, Exec, ExitStatus, WindowChange, EndOfWrite]),
        want_reply=st.booleans(),
    )
    def send_request(self, role: Role, which: int, kind: type[Request], want_reply: bool) -> None:
        side = self.sides[role]
        end = self._chosen(side, which, lambda end: end.open)
        # The peer ends the connection when more wait for its owner, with a reply or without.
        if end is None or len(end.asked - set(self.decisions)) >= self.limits.channel_requests:
            return
        key = self._key()
        end.asked.add(key)
        request = _request(kind, key, role, end.channel_type)
        token = side.engine.connection.send_request(end.number, request, want_reply=want_reply)
        if token:
            assert want_reply
            end.waiting.append((token, key))
        self._settle(side)

    @rule(role=ROLES, want_reply=st.booleans())
    def send_global_request(self, role: Role, want_reply: bool) -> None:
        side = self.sides[role]
        # The peer ends the connection when more requests than this wait for their replies.
        if len(side.global_waiting) >= self.limits.channel_requests:
            return
        key = self._key()
        connection = side.engine.connection
        token = connection.send_global_request(TYPE, u32(key), want_reply=want_reply)
        if token:
            assert want_reply
            side.global_waiting.append((token, key))
        self._settle(side)

    @rule(role=ROLES, which=WHICH, yes=st.sampled_from([True, True, False]))
    def answer(self, role: Role, which: int, yes: bool) -> None:
        side = self.sides[role]
        if side.asks:
            self._answer(side, side.asks.pop(which % len(side.asks)), yes)

    @rule(role=ROLES)
    def rekey(self, role: Role) -> None:
        self.sides[role].engine.rekey()
        self._settle(self.sides[role])

    @rule(role=ROLES, data=st.binary(max_size=20))
    def ping(self, role: Role, data: bytes) -> None:
        side = self.sides[role]
        if side.engine.pings:
            side.engine.ping(data)
            side.pings.append(data)
            self._settle(side)

    @rule(seconds=st.sampled_from([0.001, 0.3, 4000.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for side in self.sides.values():
            side.engine.tick(self.now)
            self._settle(side)

    # --- the network ---

    @rule(
        sender=ROLES,
        size=st.sampled_from([1, 5, 40, 1000, 1 << 20]),
        whole=st.booleans(),
        most=st.sampled_from([0, 1, 3]),
    )
    def pass_on(self, sender: Role, size: int, whole: bool, most: int) -> None:
        self.deliver(sender, size, whole=whole, most=most)

    @precondition(lambda self: any(side.engine.output_size for side in self.sides.values()))
    @rule()
    def pass_on_all(self) -> None:
        self._quiet()

    def deliver(self, sender: Role, size: int, *, whole: bool = False, most: int = 0) -> bool:
        """Deliver at most ``size`` bytes; return whether there were any."""
        side, receiver = self.sides[sender], self.sides[_other(sender)]
        side.way += side.engine.take_output()
        portion = bytes(side.way[:size])
        if not portion:
            return False
        again = True
        while again:
            left = receiver.engine.receive(portion, self.now, whole=whole, most=most)
            assert 0 <= left <= len(portion)
            del side.way[: len(portion) - left]
            self._settle(receiver)
            portion, again = bytes(side.way[:left]), receiver.engine.behind
        return True

    def _quiet(self) -> None:
        while any(s.way or s.engine.output_size for s in self.sides.values()):
            for role in Role:
                self.deliver(role, 1 << 30)

    # --- what the engines report ---

    def _settle(self, side: Side) -> None:
        """Take the events of a side, and compare them with the model."""
        while events := side.engine.take_events():
            for event in events:
                side.events.append(event)
                self._on_event(side, event)

    def _on_event(self, side: Side, event: Event) -> None:
        match event:
            case AskArithmetic():
                side.engine.answer(event.ask_id, event.compute())
            case AskOpen():
                self._on_offer(side, event)
            case AskRequest() | AskGlobalRequest():
                side.asks.append(event)
            case Ask():
                answer = agreeable(event)
                assert answer is not None
                side.engine.answer(event.ask_id, answer)
            case Data(channel=channel, stream=stream, data=data):
                self._on_data(side, side.ends[channel], stream, bytes(data))
            case Writable(channel=channel):
                assert side.ends[channel].blocked
                side.ends[channel].blocked = False
            case ChannelOpened(channel=channel):
                end = side.ends[channel]
                assert not end.open
                end.open = not end.closed
            case ChannelRefused(channel=channel):
                end = side.ends.pop(channel)
                assert end.peer is None or end.peer.gone
            case EofReceived(channel=channel):
                end = side.ends[channel]
                assert end.peer is not None
                assert end.peer.eof_sent
                assert not end.eof_received
                assert not end.closed
                assert end.received == end.peer.sent
                end.eof_received = True
            case ChannelClosed(channel=channel):
                self._on_closed(side, side.ends.pop(channel))
            case RequestAnswered(channel=channel, token=token, success=success):
                end = side.ends[channel]
                first, key = end.waiting.popleft()
                end.asked.discard(key)
                assert first == token
                assert success == self.decisions.get(key, False)
            case RequestReceived(channel=channel):
                assert not side.ends[channel].closed
            case GlobalRequestAnswered(token=token, success=success, data=data):
                first, key = side.global_waiting.popleft()
                assert first == token
                assert success == self.decisions[key]
                assert data == (u32(key) if success else b"")
            case GlobalRequestReceived(name=name):
                assert name == TYPE
            case PongReceived(data=data):
                assert data == side.pings.popleft()
            case ConnectionEnded():
                raise AssertionError(event)

    def _on_offer(self, side: Side, ask: AskOpen) -> None:
        """Find the end of the peer that asked for the channel."""
        peer = self.sides[_other(side.role)]
        other = peer.ends[side.inner._mux.channels[ask.channel].peer]
        assert other.peer is None
        assert other.channel_type == ask.channel_type
        assert ask.data in (b"", u32(other.key))
        end = End(self._key(), ask.channel, ask.channel_type)
        end.peer, other.peer = other, end
        assert ask.channel not in side.ends
        side.ends[ask.channel] = end
        side.asks.append(ask)

    def _on_data(self, side: Side, end: End, stream: int, data: bytes) -> None:
        assert end.peer is not None
        assert data
        assert not end.closed
        assert not end.eof_received
        assert len(data) <= self.limits.packet_data
        at = end.received[stream]
        assert at + len(data) <= end.peer.sent[stream]
        assert data == content(end.peer, stream, at, len(data))
        end.received[stream] += len(data)
        end.unread += len(data)

    def _on_closed(self, side: Side, end: End) -> None:
        assert end.peer is not None
        if not end.closed:
            # Nothing that was sent before the peer's CLOSE may be missing.
            assert end.received == end.peer.sent
            assert end.peer.closed
        end.gone = True
        end.open = False

    def _answer(self, side: Side, ask: Ask, yes: bool) -> None:
        match ask:
            case AskOpen(channel=channel):
                if not yes:
                    side.ends.pop(channel).gone = True
                assert side.engine.answer(ask.ask_id, Granted() if yes else OpenRefused())
            case AskRequest(channel=channel, request=request):
                there = channel in side.ends and side.ends[channel].open
                key = _key_of(request)
                if there:
                    assert key not in self.decisions
                    self.decisions[key] = yes
                answered = side.engine.answer(ask.ask_id, Granted() if yes else Denied(""))
                # Its number may be that of another channel by now: then no reply was due.
                assert there or not answered
            case AskGlobalRequest(data=data):
                self.decisions[int.from_bytes(data, "big")] = yes
                answer = GlobalGranted(data) if yes else Denied("")
                assert side.engine.answer(ask.ask_id, answer)
        assert not side.engine.answer(ask.ask_id, Granted())
        self._settle(side)

    # --- what always holds ---

    @invariant()
    def bounds_hold(self) -> None:
        for side in self.sides.values():
            inner, limits = side.inner, self.limits
            channels = inner._mux.channels
            assert len(channels) <= limits.channels
            assert set(channels) == set(side.ends)
            assert inner._outbox._held_bytes <= limits.kex_held_output
            assert len(inner._inbox._held) <= limits.held_input
            assert inner._mux._windows == sum(c.receive.size for c in channels.values())
            for number, channel in channels.items():
                window = channel.receive
                assert window.left >= 0
                assert window.consumed >= 0
                assert window.left + window.unread + window.consumed == window.size
                assert window.size <= limits.window_maximum
                assert len(channel.waiting) <= limits.channel_requests + 1
                assert 0 <= channel.send.left < 1 << 32
                if side.ends[number].open and not side.ends[number].eof_received:
                    assert window.unread == side.ends[number].unread
            waiting = sum(len(channel.waiting) for channel in channels.values())
            tokens = [asked for asked in inner._outbox.asked if isinstance(asked, int)]
            assert len(tokens) <= waiting + len(side.global_waiting) + len(side.pings)

    def teardown(self) -> None:
        """Deliver and answer everything, close all channels, and disconnect."""
        if not hasattr(self, "sides"):
            return
        if len(self.decisions) % 5 == 4:
            self._disconnect()
            return
        self._finish()
        for side in self.sides.values():
            assert not side.global_waiting
            assert not side.pings
            for end in side.ends.values():
                assert end.open
                assert not end.blocked
                assert not end.waiting
                assert end.peer is not None
                assert end.received == end.peer.sent
                assert end.eof_received == end.peer.eof_sent
        self.bounds_hold()
        for role in Role:
            for _ in range(len(self.sides[role].ends)):
                self.close_channel(role, 0)
        self._finish()
        for side in self.sides.values():
            assert not side.ends
            assert side.inner._mux._windows == 0
            assert not any(isinstance(asked, int) for asked in side.inner._outbox.asked)
            assert not side.inner._asks._open
        self.bounds_hold()
        self._disconnect()

    def _finish(self) -> None:
        """Answer and consume until nothing is left to do."""
        busy = True
        while busy:
            self._quiet()
            busy = False
            for side in self.sides.values():
                for ask in [side.asks.pop(0) for _ in range(len(side.asks))]:
                    self._answer(side, ask, True)
                    busy = True
                for end in list(side.ends.values()):
                    if end.unread:
                        side.engine.connection.adjust_window(end.number, end.unread)
                        end.unread = 0
                        busy = True
                self._settle(side)

    def _disconnect(self) -> None:
        """End the connection, whatever is on its way; each side must say so once, and last."""
        client, server = self.sides.values()
        client.engine.disconnect(DisconnectCode.BY_APPLICATION, "done")
        client.way += client.engine.take_output()
        server.engine.receive(bytes(client.way), self.now)
        while server.engine.behind:
            server.engine.receive(b"", self.now)
        for side, kind in ((client, type(None)), (server, Disconnected)):
            events = side.engine.take_events()
            assert sum(isinstance(event, ConnectionEnded) for event in events) == 1
            last = events[-1]
            assert isinstance(last, ConnectionEnded)
            assert isinstance(last.error, kind), last
            assert side.engine.phase is Phase.CLOSED
            assert not side.engine.wants_input
            assert not side.inner._inbox._held
            assert not side.inner._asks._open

    # --- the model ---

    def _key(self) -> int:
        self.keys += 1
        return self.keys

    @staticmethod
    def _chosen(side: Side, which: int, eligible: Any) -> End | None:
        ends = [end for end in side.ends.values() if eligible(end)]
        return ends[which % len(ends)] if ends else None


def _other(role: Role) -> Role:
    return Role.SERVER if role is Role.CLIENT else Role.CLIENT


def _request(kind: type[Request], key: int, role: Role, channel_type: str) -> Request:
    """Return a request of a kind, or of one that this side may send on this channel."""
    if kind is EndOfWrite:
        return EndOfWrite()
    if channel_type == "session":
        if kind is Exec and role is Role.CLIENT:
            return Exec(b"%d" % key)
        if kind is WindowChange and role is Role.CLIENT:
            return WindowChange(80, 24, 0, 0)
        if kind is ExitStatus and role is Role.SERVER:
            return ExitStatus(3)
    return OtherRequest(TYPE, u32(key))


def _key_of(request: Request) -> int:
    match request:
        case Exec(command=command):
            return int(command)
        case OtherRequest(data=data):
            return int.from_bytes(data, "big")
    raise AssertionError(request)
