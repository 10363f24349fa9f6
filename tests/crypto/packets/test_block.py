"""Whole buffers: NIST's vectors, round trips, refusals."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from nacre.crypto.packets.block import decrypt, encrypt
from nacre.crypto.registry import CIPHERS

AES128 = "2b7e151628aed2a6abf7158809cf4f3c"
AES192 = "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b"
AES256 = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"
COUNTER = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
IV = "000102030405060708090a0b0c0d0e0f"
TEXT = "6bc1bee22e409f96e93d7e117393172a"


@pytest.mark.parametrize(
    ("cipher", "key", "iv", "plain", "text"),
    [
        # NIST SP 800-38A, appendix F.5 and F.2.
        ("aes128-ctr", AES128, COUNTER, TEXT, "874d6191b620e3261bef6864990db6ce"),
        ("aes192-ctr", AES192, COUNTER, TEXT, "1abc932417521ca24f2b0459fe7e6e0b"),
        ("aes256-ctr", AES256, COUNTER, TEXT, "601ec313775789a5b7a7f504bbf3d228"),
        ("aes128-cbc", AES128, IV, TEXT, "7649abac8119b246cee98e9b12e9197d"),
        ("aes192-cbc", AES192, IV, TEXT, "4f021db243bc633d7178183a9fa071e8"),
        ("aes256-cbc", AES256, IV, TEXT, "f58c4c04d6e5f1ba779eabfb5f7bfbd6"),
        # NIST SP 800-67, appendix B.1, first block.
        (
            "3des-cbc",
            "0123456789abcdef23456789abcdef01456789abcdef0123",
            "00" * 8,
            b"The qufc".hex(),
            "a826fd8ce53b855f",
        ),
        # The GCM specification's test cases 2 and 14: an empty associated data.
        (
            "aes128-gcm@openssh.com",
            "00" * 16,
            "00" * 12,
            "00" * 16,
            "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf",
        ),
        (
            "aes256-gcm@openssh.com",
            "00" * 32,
            "00" * 12,
            "00" * 16,
            "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919",
        ),
    ],
)
def test_vectors(cipher: str, key: str, iv: str, plain: str, text: str) -> None:
    made = bytes.fromhex(key), bytes.fromhex(iv)
    assert encrypt(cipher, *made, bytes.fromhex(plain)).hex() == text
    assert decrypt(cipher, *made, bytes.fromhex(text)).hex() == plain


def test_chacha_has_the_key_stream_of_rfc_8439() -> None:
    """Below 2**32 blocks the RFC's layout and Bernstein's give the same stream; the tags differ."""
    key, data = bytes(range(64)), bytes(1000)
    text = encrypt("chacha20-poly1305@openssh.com", key, b"", data)
    assert text[:-16] == ChaCha20Poly1305(key[:32]).encrypt(bytes(12), data, None)[:-16]
    assert decrypt("chacha20-poly1305@openssh.com", key, b"", text) == data


@pytest.mark.parametrize("cipher", CIPHERS)
def test_round_trip(cipher: str) -> None:
    spec = CIPHERS[cipher]
    key, iv = bytes(range(spec.key_size)), bytes(range(spec.iv_size))
    data = bytes(range(160))
    text = encrypt(cipher, key, iv, memoryview(data))
    assert data not in text
    assert len(text) == len(data) + (16 if spec.aead else 0)
    assert decrypt(cipher, key, iv, memoryview(text)) == data


@pytest.mark.parametrize("cipher", [name for name, spec in CIPHERS.items() if spec.aead])
def test_a_damaged_tag_is_refused(cipher: str) -> None:
    spec = CIPHERS[cipher]
    key, iv = bytes(spec.key_size), bytes(spec.iv_size)
    text = bytearray(encrypt(cipher, key, iv, b"data"))
    for position in range(len(text)):
        damaged = bytearray(text)
        damaged[position] ^= 1
        with pytest.raises(ValueError, match="tag"):
            decrypt(cipher, key, iv, damaged)
    with pytest.raises(ValueError, match="tag"):
        decrypt(cipher, key, iv, b"short")


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("work", [encrypt, decrypt])
def test_sizes_that_are_not_the_ciphers(cipher: str, work: object) -> None:
    assert callable(work)
    spec = CIPHERS[cipher]
    with pytest.raises(ValueError, match="takes a key"):
        work(cipher, bytes(spec.key_size - 1), bytes(spec.iv_size), bytes(32))
    if spec.iv_size:
        with pytest.raises(ValueError, match=r"(?i)nonce|iv"):
            work(cipher, bytes(range(spec.key_size)), bytes(3), bytes(32))


def test_data_that_fills_no_whole_blocks() -> None:
    with pytest.raises(ValueError, match="block"):
        encrypt("aes128-cbc", bytes(16), bytes(16), bytes(17))


def test_an_unknown_cipher() -> None:
    with pytest.raises(ValueError, match="'rot13'"):
        encrypt("rot13", b"", b"", b"")
    with pytest.raises(ValueError, match="'rot13'"):
        decrypt("rot13", b"", b"", b"")
