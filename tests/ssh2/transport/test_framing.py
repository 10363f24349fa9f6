from __future__ import annotations

import itertools
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.crypto import registry
from nacre.crypto.packets.compress import Compressor, Decompressor
from nacre.crypto.packets.seal import OVERHEAD, Opener, PlainOpener, PlainSealer, Sealer
from nacre.errors import DisconnectCode, PacketTooLarge, RemoteProtocolError
from nacre.limits import Limits
from nacre.ssh2.transport.framing import Inbox
from nacre.wire.codec import Buffer

PAYLOADS = [bytes((n % 251 + 1,)) * (n * 37 % 900 + 1) for n in range(20)]


def ends(cipher: str, mac: str = "hmac-sha2-256") -> tuple[Sealer, Opener]:
    spec = registry.CIPHERS[cipher]
    keys = registry.PacketKeys(
        cipher,
        mac,
        os.urandom(spec.key_size),
        os.urandom(spec.iv_size),
        os.urandom(registry.MACS[mac].key_size),
    )
    return (
        registry.sealer(keys, sequence=7, random=os.urandom),
        registry.opener(keys, sequence=7, packet_limit=Limits().packet),
    )


def sealed(sealer: Sealer, *payloads: bytes) -> bytearray:
    wire = bytearray()
    for payload in payloads:
        out = memoryview(bytearray(len(payload) + OVERHEAD))
        wire += out[: sealer.seal(payload, b"", out, 0)]
    return wire


def drain(inbox: Inbox, data: Buffer) -> list[bytes]:
    inbox.feed(data)
    got = []
    while (payload := inbox.next()) is not None:
        got.append(bytes(payload))
    inbox.keep()
    return got


def test_new_keys_begin_to_count_anew() -> None:
    inbox = Inbox(PlainOpener(1 << 18), Limits())
    assert drain(inbox, sealed(PlainSealer(os.urandom), b"abc", b"d")) == [b"abc", b"d"]
    assert (inbox.packets, inbox.payload_bytes, inbox.sequence) == (2, 4, 2)
    sealer, opener = ends("aes128-gcm@openssh.com")
    inbox.rekeyed(opener)
    assert (inbox.packets, inbox.payload_bytes, inbox.sequence) == (0, 0, 7)
    assert drain(inbox, sealed(sealer, b"under them")) == [b"under them"]
    assert (inbox.packets, inbox.payload_bytes, inbox.sequence) == (1, 10, 8)


def test_payloads_are_decompressed_once_that_is_agreed() -> None:
    sealer, there = PlainSealer(os.urandom), Compressor()
    inbox = Inbox(PlainOpener(1 << 18), Limits())
    assert not inbox.decompresses
    inbox.decompress_with(Decompressor(1000))
    assert inbox.decompresses
    packed = there.compress(b"again and again and again")
    inbox.feed(sealed(sealer, packed))
    payload = inbox.next()
    assert isinstance(payload, memoryview)
    assert payload == b"again and again and again"
    assert inbox.payload_bytes == len(packed)
    inbox.keep()
    inbox.decompress_with(None)
    assert not inbox.decompresses
    assert drain(inbox, sealed(sealer, b"plain")) == [b"plain"]


def test_what_one_input_holds_of_requests_is_bounded_after_decompression() -> None:
    """A few bytes must not become many requests; data has a bound of its own, the window."""
    sealer, there = PlainSealer(os.urandom), Compressor()
    inbox = Inbox(PlainOpener(1 << 18), Limits(decompressed_requests=100))
    inbox.decompress_with(Decompressor(1000))
    for _ in range(2):
        wire = bytearray()
        for payload in (b"\x50" * 60, b"\x5e" + b"\x50" * 99, b"\x5f" * 100, b"\x50\x5e" * 20):
            wire += sealed(sealer, there.compress(payload))
        assert [len(payload) for payload in drain(inbox, wire)] == [60, 100, 100, 40]
    inbox.feed(sealed(sealer, there.compress(bytes(60)), there.compress(bytes(41))))
    assert inbox.next() == bytes(60)
    with pytest.raises(RemoteProtocolError, match="too large after decompression") as caught:
        inbox.next()
    assert caught.value.code is DisconnectCode.COMPRESSION_ERROR


@pytest.mark.parametrize("more", [0, 1])
def test_bytes_of_packets_that_were_opened_are_held_no_longer(more: int) -> None:
    packets = [sealed(PlainSealer(bytes), bytes((n,)) * 20) for n in (1, 2, 3)]
    size = len(packets[0])
    inbox = Inbox(PlainOpener(1 << 18), Limits(held_input=2 * size))
    inbox.feed(packets[0] + packets[1])
    inbox.keep()
    assert inbox.next() == b"\1" * 20
    inbox.feed(packets[2] + bytes(more))
    if more:
        with pytest.raises(RemoteProtocolError, match="wait for an answer"):
            inbox.keep()
    else:
        inbox.keep()
        assert [bytes(p) for p in iter(inbox.next, None)] == [b"\2" * 20, b"\3" * 20]
        assert inbox.left == 0


