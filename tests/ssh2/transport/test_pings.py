"""PING and PONG: in order, bounded, and refused one by one."""

from __future__ import annotations

import pytest

from nacre.crypto.packets.seal import PlainSealer
from nacre.errors import LocalProtocolError
from nacre.limits import DEFAULT_LIMITS, Limits
from nacre.protocol.events import Event, PongReceived
from nacre.ssh2.transport.messages import Pong
from nacre.ssh2.transport.outbox import Outbox
from nacre.ssh2.transport.pings import Pings


def made(limits: Limits = DEFAULT_LIMITS) -> tuple[Pings, Outbox, list[Event]]:
    events: list[Event] = []
    outbox = Outbox(PlainSealer(bytes), limits, events)
    return Pings(outbox, events, limits), outbox, events


def test_each_pong_answers_the_oldest_ping() -> None:
    pings, outbox, events = made()
    pings.send(b"a")
    pings.send(b"b")
    assert list(outbox.asked.values()) == [0, 1]
    pings.on_pong(Pong(b"a").encode())
    assert list(outbox.asked.values()) == [1]
    pings.on_pong(Pong(b"b").encode())
    assert outbox.asked == {}
    assert events == [PongReceived(b"a"), PongReceived(b"b")]


def test_a_pong_for_no_ping_is_only_reported() -> None:
    pings, _, events = made()
    pings.on_pong(Pong(b"x").encode())
    assert events == [PongReceived(b"x")]


def test_unimplemented_is_an_answer_too() -> None:
    pings, outbox, events = made()
    pings.send(b"a")
    token = outbox.unimplemented(0)
    assert isinstance(token, int)
    assert pings.refused(token)
    assert not pings.refused(token)
    assert events == [PongReceived(b"a")]


def test_pings_without_an_answer_are_bounded() -> None:
    pings, _, _ = made(Limits(unanswered_pings=2))
    pings.send(b"")
    pings.send(b"")
    with pytest.raises(LocalProtocolError, match="too many pings"):
        pings.send(b"")
    pings.on_pong(Pong(b"").encode())
    pings.send(b"")
