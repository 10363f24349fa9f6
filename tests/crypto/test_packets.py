"""Every Sealer against its Opener: round trips, refusals, bounds."""

from __future__ import annotations

import random
from struct import pack, unpack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.crypto.packets.seal import OVERHEAD, Opener, PlainOpener, PlainSealer, Sealer
from nacre.crypto.registry import CIPHERS, MACS, PacketKeys, opener, sealer
from nacre.errors import PacketCorrupt, PacketTooLarge, RemoteProtocolError
from nacre.value import replace

LIMIT = 256 * 1024
AEAD = [name for name, spec in CIPHERS.items() if spec.aead]
PAIRS = [(name, "") for name in AEAD] + [
    (name, mac) for name, spec in CIPHERS.items() if not spec.aead for mac in MACS
]
FEW = [
    *((name, "") for name in AEAD),
    ("aes128-ctr", "hmac-sha2-256-etm@openssh.com"),
    ("aes128-ctr", "hmac-sha2-256"),
    ("aes256-cbc", "hmac-sha1-96"),
    ("3des-cbc", "hmac-sha1-etm@openssh.com"),
]


def keys_for(cipher: str, mac: str, seed: int = 1) -> PacketKeys:
    source = random.Random(seed).randbytes
    spec = CIPHERS[cipher]
    return PacketKeys(
        cipher,
        mac,
        source(spec.key_size),
        source(spec.iv_size),
        source(MACS[mac].key_size) if mac else b"",
    )


def make(
    cipher: str, mac: str, *, sequence: int = 3, limit: int = LIMIT, seed: int = 1
) -> tuple[Sealer, Opener]:
    keys = keys_for(cipher, mac, seed)
    source = random.Random(seed + 1).randbytes
    return (
        sealer(keys, sequence=sequence, random=source),
        opener(keys, sequence=sequence, packet_limit=limit),
    )


def sealed(seal: Sealer, payload: bytes, split: int = 1, *, as_view: bool = False) -> bytearray:
    body: bytes | memoryview = memoryview(payload)[split:] if as_view else payload[split:]
    out = bytearray(len(payload) + OVERHEAD)
    del out[seal.seal(payload[:split], body, memoryview(out), 0) :]
    return out


def give(open_: Opener, packet: bytearray) -> bytes:
    """Give the packet as framing does: size first, then as many bytes as it says."""
    size = open_.packet_size(memoryview(packet)[: open_.header_size])
    whole = bytes(packet[:size]).ljust(size, b"\0")
    return bytes(open_.open(memoryview(whole)))


@given(
    pair=st.sampled_from(PAIRS),
    seed=st.integers(0, 2**32),
    sequence=st.sampled_from([0, 7, 2**32 - 2]),
    payloads=st.lists(
        st.tuples(st.binary(min_size=1, max_size=200), st.integers(0, 200), st.booleans()),
        min_size=1,
        max_size=5,
    ),
)
def test_what_is_sealed_opens_to_the_same(
    pair: tuple[str, str],
    seed: int,
    sequence: int,
    payloads: list[tuple[bytes, int, bool]],
) -> None:
    seal, open_ = make(*pair, seed=seed, sequence=sequence)
    out = bytearray()
    for payload, split, as_view in payloads:
        out += sealed(seal, payload, split, as_view=as_view)
    for count, (payload, _, _) in enumerate(payloads, 1):
        with memoryview(out) as view, view[: open_.header_size] as header:
            size = open_.packet_size(header)
            assert open_.packet_size(view) == size
        with memoryview(out) as view, view[:size] as packet:
            opened = open_.open(packet)
        # A view that is left over would make this raise BufferError.
        del out[:size]
        assert opened == payload
        assert open_.sequence == (sequence + count) % 2**32
    assert not out
    assert seal.sequence == open_.sequence