def test_a_packet_of_which_the_end_comes_behind_one_that_was_held() -> None:
    wire = sealed(PlainSealer(bytes), b"first", b"second")
    inbox = Inbox(PlainOpener(1 << 18), Limits())
    inbox.feed(wire[:-3])
    inbox.keep()
    assert inbox.next() == b"first"
    assert inbox.next() is None
    inbox.keep()
    assert drain(inbox, wire[-3:]) == [b"second"]
    assert inbox.left == 0


def test_nothing_is_left_of_a_connection_that_has_ended() -> None:
    wire = sealed(PlainSealer(bytes), b"first", b"second")
    inbox = Inbox(PlainOpener(1 << 18), Limits())
    inbox.feed(wire)
    inbox.keep()
    assert inbox.next() == b"first"
    inbox.clear()
    assert inbox.left == 0
    assert inbox.next() is None
    inbox.feed(wire)
    assert inbox.next() == b"first"
    inbox.clear()
    assert drain(inbox, wire) == [b"first", b"second"]


def test_a_frozen_inbox_has_given_all_away() -> None:
    sealer, opener = ends("aes128-gcm@openssh.com")
    inbox = Inbox(opener, Limits())
    inbox.keys = registry.PacketKeys("aes128-gcm@openssh.com", "", bytes(16), bytes(12), b"")
    sealed_first, sealed_second = sealed(sealer, b"first"), sealed(sealer, b"second")
    inbox.feed(sealed_first + sealed_second)
    inbox.keep()
    assert inbox.next() == b"first"
    frozen = inbox.freeze()
    assert (frozen.packets, frozen.waiting) == (1, sealed_second)
    assert inbox.left == 0
    assert inbox.next() is None


@pytest.mark.parametrize("cipher", ["aes128-gcm@openssh.com", "aes128-ctr", "aes128-cbc"])
@given(cuts=st.lists(st.integers(0, 12_000), max_size=30))
def test_any_split_gives_the_same_payloads(cipher: str, cuts: list[int]) -> None:
    sealer, opener = ends(cipher)
    wire = sealed(sealer, *PAYLOADS)
    inbox = Inbox(opener, Limits())
    edges = [0, *sorted(c for c in cuts if c < len(wire)), len(wire)]
    got = []
    for start, end in itertools.pairwise(edges):
        got += drain(inbox, bytes(wire[start:end]))
    assert got == PAYLOADS
    assert inbox.packets == len(PAYLOADS)
    assert inbox.payload_bytes == sum(map(len, PAYLOADS))


def test_one_byte_at_a_time() -> None:
    wire = sealed(PlainSealer(os.urandom), *PAYLOADS)
    inbox = Inbox(PlainOpener(1 << 18), Limits())
    got = [p for byte in wire for p in drain(inbox, bytes((byte,)))]
    assert got == PAYLOADS


def test_a_payload_outlives_the_callers_buffer() -> None:
    wire = sealed(PlainSealer(os.urandom), b"abc")
    inbox = Inbox(PlainOpener(1 << 18), Limits())
    inbox.feed(wire)
    payload = inbox.next()
    inbox.keep()
    wire[:] = bytes(len(wire))
    assert payload is not None
    assert bytes(payload) == b"abc"


def test_what_is_left_to_the_caller_is_fed_again() -> None:
    wire = sealed(PlainSealer(os.urandom), b"first", b"second")
    inbox = Inbox(PlainOpener(1 << 18), Limits())
    for cut in (3, len(wire) // 2 - 1, len(wire) // 2 + 1):
        inbox.feed(wire[:cut])
        got = [bytes(p) for p in iter(inbox.next, None)]
        begun = cut - inbox.leave()
        assert inbox.left == 0
        inbox.feed(wire[begun:])
        got += [bytes(p) for p in iter(inbox.next, None)]
        assert inbox.leave() == 0
        assert got == [b"first", b"second"]


def test_a_length_above_the_bound_is_refused_before_anything_is_kept() -> None:
    inbox = Inbox(PlainOpener(1 << 18), Limits())
    with pytest.raises(PacketTooLarge):
        drain(inbox, (80 << 20).to_bytes(4, "big"))


def test_held_input_is_bounded() -> None:
    inbox = Inbox(PlainOpener(1 << 18), Limits(held_input=1000))
    for _ in range(2):
        inbox.feed(bytes(500))
        inbox.keep()
    inbox.feed(b"x")
    with pytest.raises(RemoteProtocolError, match="wait for an answer"):
        inbox.keep()


def test_held_packets_come_out_later() -> None:
    sealer = PlainSealer(os.urandom)
    wire = sealed(sealer, *PAYLOADS[:3])
    inbox = Inbox(PlainOpener(1 << 18), Limits())
    inbox.feed(wire)
    assert inbox.next() == PAYLOADS[0]
    inbox.keep()
    assert inbox.next() == PAYLOADS[1]
    assert drain(inbox, bytes(sealed(sealer, b"later"))) == [PAYLOADS[2], b"later"]
