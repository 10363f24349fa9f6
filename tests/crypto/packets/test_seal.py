"""The bytes of packets, and the bounds of their fields, to the last byte."""

from __future__ import annotations

from struct import pack

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from nacre.crypto.packets.block import encrypt
from nacre.crypto.packets.seal import (
    OVERHEAD,
    BareOpener,
    BareSealer,
    Opener,
    PlainOpener,
    PlainSealer,
    Sealer,
    length_error,
    payload,
)
from nacre.crypto.registry import CIPHERS, MACS, PacketKeys, opener, sealer
from nacre.errors import PacketCorrupt, PacketTooLarge
from nacre.value import replace

LIMIT = 1024
GCM = "aes256-gcm@openssh.com"
CHACHA = "chacha20-poly1305@openssh.com"
SEQUENCE = 7


def counted(size: int) -> bytes:
    """Return bytes by which padding is recognised."""
    return bytes(range(100, 100 + size))


def sealed(made: Sealer, text: bytes) -> bytes:
    out = memoryview(bytearray(len(text) + OVERHEAD))
    return bytes(out[: made.seal(text[:1], text[1:], out, 0)])


# --- packets without encryption ---


@pytest.mark.parametrize(
    ("text", "length", "padding"),
    [
        (b"p", 12, 10),
        (b"p" * 7, 12, 4),  # the least padding
        (b"p" * 8, 20, 11),  # the most
        (b"p" * 15, 20, 4),
    ],
)
def test_a_plain_packet(text: bytes, length: int, padding: int) -> None:
    packet = sealed(PlainSealer(counted), text)
    assert packet == pack(">IB", length, padding) + text + counted(padding)
    made = PlainOpener(LIMIT)
    assert made.packet_size(packet) == len(packet)
    assert made.open(packet) == text


@pytest.mark.parametrize(
    ("text", "packet"),
    [
        (b"abcd", b"\0\0\0\5\0abcd"),
        (b"abc", b"\0\0\0\5\1abc\0"),
        (b"a", b"\0\0\0\5\3a\0\0\0"),
        (b"abcde", b"\0\0\0\6\0abcde"),
    ],
)
def test_a_bare_packet(text: bytes, packet: bytes) -> None:
    assert sealed(BareSealer(), text) == packet
    made = BareOpener(LIMIT)
    assert made.packet_size(packet) == len(packet)
    assert made.open(packet) == text


@pytest.mark.parametrize(
    ("made", "least", "block"), [(PlainOpener, 12, 8), (BareOpener, 2, 1)], ids=["plain", "bare"]
)
def test_the_bounds_of_a_length_in_the_clear(
    made: type[PlainOpener | BareOpener], least: int, block: int
) -> None:
    for length in (least, least + block, least + 8 * block):
        header = pack(">I", length)
        assert made(length).packet_size(header) == 4 + length
        with pytest.raises(PacketTooLarge):
            made(length - 1).packet_size(header)
    wrong = {0, least - block, *(least + n for n in range(1 - block, block) if n)}
    for length in wrong:
        with pytest.raises(PacketCorrupt):
            made(LIMIT).packet_size(pack(">I", length))


def test_a_bare_packet_has_a_payload() -> None:
    assert BareOpener(LIMIT).open(b"\0\0\0\2\0p") == b"p"
    for packet in (b"\0\0\0\2\1p", b"\0\0\0\1\0"):
        with pytest.raises(PacketCorrupt, match="nothing but padding"):
            BareOpener(LIMIT).open(packet)


def test_numbers_of_packets_begin_at_0_and_wrap_at_32_bits() -> None:
    for seal, open_ in (
        (PlainSealer(counted), PlainOpener(LIMIT)),
        (BareSealer(), BareOpener(LIMIT)),
    ):
        assert (seal.sequence, open_.sequence) == (0, 0)
        for before, after in ((0, 1), (2**32 - 2, 2**32 - 1), (2**32 - 1, 0)):
            seal.sequence = open_.sequence = before
            open_.open(sealed(seal, b"payload"))
            assert (seal.sequence, open_.sequence) == (after, after)


@pytest.mark.parametrize(("start", "before"), [(0, b""), (4, b"\0\0\0\6")])
def test_a_payload_has_a_byte_and_its_padding_four(start: int, before: bytes) -> None:
    assert payload(before + b"\4p\0\0\0\0", start) == b"p"
    for wrong in (b"\4\0\0\0\0", b"\5\0\0\0\0", b"\3p\0\0\0"):
        with pytest.raises(PacketCorrupt, match="padding_length"):
            payload(before + wrong, start)


def test_a_length_is_too_large_only_above_the_bound() -> None:
    assert type(length_error(9, 8)) is PacketTooLarge
    assert type(length_error(8, 8)) is PacketCorrupt


# --- encrypted packets ---

CASES = [
    # cipher, MAC, and the least length
    (GCM, "", 16),
    (CHACHA, "", 8),
    ("aes128-ctr", "hmac-sha2-256-etm@openssh.com", 16),
    ("3des-cbc", "hmac-sha1-etm@openssh.com", 8),
    ("aes128-ctr", "hmac-sha2-256", 12),
    ("3des-cbc", "hmac-sha1-96", 12),
]