@pytest.mark.parametrize(("cipher", "mac"), PAIRS)
def test_packets_are_sealed_one_behind_the_other(cipher: str, mac: str) -> None:
    seal, _ = make(cipher, mac)
    other, _ = make(cipher, mac)
    payloads = [b"head" + bytes(size) for size in (0, 1, 11, 12, 500, 32 * 1024, 400_000, 3)]
    expected = bytearray(b"before")
    for payload in payloads:
        expected += sealed(seal, payload, 4)
    # No more room than is asked for, and what lies there from before goes nowhere.
    out = bytearray(b"before" + b"\xff" * (len(expected) + OVERHEAD))
    end = 6
    for payload in payloads:
        room = memoryview(out)[: end + len(payload) + OVERHEAD]
        end = other.seal(payload[:4], payload[4:], room, end)
    assert out[:end] == expected
    assert other.sequence == seal.sequence


@pytest.mark.parametrize(("cipher", "mac"), PAIRS)
@pytest.mark.parametrize("packets", [0, 1, 9])
def test_others_go_on_with_the_iv_of_those_that_retire(cipher: str, mac: str, packets: int) -> None:
    seal, open_ = make(cipher, mac)
    for size in range(packets):
        assert give(open_, sealed(seal, bytes(1 + 50 * size))) == bytes(1 + 50 * size)
    first = keys_for(cipher, mac)
    ivs = [one.retire(cipher, first.key) for one in (seal, open_)]
    assert ivs[0] == ivs[1]
    assert (ivs[0] == first.iv) is (not packets or not first.iv)
    keys = replace(first, iv=ivs[0])
    seal = sealer(keys, sequence=seal.sequence, random=bytes)
    open_ = opener(keys, sequence=open_.sequence, packet_limit=LIMIT)
    for size in (1, 700):
        assert give(open_, sealed(seal, bytes(size))) == bytes(size)


@pytest.mark.parametrize(("cipher", "iv"), [("aes128-ctr", 16), ("aes128-gcm@openssh.com", 12)])
def test_a_counter_that_runs_over_is_retired_too(cipher: str, iv: int) -> None:
    mac = "" if iv == 12 else "hmac-sha2-256"
    keys = replace(keys_for(cipher, mac), iv=bytes([255]) * iv)
    seal = sealer(keys, sequence=0, random=bytes)
    open_ = opener(keys, sequence=0, packet_limit=LIMIT)
    assert give(open_, sealed(seal, bytes(40))) == bytes(40)
    keys = replace(keys, iv=seal.retire(cipher, keys.key))
    seal = sealer(keys, sequence=1, random=bytes)
    assert give(open_, sealed(seal, bytes(40))) == bytes(40)


@pytest.mark.parametrize(("cipher", "mac"), PAIRS)
def test_big_packets(cipher: str, mac: str) -> None:
    seal, open_ = make(cipher, mac)
    for size in (32 * 1024 + 9, 200_000):
        payload = random.Random(size).randbytes(size)
        assert give(open_, sealed(seal, payload, 9)) == payload


@pytest.mark.parametrize(("cipher", "mac"), PAIRS)
def test_the_padded_part_fills_whole_blocks(cipher: str, mac: str) -> None:
    seal, _ = make(cipher, mac)
    block = CIPHERS[cipher].block_size
    tag = 16 if not mac else MACS[mac].tag_size
    clear = 4 if not mac or MACS[mac].etm else 0
    for size in range(1, 40):
        padded = len(sealed(seal, bytes(size))) - tag - clear
        assert padded % block == 0
        # 4 bytes of padding at least, and not a block more than needed.
        least = size + 1 + 4 + (4 - clear)
        assert least <= padded < least + block


@pytest.mark.parametrize(("cipher", "mac"), FEW)
def test_a_change_of_any_byte_is_refused(cipher: str, mac: str) -> None:
    whole = len(sealed(make(cipher, mac)[0], b"payload"))
    for position in range(whole):
        seal, open_ = make(cipher, mac)
        packet = sealed(seal, b"payload")
        packet[position] ^= 1 << position % 8
        with pytest.raises((PacketCorrupt, PacketTooLarge)):
            give(open_, packet)
        assert open_.sequence == 3


@pytest.mark.parametrize(("cipher", "mac"), FEW)
def test_a_packet_out_of_its_turn_is_refused(cipher: str, mac: str) -> None:
    seal, open_ = make(cipher, mac)
    first, second = sealed(seal, b"first"), sealed(seal, b"second")
    with pytest.raises(RemoteProtocolError):
        give(open_, second)
    open_ = make(cipher, mac)[1]
    assert give(open_, first) == b"first"
    with pytest.raises(RemoteProtocolError):
        give(open_, first)


