"""What a packet of 32 KiB and a login cost, without a clock: calls, and objects that stay.

The ceilings are lowered when the code gets better, and never raised: a call more per packet fails.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

import nacre
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskAuthentication,
    AskPublicKey,
    AskSignature,
    AskUser,
    Granted,
    Signature,
    TryPublicKey,
    UserRequirement,
)
from nacre.protocol.events import Data
from nacre.protocol.options import algorithms
from nacre.protocol.phases import Phase
from nacre.testing import Pair, agreeable, host_key

PACKET = 32 * 1024
PACKAGE = Path(nacre.__file__).parent
FEW, MANY = 32, 64  # megabytes: the window is opened again once for each

CEILINGS = {
    ("send", "aes128-gcm@openssh.com"): 15.04,
    ("receive", "aes128-gcm@openssh.com"): 21.69,
    ("send", "chacha20-poly1305@openssh.com"): 25.04,
    ("receive", "chacha20-poly1305@openssh.com"): 34,
}
"""Calls per packet, of functions in Python and in C. Receiving includes the reader's credit."""

RUN_CEILING = 12
"""Calls per packet of those that one call of ``send_data`` makes of much data."""

ALLOCATED = {"send": 0, "receive": 4}
"""Blocks of memory that a packet holds until its reader has it: its data, and the event."""


LOGIN_CEILING = 1573
"""Calls of both engines and of what carries between them: keys exchanged, a signed login."""


class Talk:
    """A pair with a channel, and one direction of it."""

    def __init__(self, cipher: str, direction: str) -> None:
        self.pair = Pair(algorithms=algorithms(ciphers=[cipher]))
        self.pair.run()
        channel = self.pair.client.connection.open_channel("session")
        self.pair.run()
        ends = [(self.pair.client, channel), (self.pair.server, 0)]
        (self.sender, self.to), (self.receiver, self.at) = ends if direction == "up" else ends[::-1]
        self.data = bytes(PACKET)

    def send(self, packets: int) -> None:
        """Send so many packets, each by a call of its own."""
        connection, data, channel = self.sender.connection, self.data, self.to
        for _ in range(packets):
            connection.send_data(channel, data)

    def receive(self, data: memoryview) -> None:
        """Take all packets that came in one piece, and say that they were read."""
        engine = self.receiver
        engine.receive(data, 0.0)
        connection = engine.connection
        for event in engine.take_events():
            connection.adjust_window(self.at, len(event.data))  # type: ignore[attr-defined]

    def carry(self, packets: int) -> memoryview:
        """Send packets, and return them."""
        self.send(packets)
        return self.sender.take_output()

    def settle(self) -> None:
        """Carry what is under way, so that each measurement begins alike."""
        self.pair.run()