def keys(cipher: str, mac: str) -> PacketKeys:
    spec = CIPHERS[cipher]
    return PacketKeys(
        cipher,
        mac,
        key=bytes(range(spec.key_size)),
        iv=bytes(range(spec.iv_size)),
        mac_key=bytes(MACS[mac].key_size) if mac else b"",
    )


def seals(cipher: str, mac: str) -> Sealer:
    return sealer(keys(cipher, mac), sequence=SEQUENCE, random=counted)


def opens(cipher: str, mac: str, limit: int = LIMIT) -> Opener:
    return opener(keys(cipher, mac), sequence=SEQUENCE, packet_limit=limit)


def header(cipher: str, mac: str, length: int) -> bytes:
    """Return the first bytes of a packet with this packet_length, as they are on the wire."""
    clear = pack(">I", length)
    made = keys(cipher, mac)
    if cipher == CHACHA:
        nonce = pack(">QQ", 0, SEQUENCE)
        return Cipher(ChaCha20(made.key[32:], nonce), None).encryptor().update(clear)
    if mac and not MACS[mac].etm:
        return encrypt(cipher, made.key, made.iv, clear.ljust(CIPHERS[cipher].block_size))
    return clear


@pytest.mark.parametrize(("cipher", "mac", "least"), CASES)
def test_the_bounds_of_a_length(cipher: str, mac: str, least: int) -> None:
    block = CIPHERS[cipher].block_size
    tag = MACS[mac].tag_size if mac else 16
    assert opens(cipher, mac).header_size == (4 if not mac or MACS[mac].etm else block)
    for length in (least, least + block, least + 8 * block):
        made = opens(cipher, mac, limit=length)
        assert made.packet_size(header(cipher, mac, length)) == 4 + length + tag
        with pytest.raises(PacketTooLarge):
            opens(cipher, mac, limit=length - 1).packet_size(header(cipher, mac, length))
        for wrong in (length - 1, length + 1, length + block // 2):
            with pytest.raises(PacketCorrupt):
                opens(cipher, mac).packet_size(header(cipher, mac, wrong))
    if least >= block:
        with pytest.raises(PacketCorrupt):
            opens(cipher, mac).packet_size(header(cipher, mac, least - block))


@pytest.mark.parametrize(("cipher", "mac", "least"), CASES)
def test_packets_in_a_row_have_no_more_padding_than_they_need(
    cipher: str, mac: str, least: int
) -> None:
    seal = seals(cipher, mac)
    open_ = opens(cipher, mac)
    block = CIPHERS[cipher].block_size
    tag = MACS[mac].tag_size if mac else 16
    for number, size in enumerate(range(1, 60), SEQUENCE + 1):
        packet = sealed(seal, b"p" * size)
        length = next(n for n in range(least, LIMIT, block) if n >= 1 + size + 4)
        assert len(packet) == 4 + length + tag
        assert open_.packet_size(packet[: open_.header_size]) == len(packet)
        assert open_.open(memoryview(packet)) == b"p" * size
        assert seal.sequence == open_.sequence == number


@pytest.mark.parametrize(("cipher", "mac", "_least"), CASES)
def test_numbers_of_encrypted_packets_wrap(cipher: str, mac: str, _least: int) -> None:
    seal, open_ = seals(cipher, mac), opens(cipher, mac)
    seal.sequence = open_.sequence = 2**32 - 2
    for number in (2**32 - 1, 0, 1):
        packet = sealed(seal, b"payload")
        open_.packet_size(packet)
        assert open_.open(packet) == b"payload"
        assert seal.sequence == open_.sequence == number


@pytest.mark.parametrize(("cipher", "mac", "_least"), CASES)
def test_a_packet_with_one_bit_changed_is_not_opened(cipher: str, mac: str, _least: int) -> None:
    packet = sealed(seals(cipher, mac), b"payload")
    clear = 4 if not mac or MACS[mac].etm else CIPHERS[cipher].block_size
    for position in range(clear, len(packet)):
        made = opens(cipher, mac)
        made.packet_size(packet)
        changed = bytearray(packet)
        changed[position] ^= 1
        with pytest.raises(PacketCorrupt, match="authentication code"):
            made.open(changed)
        assert made.sequence == SEQUENCE


@pytest.mark.parametrize(("counter", "after"), [(2**63 - 1, 2**63), (2**64 - 1, 0)])
def test_the_counter_of_gcm_has_64_bits(counter: int, after: int) -> None:
    """RFC 5647 section 7.1: the invocation counter is the last eight bytes of the nonce."""
    made = replace(keys(GCM, ""), iv=b"salt" + pack(">Q", counter))
    seal = sealer(made, sequence=SEQUENCE, random=counted)
    open_ = opener(made, sequence=SEQUENCE, packet_limit=LIMIT)
    first, second = sealed(seal, b"first"), sealed(seal, b"second")
    assert open_.open(first) == b"first"
    assert open_.open(second) == b"second"
    made = replace(made, iv=b"salt" + pack(">Q", after))
    assert opener(made, sequence=SEQUENCE, packet_limit=LIMIT).open(second) == b"second"
