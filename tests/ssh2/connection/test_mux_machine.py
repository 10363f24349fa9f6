"""Two multiplexers and a link that delays, under any order of calls and answers.

What each owner does is written down when it does it; what the other owner sees must be that, in
that order, on that channel.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from nacre.limits import DEFAULT_LIMITS
from nacre.protocol.asks import AskOpen, AskRequest, Denied, Granted, OpenRefused
from nacre.protocol.events import (
    ChannelClosed,
    ChannelOpened,
    ChannelRefused,
    Data,
    EofReceived,
    RequestAnswered,
    Writable,
)
from nacre.protocol.requests import OtherRequest
from ssh2.connection.pair import Pair

pytestmark = pytest.mark.slow

LIMITS = replace(
    DEFAULT_LIMITS,
    channels=4,
    sessions=4,
    window_initial=12,
    window_maximum=48,
    windows_total=100,
    packet_data=5,
    channel_requests=100,
)


class Owner:
    """What runs one end: it sees events, answers, writes, and remembers both."""

    def __init__(self, end):
        self.end = end
        self.open = {}
        self.opening = set()
        self.asks = []
        self.offered = {}
        self.unread = defaultdict(int)
        self.blocked = set()
        self.tokens = {}

    def look(self, other):
        for event in self.end.happened():
            match event:
                case AskOpen():
                    self.asks.append(event)
                case AskRequest():
                    self.asks.append(event)
                    assert isinstance(event.request, OtherRequest)
                    seen = self.open[event.channel]["in"]
                    seen.append(("request", event.request.data))
                case ChannelOpened(channel=channel):
                    self.opening.discard(channel)
                    assert channel not in self.open
                    self.open[channel] = {"in": [], "out": [], "eof": False, "closed": False}
                case ChannelRefused(channel=channel):
                    self.opening.remove(channel)
                case Data(channel=channel, data=data):
                    assert 0 < len(data) <= LIMITS.packet_data
                    self.open[channel]["in"] += [("byte", byte) for byte in bytes(data)]
                    self.unread[channel] += len(data)
                    assert self.unread[channel] <= LIMITS.window_maximum
                case EofReceived(channel=channel):
                    self.open[channel]["in"].append(("eof",))
                case Writable(channel=channel):
                    self.blocked.remove(channel)
                case RequestAnswered(channel=channel, token=token, success=success):
                    assert self.tokens[channel].pop(0) == (token, success)
                case ChannelClosed(channel=channel):
                    self.closed(channel, other)
                case _:
                    raise AssertionError(event)

    def closed(self, channel, other):
        if channel in self.opening:
            self.opening.remove(channel)
        else:
            record = self.open.pop(channel)
            sent = record["peer"]["out"] if "peer" in record else None
            if sent is not None:
                assert record["in"] == sent[: len(record["in"])]
        self.unread.pop(channel, None)
        self.blocked.discard(channel)
        self.tokens.pop(channel, None)
        self.asks = [ask for ask in self.asks if ask.channel != channel]


class Channels(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.pair = Pair(LIMITS)
        self.owners = [Owner(self.pair.client), Owner(self.pair.server)]
        self.replies = {}
        self.now = 0.0

    sides = st.integers(0, 1)
    picks = st.integers(0, 1000)

    def pick(self, side, pick, wanted=lambda record: not record["closed"]):
        owner = self.owners[side]
        numbers = [n for n, record in owner.open.items() if wanted(record)]
        return (owner, numbers[pick % len(numbers)]) if numbers else (owner, None)

    def look(self):
        for side, owner in enumerate(self.owners):
            owner.look(self.owners[1 - side])
        self.join()

    def join(self):
        """Pair the records of both ends, by the numbers the ends know each other's channel by."""
        for side, owner in enumerate(self.owners):
            other = self.owners[1 - side]
            for number, record in owner.open.items():
                if "peer" not in record:
                    peer = owner.end.mux.channels.get(number)
                    mirrored = other.end.mux.channels.get(peer.peer) if peer else None
                    if mirrored and mirrored.peer == number and peer.peer in other.open:
                        record["peer"] = other.open[peer.peer]

    @rule(side=sides)
    def open_channel(self, side):
        owner = self.owners[side]
        if len(owner.end.mux.channels) < LIMITS.channels:
            number = owner.end.mux.open_channel("session" if side == 0 else "x11")
            assert number not in owner.open
            owner.opening.add(number)

    @initialize(sessions=st.integers(0, 3))
    def begin(self, sessions):
        for _ in range(sessions):
            self.open_channel(0)
        self.settle()

    @rule(side=sides)
    def deliver(self, side):
        sender, receiver = self.owners[side].end, self.owners[1 - side].end
        taken, sender.outbox.payloads = sender.outbox.payloads[:1], sender.outbox.payloads[1:]
        receiver.receive(*taken)
        self.look()

    @rule(side=sides)
    def deliver_all(self, side):
        self.pair.step(self.owners[side].end, self.owners[1 - side].end)
        self.look()

    @rule(side=sides, pick=picks, yes=st.booleans())
    def answer(self, side, pick, yes):
        owner = self.owners[side]
        if not owner.asks:
            return
        ask = owner.asks.pop(pick % len(owner.asks))
        if isinstance(ask, AskOpen):
            assert owner.end.answer(ask, Granted() if yes else OpenRefused())
        else:
            self.replies[ask.request.data] = yes
            assert owner.end.answer(ask, Granted() if yes else Denied())
        self.look()

    @rule(side=sides, pick=picks, data=st.binary(min_size=1, max_size=90))
    def send(self, side, pick, data):
        owner, number = self.pick(side, pick, lambda r: not r["eof"] and not r["closed"])
        if number is None:
            return
        taken = owner.end.mux.send_data(number, data)
        owner.open[number]["out"] += [("byte", byte) for byte in data[:taken]]
        if taken < len(data):
            owner.blocked.add(number)
        else:
            owner.blocked.discard(number)

    @rule(side=sides, pick=picks)
    def read(self, side, pick):
        owner = self.owners[side]
        numbers = [n for n in owner.open if owner.unread[n]]
        if numbers:
            number = numbers[pick % len(numbers)]
            count = 1 + pick % owner.unread[number]
            owner.unread[number] -= count
            owner.end.mux.adjust_window(number, count)

    @rule(side=sides, pick=picks)
    def send_eof(self, side, pick):
        owner, number = self.pick(side, pick, lambda r: not r["eof"] and not r["closed"])
        if number is not None:
            owner.end.mux.send_eof(number)
            owner.open[number]["eof"] = True
            owner.open[number]["out"].append(("eof",))
            owner.blocked.discard(number)

    @rule(side=sides, pick=picks)
    def close(self, side, pick):
        owner = self.owners[side]
        numbers = [*owner.open, *owner.opening]
        if not numbers:
            return
        number = numbers[pick % len(numbers)]
        owner.end.mux.close_channel(number)
        owner.blocked.discard(number)
        owner.asks = [ask for ask in owner.asks if ask.channel != number]
        if number in owner.open:
            owner.open[number]["closed"] = True

    @rule(pick=picks)
    def request(self, pick):
        owner, number = self.pick(0, pick)
        if number is None or owner.end.mux.channels[number].channel_type != "session":
            return
        mark = f"{len(self.replies)}-{pick}-{len(owner.open[number]['out'])}".encode()
        mark += bytes(str(owner.end.outbox.last_token), "ascii")
        token = owner.end.mux.send_request(number, OtherRequest("mark@x", mark))
        owner.open[number]["out"].append(("request", mark))
        owner.tokens.setdefault(number, []).append(Expected(token, mark, self.replies))

    @rule(side=sides)
    def key_exchange(self, side):
        outbox = self.owners[side].end.outbox
        outbox.takes_data = not outbox.takes_data
        if outbox.takes_data:
            self.owners[side].end.mux.resume()
            self.look()

    @rule(seconds=st.floats(0, 2))
    def wait(self, seconds):
        self.now += seconds
        for owner in self.owners:
            owner.end.mux.now = self.now

    def arrive(self):
        while any(owner.end.outbox.payloads for owner in self.owners):
            for side in (0, 1):
                self.deliver_all(side)

    @rule()
    def settle(self):
        """Let all arrive, be answered, be read: then nobody waits, and all that was sent came."""
        for side, owner in enumerate(self.owners):
            self.arrive()
            while owner.asks:
                self.answer(side, 0, True)
            self.arrive()
        for owner in self.owners:
            for number in owner.open:
                owner.end.mux.adjust_window(number, owner.unread.pop(number, 0))
        self.arrive()
        for owner in self.owners:
            assert not owner.opening
            assert not any(owner.tokens.values())
            assert not (owner.blocked and owner.end.outbox.takes_data)
            for number, record in owner.open.items():
                assert record["in"] == record["peer"]["out"]
                mine = owner.end.mux.channels[number]
                theirs = self.owners[owner is self.owners[0]].end.mux.channels[mine.peer]
                assert mine.send.left == theirs.receive.left

    @invariant()
    def bounded(self):
        for owner in self.owners:
            mux = owner.end.mux
            assert len(mux.channels) <= LIMITS.channels
            assert mux._windows == sum(c.receive.size for c in mux.channels.values())
            assert mux._windows <= LIMITS.windows_total

    def teardown(self):
        """Close everything: nothing is left anywhere."""
        for owner in self.owners:
            owner.end.outbox.takes_data = True
        for _ in range(3):
            for side, owner in enumerate(self.owners):
                while owner.asks:
                    self.answer(side, 0, True)
                for number in [*owner.open, *owner.opening]:
                    owner.end.mux.close_channel(number)
                    if number in owner.open:
                        owner.open[number]["closed"] = True
                self.deliver_all(side)
        for owner in self.owners:
            assert not owner.end.mux.channels
            assert not owner.end.asks._open
            assert not owner.open
            assert not owner.opening
            assert owner.end.mux._windows == 0


class Expected:
    """What ``RequestAnswered`` must hold: its own token, and the answer its request was given."""

    def __init__(self, token, mark, replies):
        self.token = token
        self.mark = mark
        self.replies = replies

    def __eq__(self, answered):
        return answered == (self.token, self.replies[self.mark])


Channels.TestCase.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
TestChannels = Channels.TestCase
