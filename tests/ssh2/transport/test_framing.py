from __future__ import annotations

import itertools
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.crypto import registry
from nacre.crypto.packets.seal import OVERHEAD, Opener, PlainOpener, PlainSealer, Sealer
from nacre.errors import PacketTooLarge, RemoteProtocolError
from nacre.limits import Limits
from nacre.ssh2.transport.framing import Inbox

PAYLOADS = [bytes((n % 251 + 1,)) * (n * 37 % 900 + 1) for n in range(20)]


def ends(cipher: str, mac: str = "hmac-sha2-256") -> tuple[Sealer, Opener]:
    spec = registry.CIPHERS[cipher]
    keys = {
        "key": os.urandom(spec.key_size),
        "iv": os.urandom(spec.iv_size),
        "mac_key": os.urandom(registry.MACS[mac].key_size),
    }
    return (
        registry.sealer(cipher, mac, **keys, sequence=7, random=os.urandom),
        registry.opener(cipher, mac, **keys, sequence=7, packet_limit=Limits().packet),
    )


def sealed(sealer: Sealer, *payloads: bytes) -> bytearray:
    wire = bytearray()
    for payload in payloads:
        out = memoryview(bytearray(len(payload) + OVERHEAD))
        wire += out[: sealer.seal(payload, b"", out, 0)]
    return wire


def drain(inbox: Inbox, data: bytes) -> list[bytes]:
    inbox.feed(data)
    got = []
    while (payload := inbox.next()) is not None:
        got.append(bytes(payload))
    inbox.keep()
    return got


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