def calls(work: Callable[[], object]) -> int:
    """Count the calls that ``work`` makes."""
    count = 0

    def note(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        if event in ("call", "c_call"):
            count += 1

    # What others have the collector call is not to be counted.
    gc.disable()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


def calls_per_packet(talk: Talk, what: str) -> float:
    """Return what a packet more costs; what a batch costs anyway falls out."""
    counts = []
    for packets in (FEW, FEW, MANY):  # the first warms up
        if what == "send":
            counts.append(calls(lambda n=packets: talk.send(n)))  # type: ignore[misc]
            data = talk.sender.take_output()
            talk.receive(data)
        else:
            data = talk.carry(packets)
            counts.append(calls(lambda o=data: talk.receive(o)))  # type: ignore[misc]
        talk.settle()
    return (counts[2] - counts[1]) / (MANY - FEW)


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize(("what", "cipher"), CEILINGS)
def test_calls_per_packet(what: str, cipher: str, direction: str) -> None:
    measured = calls_per_packet(Talk(cipher, direction), what)
    assert measured <= CEILINGS[what, cipher], "a packet costs more calls than it did"


@pytest.mark.parametrize("direction", ["up", "down"])
def test_calls_per_packet_of_a_run(direction: str) -> None:
    talk = Talk("aes128-gcm@openssh.com", direction)
    counts = []
    for packets in (2, 2, 6):  # a block of memory has room for 7
        data = bytes(packets * 128 * 1024)
        counts.append(calls(lambda d=data: talk.sender.connection.send_data(talk.to, d)))  # type: ignore[misc]
        talk.receive(talk.sender.take_output())
        talk.settle()
    assert (counts[2] - counts[1]) / 4 <= RUN_CEILING


def signing(ask: Ask) -> Answer | None:
    """Log in with a key, whose signature goes with the first request."""
    key = host_key()
    match ask:
        case AskAuthentication():
            return TryPublicKey(key.public, ("ssh-ed25519",), signed=True)
        case AskSignature(data=data, algorithm=algorithm):
            return Signature(key.sign(data, algorithm))
        case AskUser():
            return UserRequirement((frozenset({"publickey"}),))
        case AskPublicKey():
            return Granted()
    return agreeable(ask)


def test_calls_per_login() -> None:
    counts = []
    for _ in range(3):  # the first compiles messages
        pair = Pair(answers_client=signing, answers_server=signing)
        counts.append(calls(pair.run))
        assert pair.client.phase is pair.server.phase is Phase.CONNECTION
    assert counts[1] == counts[2]
    assert counts[2] <= LOGIN_CEILING, "a login costs more calls than it did"


def test_one_call_more_is_seen() -> None:
    cipher = "aes128-gcm@openssh.com"
    talk = Talk(cipher, "up")
    send_data = talk.sender.connection.send_data

    class Longer:
        def send_data(self, channel: int, data: bytes) -> int:
            return send_data(channel, data)

    plain = calls_per_packet(talk, "send")
    connection = Longer()
    original = talk.send

    def send(packets: int) -> None:
        for _ in range(packets):
            connection.send_data(talk.to, talk.data)

    talk.send = send  # type: ignore[method-assign]
    assert calls_per_packet(talk, "send") == plain + 1
    assert calls_per_packet(talk, "send") > CEILINGS["send", cipher]
    talk.send = original  # type: ignore[method-assign]


def allocated(work: Callable[[], object]) -> tuple[int, int]:
    """Return how many blocks ``work`` leaves allocated, and the most bytes it held at once.

    Only what nacre's modules and this one allocate is counted: threads that other tests have left
    behind allocate too, and the more they get to run the busier the machine is.
    """
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        before = tracemalloc.take_snapshot()
        tracemalloc.reset_peak()
        kept = work()
        peak = tracemalloc.get_traced_memory()[1]
        after = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
        gc.enable()
    del kept
    mine = [tracemalloc.Filter(True, f"{PACKAGE}/*"), tracemalloc.Filter(True, __file__)]
    difference = after.filter_traces(mine).compare_to(before.filter_traces(mine), "filename")
    return sum(entry.count_diff for entry in difference), peak


@pytest.mark.parametrize("what", ["send", "receive"])
def test_allocations_per_packet(what: str) -> None:
    # What comes from outside can only add to a measurement: the least of several is the code's.
    measured = [blocks_per_packet(what)]
    while measured[-1] > ALLOCATED[what] and len(measured) < 3:
        measured.append(blocks_per_packet(what))
    assert min(measured) <= ALLOCATED[what]


def blocks_per_packet(what: str) -> float:
    """Return how many blocks of memory a packet more leaves allocated."""
    talk = Talk("aes128-gcm@openssh.com", "down")
    blocks = []
    for packets in (MANY, FEW, MANY):  # the first warms up, and fills the pool of blocks
        if what == "send":
            blocks.append(allocated(lambda n=packets: talk.send(n))[0])  # type: ignore[misc]
            talk.receive(talk.sender.take_output())
        else:
            data = talk.carry(packets)

            def take(data: memoryview = data) -> list[object]:
                talk.receiver.receive(data, 0.0)
                return list(talk.receiver.take_events())

            blocks.append(allocated(take)[0])
            talk.receiver.connection.adjust_window(talk.at, packets * PACKET)
        talk.settle()
    return (blocks[2] - blocks[1]) / (MANY - FEW)


def test_sending_copies_a_packet_once() -> None:
    """Into the outbox's memory, sealed; that memory's growth is the only other thing held."""
    talk = Talk("aes128-gcm@openssh.com", "down")
    talk.receive(talk.carry(MANY))
    talk.settle()
    _, peak = allocated(lambda: talk.send(MANY))
    assert peak < 2.5 * MANY * PACKET


def test_data_events_are_what_came() -> None:
    talk = Talk("aes128-gcm@openssh.com", "up")
    talk.receiver.receive(talk.carry(3), 0.0)
    events = talk.receiver.take_events()
    assert [len(event.data) for event in events if isinstance(event, Data)] == [PACKET] * 3
