"""The outbox: messages that are sent together."""

import zlib
from struct import unpack_from
from typing import Any

import pytest

from nacre.crypto.packets.compress import Compressor
from nacre.crypto.packets.seal import OVERHEAD, PlainSealer
from nacre.errors import LocalProtocolError
from nacre.limits import DEFAULT_LIMITS
from nacre.protocol.events import MessageSeen
from nacre.ssh2.transport.outbox import Outbox
from nacre.wire.blocks import SHARED_BLOCKS

MESSAGES = [(b"\x5eone", b"1" * 100), (b"\x5etwo", memoryview(b"2" * 5))]


def outbox(**options):
    events: list[Any] = []
    return Outbox(PlainSealer(bytes), DEFAULT_LIMITS, events, **options), events


def test_messages_are_counted_and_wait_one_behind_the_other():
    together, _ = outbox()
    alone, _ = outbox()
    packets = []
    for head, body in MESSAGES:
        together.send_parts(head, body)
        alone.send_parts(head, body)
        packets.append(bytes(alone.take()))
    assert together.size == len(b"".join(packets))
    assert together.take() == b"".join(packets)
    assert (together.packets, together.payload_bytes, together.size) == (2, 113, 0)


def test_what_waits_stays_when_much_follows():
    """From a little memory to a block, and to more than a block holds."""
    made, _ = outbox()
    made.send_line(b"SSH-2.0-x\r\n")
    expected = bytearray(b"SSH-2.0-x\r\n")
    for size in (10, 3000, 40_000, 500_000, 900_000, 900_000):
        body = bytes(range(256)) * (size // 256)
        made.send_parts(b"head", body)
        other = memoryview(bytearray(size + OVERHEAD))
        expected += other[: PlainSealer(bytes).seal(b"head", body, other, 0)]
    assert made.take() == expected
    assert not made.take()


def test_what_was_taken_stays_as_it_is():
    made, _ = outbox()
    made.send_parts(b"one", bytes(100_000))
    first = made.take()
    before = bytes(first)
    made.send_parts(b"two", b"x" * 100_000)
    assert first == before != made.take()


def test_a_block_that_was_given_back_is_sealed_into():
    made, _ = outbox()
    made.send_parts(b"one", bytes(100_000))
    taken = made.take()
    block = taken.obj
    del taken
    SHARED_BLOCKS.give(block)
    made.send_parts(b"two", bytes(100_000))
    assert made.take().obj is block


def test_a_trace_sees_each():
    made, events = outbox(trace=True)
    for head, body in MESSAGES:
        made.send_parts(head, body)
    assert events == [MessageSeen("out", head + bytes(body)) for head, body in MESSAGES]


def test_each_is_compressed():
    made, _ = outbox()
    made.compress_with(Compressor())
    for head, body in MESSAGES:
        made.send_parts(head, body)
    wire, undo = bytes(made.take()), zlib.decompressobj()
    for head, body in MESSAGES:
        length, padding = unpack_from(">IB", wire)
        assert undo.decompress(wire[5 : 4 + length - padding]) == head + bytes(body)
        wire = wire[4 + length :]


def test_a_key_exchange_holds_messages_back_and_sends_them_under_the_new_keys() -> None:
    box, _ = outbox()
    plain, _ = outbox()
    box.begin_kex()
    box.send(b"\x5fheld")
    assert box.size == 0
    assert not box.takes_data
    box.send(b"\x1enow")
    plain.send(b"\x1enow")
    assert bytes(box.take()) == bytes(plain.take())
    box.rekeyed(PlainSealer(bytes))
    box.end_kex()
    plain.send(b"\x5fheld")
    assert bytes(box.take()) == bytes(plain.take())
    assert box.takes_data
    assert (box.packets, box.payload_bytes) == (1, 5)


def test_held_messages_leave_in_their_order() -> None:
    box, events = outbox(trace=True)
    box.begin_kex()
    for n in range(3):
        box.send(b"\x5f%d" % n)
    assert events == []
    box.end_kex()
    assert [event.payload for event in events] == [b"\x5f0", b"\x5f1", b"\x5f2"]


def test_held_messages_are_bounded_even_when_they_are_small() -> None:
    box, _ = outbox()
    box.begin_kex()
    for _ in range(DEFAULT_LIMITS.kex_held_output // 65):
        box.send(b"\x63")
    with pytest.raises(LocalProtocolError, match="wait for the end of the key exchange"):
        box.send(b"\x63")
