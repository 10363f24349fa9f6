"""The outbox: messages that are sent together."""

import zlib
from struct import unpack_from
from typing import Any

import pytest

from nacre.crypto.packets.compress import Compressor
from nacre.crypto.packets.seal import OVERHEAD, PlainSealer
from nacre.errors import LocalProtocolError
from nacre.limits import DEFAULT_LIMITS, KIB, Limits
from nacre.protocol.events import MessageSeen
from nacre.ssh2.transport.messages import KexInit
from nacre.ssh2.transport.outbox import Outbox
from nacre.wire.blocks import BLOCK, SHARED_BLOCKS, Block

MESSAGES = [(b"\x5eone", b"1" * 100), (b"\x5etwo", memoryview(b"2" * 5))]


def outbox(**options):
    events: list[Any] = []
    return Outbox(PlainSealer(bytes), DEFAULT_LIMITS, events, **options), events


@pytest.mark.parametrize(
    ("needed", "size"),
    [
        (10, KIB),
        (512, KIB),
        (513, 1026),
        (16 * KIB, 32 * KIB),
        (16 * KIB + 1, BLOCK),
        (BLOCK, BLOCK),
        (BLOCK + 4, BLOCK + 4 + BLOCK // 2 + 2),
    ],
)
def test_memory_grows_with_what_waits(needed, size):
    made, _ = outbox()
    made.send_line(bytes(needed))
    memory = made.take().obj
    assert len(memory) == size
    assert (type(memory) is Block) == (size == BLOCK)


def test_memory_is_used_to_its_end():
    made, _ = outbox()
    made.send_line(bytes(512))
    memory = made._memory.obj
    made.send_parts(b"x" * (512 - OVERHEAD), b"")
    assert made.take().obj is memory


def test_tokens_are_used_once():
    made, _ = outbox()
    assert [made.token() for _ in range(3)] == [1, 2, 3]


def test_what_the_peer_has_not_implemented_is_found_by_its_sequence_number():
    made, _ = outbox()
    made.send(b"\x02")
    made.send(b"\x5a", 7)
    made.send(b"\x14", KexInit)
    assert made.asked == {7: 1, KexInit: 2}
    assert made.sequence == 3
    assert made.unimplemented(0) is None
    assert made.unimplemented(1) == 7
    assert made.unimplemented(1) is None
    assert made.asked == {KexInit: 2}


@pytest.mark.parametrize("strict", [True, False])
def test_what_was_asked_before_new_keys_has_a_number_while_numbers_go_on(strict):
    made, _ = outbox()
    made.send(b"\x5a", 7)
    made.begin_kex()
    made.send(b"\x5b", 8)
    assert made.asked == {7: 0}, "what is held has no number yet"
    sealer = PlainSealer(bytes)
    sealer.sequence = 0 if strict else 1
    made.rekeyed(sealer)
    made.end_kex()
    assert made.asked == ({8: 0} if strict else {7: 0, 8: 1})


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
    assert not made.compresses
    made.compress_with(Compressor())
    assert made.compresses
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


def test_only_messages_of_the_exchange_leave_during_it() -> None:
    """RFC 4253 section 7.1."""
    box, events = outbox(trace=True)
    box.begin_kex()
    for number in range(1, 256):
        box.send(bytes((number, 20)))
    sent = [event.payload[0] for event in events]
    assert sent == [1, 2, 3, 4, *range(20, 50)]


@pytest.mark.parametrize("bound", [2 * 65, 3 * 65 - 1])
def test_held_messages_are_bounded_even_when_they_are_small(bound: int) -> None:
    box = Outbox(PlainSealer(bytes), Limits(kex_held_output=bound), [])
    assert not box.takes_data, "before the first keys"
    for _ in range(2):
        box.begin_kex()
        assert not box.takes_data
        for _ in range(2):
            box.send(b"\x63")
        with pytest.raises(LocalProtocolError, match="wait for the end of the key exchange"):
            box.send(b"\x63")
        box.end_kex()
        assert box.takes_data
    assert box.packets == 4
