"""The outbox: messages that are sent together."""

from nacre.crypto.compress import Compressor
from nacre.crypto.seal import PlainSealer
from nacre.limits import DEFAULT_LIMITS
from nacre.protocol.events import MessageSeen
from nacre.ssh2.transport.outbox import Outbox

MESSAGES = [(b"\x5eone", b"1" * 100), (b"\x5etwo", memoryview(b"2" * 5))]


def outbox(**options):
    events = []
    return Outbox(PlainSealer(bytes), DEFAULT_LIMITS, events, **options), events


def one_by_one(made):
    for head, body in MESSAGES:
        made.send_parts(head, body)
    return made


def test_messages_together_are_counted_and_sealed_like_each():
    together, _ = outbox()
    together.send_all(MESSAGES)
    alone = one_by_one(outbox()[0])
    assert together.take() == alone.take()
    assert (together.packets, together.octets) == (alone.packets, alone.octets) == (2, 113)


def test_a_trace_sees_each():
    together, events = outbox(trace=True)
    together.send_all(MESSAGES)
    assert events == [MessageSeen("out", head + bytes(body)) for head, body in MESSAGES]


def test_each_is_compressed():
    together, alone = outbox()[0], outbox()[0]
    for made in (together, alone):
        made.compress_with(Compressor())
    together.send_all(MESSAGES)
    assert together.take() == one_by_one(alone).take()