@pytest.mark.parametrize(("cipher", "mac"), FEW)
def test_the_opened_payload_has_its_own_memory(cipher: str, mac: str) -> None:
    seal, open_ = make(cipher, mac)
    packet = sealed(seal, b"payload")
    with memoryview(packet) as view:
        open_.packet_size(view)
        opened = open_.open(view)
    packet[:] = bytes(len(packet))
    assert opened == b"payload"


@pytest.mark.parametrize(("cipher", "mac"), FEW)
def test_a_length_above_the_limit_is_refused(cipher: str, mac: str) -> None:
    seal, open_ = make(cipher, mac, limit=1024)
    assert give(open_, sealed(seal, bytes(900))) == bytes(900)
    with pytest.raises(PacketTooLarge):
        open_.packet_size(sealed(seal, bytes(1100)))


@pytest.mark.parametrize(("cipher", "mac"), FEW)
def test_an_empty_payload_is_refused(cipher: str, mac: str) -> None:
    seal, open_ = make(cipher, mac)
    with pytest.raises(PacketCorrupt):
        give(open_, sealed(seal, b""))


@pytest.mark.parametrize(
    ("cipher", "mac", "lengths"),
    [
        ("aes128-gcm@openssh.com", "", [0, 8, 15, 17, 24, 2**32 - 1]),
        ("aes128-ctr", "hmac-sha2-256-etm@openssh.com", [0, 8, 12, 17, 28, 2**31]),
    ],
)
def test_lengths_that_fit_no_packet(cipher: str, mac: str, lengths: list[int]) -> None:
    for length in lengths:
        with pytest.raises(PacketTooLarge if length > LIMIT else PacketCorrupt):
            make(cipher, mac)[1].packet_size(pack(">I", length))
    assert make(cipher, mac)[1].packet_size(pack(">I", 32)) > 32


def test_header_sizes() -> None:
    sizes = {pair: make(*pair)[1].header_size for pair in FEW}
    assert sizes == {
        **{(name, ""): 4 for name in AEAD},
        ("aes128-ctr", "hmac-sha2-256-etm@openssh.com"): 4,
        ("aes128-ctr", "hmac-sha2-256"): 16,
        ("aes256-cbc", "hmac-sha1-96"): 16,
        ("3des-cbc", "hmac-sha1-etm@openssh.com"): 4,
    }


@given(st.binary(min_size=1, max_size=300), st.integers(0, 300))
def test_plain_packets(payload: bytes, split: int) -> None:
    seal = PlainSealer(random.Random(1).randbytes)
    packet = sealed(seal, payload, split)
    length, padding = unpack(">IB", packet[:5])
    assert len(packet) == 4 + length
    assert len(packet) % 8 == 0
    assert 4 <= padding < 12
    assert packet[5:-padding] == payload
    open_ = PlainOpener(LIMIT)
    assert give(open_, packet) == payload
    assert (seal.sequence, open_.sequence) == (1, 1)


@pytest.mark.parametrize("length", [0, 4, 11, 13, 21])
def test_plain_lengths_that_fit_no_packet(length: int) -> None:
    with pytest.raises(PacketCorrupt):
        PlainOpener(LIMIT).packet_size(pack(">I", length))


def test_plain_length_above_the_limit() -> None:
    assert PlainOpener(1020).packet_size(pack(">I", 1020)) == 1024
    with pytest.raises(
        PacketTooLarge, match="Bad packet length 1028: it is above the bound of 1020"
    ):
        PlainOpener(1020).packet_size(pack(">I", 1028))


@pytest.mark.parametrize("padding", [0, 3, 11, 12, 255])
def test_padding_out_of_range(padding: int) -> None:
    with pytest.raises(PacketCorrupt, match="padding"):
        PlainOpener(LIMIT).open(pack(">IB", 12, padding) + bytes(11))


def test_the_largest_padding_that_leaves_a_payload() -> None:
    packet = pack(">IB", 12, 10) + b"p" + bytes(10)
    assert PlainOpener(LIMIT).open(packet) == b"p"
