"""Packets that AsyncSSH's ciphers open, and its packets opened here."""

from __future__ import annotations

import random
import warnings
from struct import pack, unpack

import pytest

from nacre.crypto.packets.seal import OVERHEAD
from nacre.crypto.registry import CIPHERS, MACS, PacketKeys, opener, sealer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from asyncssh.encryption import Encryption, get_encryption

PAIRS = [(name, "") for name, spec in CIPHERS.items() if spec.aead] + [
    (name, mac) for name, spec in CIPHERS.items() if not spec.aead for mac in MACS
]
PAYLOADS = [b"\x05", b"hello, world", bytes(1000), random.Random(3).randbytes(32768)]


def keys(cipher: str, mac: str) -> PacketKeys:
    source = random.Random(cipher + mac).randbytes
    spec = CIPHERS[cipher]
    return PacketKeys(
        cipher,
        mac,
        source(spec.key_size),
        source(spec.iv_size),
        source(MACS[mac].key_size) if mac else b"",
    )


def peer(cipher: str, mac: str) -> Encryption:
    made = keys(cipher, mac)
    etm = bool(mac) and MACS[mac].etm
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return get_encryption(cipher.encode(), made.key, made.iv, mac.encode(), made.mac_key, etm)


@pytest.mark.parametrize(("cipher", "mac"), PAIRS)
def test_asyncssh_opens_what_is_sealed_here(cipher: str, mac: str) -> None:
    seal = sealer(keys(cipher, mac), sequence=9, random=random.Random(1).randbytes)
    theirs = peer(cipher, mac)
    block = max(8, CIPHERS[cipher].block_size)
    tag = MACS[mac].tag_size if mac else 16
    for sequence, payload in enumerate(PAYLOADS, 9):
        out = memoryview(bytearray(len(payload) + OVERHEAD))
        out = out[: seal.seal(payload[:1], payload[1:], out, 0)]
        first, length = theirs.decrypt_header(sequence, bytes(out[:block]), 4)
        assert unpack(">I", length)[0] == len(out) - 4 - tag
        plain = theirs.decrypt_packet(sequence, first, bytes(out[block:-tag]), 4, bytes(out[-tag:]))
        assert plain is not None
        assert plain[1 : -plain[0]] == payload


@pytest.mark.parametrize(("cipher", "mac"), PAIRS)
def test_what_asyncssh_seals_opens_here(cipher: str, mac: str) -> None:
    open_ = opener(keys(cipher, mac), sequence=9, packet_limit=1 << 18)
    theirs = peer(cipher, mac)
    block = max(8, CIPHERS[cipher].block_size)
    clear = not mac or MACS[mac].etm
    for sequence, payload in enumerate(PAYLOADS, 9):
        padding = 4 + -(len(payload) + 5 + (0 if clear else 4)) % block
        plain = bytes((padding,)) + payload + bytes(padding)
        data, tag = theirs.encrypt_packet(sequence, pack(">I", len(plain)), plain)
        packet = data + tag
        assert open_.packet_size(packet) == len(packet)
        assert open_.open(packet) == payload
