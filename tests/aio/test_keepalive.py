"""Probes of a silent peer, on a clock that is set by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import nacre
from nacre.aio.keepalive import KeepaliveTimer, check_times
from nacre.errors import ConfigurationError, LocalProtocolError, PeerSilent


class Timer:
    def __init__(self, due: float, call: Callable[[], None]) -> None:
        self.due = due
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Peer:
    """The loop and the driver in one, and a peer that answers while it is alive."""

    def __init__(self, interval: float | None = 10, count: int = 2) -> None:
        self.loop = self
        self.now = 100.0
        self.received_at = 100.0
        self.alive = False
        self.refuses = False
        self.probes: list[float] = []
        self.errors: list[PeerSilent] = []
        self.timers: list[Timer] = []
        self.subject = KeepaliveTimer(
            self,  # type: ignore[arg-type]
            interval,
            count,
            self.probe,
            self.errors.append,
        )

    def time(self) -> float:
        return self.now

    def call_at(self, due: float, call: Callable[[], None]) -> Timer:
        self.timers.append(Timer(due, call))
        return self.timers[-1]

    def probe(self) -> None:
        if self.refuses:
            raise LocalProtocolError("too many are unanswered")
        self.probes.append(self.now)
        if self.alive:
            self.received_at = self.now + 0.5

    def run(self, until: float) -> None:
        """Let time pass, with all that is due."""
        while True:
            due = [timer for timer in self.timers if not timer.cancelled and timer.due <= until]
            if not due:
                break
            timer = min(due, key=lambda timer: timer.due)
            self.timers.remove(timer)
            self.now = timer.due
            timer.call()
        self.now = until


def test_a_peer_that_sends_is_not_probed() -> None:
    peer = Peer()
    peer.subject.start()
    for now in range(100, 200, 9):
        peer.run(now)
        peer.received_at = now
    assert peer.probes == []


def test_a_silent_peer_is_probed_and_given_up() -> None:
    peer = Peer(interval=10, count=2)
    peer.subject.start()
    peer.run(129.9)
    assert peer.probes == [110, 120]
    assert peer.errors == []
    peer.run(1000)
    assert peer.probes == [110, 120]
    (error,) = peer.errors
    assert "silent for 30 seconds and left 2 keepalives unanswered" in str(error)
    assert peer.timers == []


def test_a_peer_that_answers_stays() -> None:
    peer = Peer(interval=10, count=1)
    peer.alive = True
    peer.subject.start()
    peer.run(1000)
    assert len(peer.probes) > 80
    assert peer.errors == []


def test_anything_received_counts_as_an_answer() -> None:
    peer = Peer(interval=10, count=2)
    peer.subject.start()
    peer.run(125)
    assert len(peer.probes) == 2
    peer.received_at = 125
    peer.run(154.9)
    assert peer.probes[2:] == [135, 145]
    assert peer.errors == []
    peer.run(155)
    assert len(peer.errors) == 1


def test_the_interval_begins_with_what_was_received_last() -> None:
    peer = Peer(interval=10)
    peer.received_at = 95
    peer.subject.start()
    peer.run(105)
    assert peer.probes == [105]


def test_a_probe_that_the_engine_refuses_counts_as_one() -> None:
    peer = Peer(interval=10, count=2)
    peer.refuses = True
    peer.subject.start()
    peer.run(1000)
    assert peer.probes == []
    assert len(peer.errors) == 1


def test_after_stop_nothing_is_due() -> None:
    peer = Peer()
    peer.subject.start()
    peer.subject.stop()
    peer.run(1000)
    assert peer.probes == []


@pytest.mark.parametrize("first", [None, 10])
def test_another_interval_counts_at_once(first: float | None) -> None:
    peer = Peer(first, count=5)
    peer.subject.change(first, 5)
    assert peer.timers == []  # it has not started
    peer.subject.start()
    peer.subject.change(20, 1)
    peer.run(139)
    assert peer.probes == [120]
    assert peer.errors == []
    peer.run(140)
    assert len(peer.errors) == 1
    peer.subject.stop()
    peer.subject.change(10, 1)
    assert not any(not timer.cancelled for timer in peer.timers)


@pytest.mark.parametrize("interval", [None, 0, 10])
def test_without_an_interval_and_after_disable_nothing_starts(interval: float | None) -> None:
    peer = Peer(interval)
    if interval:
        peer.subject.disable()
    peer.subject.start()
    peer.subject.stop()
    assert peer.timers == []


@pytest.mark.parametrize("seconds", [-1, -0.1, float("nan"), "10", True])
def test_times_that_are_none(seconds: float) -> None:
    """A negative interval would probe without end, and give a live peer up at once."""
    with pytest.raises(ConfigurationError, match=r"keepalive=.* is not a time: give seconds"):
        check_times(3, keepalive=seconds)
    with pytest.raises(ConfigurationError, match="is not a time"):
        nacre.connect("localhost", keepalive=seconds)
    with pytest.raises(ConfigurationError, match=r"timeout=.* is not a time"):
        nacre.connect("localhost", timeout=seconds)
    with pytest.raises(ConfigurationError, match=r"login_grace=.* is not a time"):
        nacre.listen(
            host_keys=[nacre.generate("ssh-ed25519")], policy=nacre.Users({}), login_grace=seconds
        )


def test_times() -> None:
    check_times(1, keepalive=None, timeout=0, login_grace=0.5)


@pytest.mark.parametrize("count", [0, -1, 1.5])
def test_counts_that_are_none(count: int) -> None:
    with pytest.raises(ConfigurationError, match="give an int, 1 or more"):
        nacre.connect("localhost", keepalive=1, keepalive_count=count)
    nacre.connect("localhost", keepalive_count=0)
