"""RSA as SSH-1 has it."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache

import pytest

from nacre.crypto.signatures.rsa1 import RSA1Signer, RSA1Verifier, fields
from nacre.errors import KeyFormatError


def draw(seed: int) -> Callable[[int], bytes]:
    return random.Random(seed).randbytes


@cache
def signer(bits: int = 768) -> RSA1Signer:
    return RSA1Signer.generate(bits, draw(bits))


@pytest.mark.parametrize("bits", [512, 768, 769])
def test_made_keys_have_their_size_and_work(bits: int) -> None:
    key = signer(bits)
    assert key.verifier.n.bit_length() == bits
    text = key.verifier.encrypt(b"0123456789abcdef0123456789abcdef", draw(1))
    assert key.decrypt(text, 32, draw(2)) == b"0123456789abcdef0123456789abcdef"


def test_the_same_randomness_makes_the_same_key() -> None:
    assert RSA1Signer.generate(512, draw(5)).numbers == RSA1Signer.generate(512, draw(5)).numbers


def test_generated_by_the_library() -> None:
    key = RSA1Signer.generate(1024)
    text = key.verifier.encrypt(b"message", draw(1))
    assert key.decrypt(text, 7, draw(2)) == b"message"


def test_leading_zeros_are_put_back() -> None:
    key = signer()
    text = key.verifier.encrypt(b"\1short", draw(1))
    assert key.decrypt(text, 8, draw(2)) == b"\0\0\1short"


def _raw(block: bytes) -> int:
    key = signer().verifier
    return pow(int.from_bytes(block, "big"), key.e, key.n)


@pytest.mark.parametrize(
    "block",
    [
        b"\0\1" + b"\x07" * 61 + b"\0" + bytes(32),
        b"\1\2" + b"\x07" * 61 + b"\0" + bytes(32),
        b"\0\2" + b"\x07" * 94,
        b"\0\2" + b"\x07" * 7 + b"\0" + bytes(86),
        b"\0\2" + b"\x07" * 30 + b"\0" + b"\x09" * 63,
        bytes(96),
    ],
    ids=["type 1", "no zero", "no end", "short padding", "long message", "nothing"],
)
def test_wrong_padding_gives_random_bytes_and_no_error(block: bytes) -> None:
    """Nothing tells who sent it that the padding was wrong (Bleichenbacher, 1998)."""
    assert signer().decrypt(_raw(block), 32, draw(9)) == draw(9)(32)


def test_numbers_out_of_range_give_random_bytes() -> None:
    key = signer()
    for text in (0, 1, key.numbers.n, key.numbers.n - 1, key.numbers.n * 3 + 7):
        assert len(key.decrypt(text, 32, draw(9))) == 32


def test_a_message_has_to_fit() -> None:
    key = signer(512).verifier
    key.encrypt(bytes(64 - 11), draw(1))
    with pytest.raises(ValueError, match="do not fit"):
        key.encrypt(bytes(64 - 10), draw(1))


@pytest.mark.parametrize(
    ("n", "e"),
    [
        ((1 << 511) - 1, 65537),
        ((1 << 8192) + 1, 65537),
        (1 << 767, 65537),
        ((1 << 767) + 1, 65536),
        ((1 << 767) + 1, 1),
        ((1 << 767) + 1, (1 << 64) + 1),
        (0, 0),
    ],
    ids=["small", "huge", "even", "even exponent", "exponent 1", "huge exponent", "zero"],
)
def test_numbers_that_make_no_key(n: int, e: int) -> None:
    with pytest.raises(KeyFormatError):
        RSA1Verifier(n, e)


def test_what_fingerprints_are_of() -> None:
    key = RSA1Verifier((1 << 512) + 1, 35)
    assert fields(key) == b"\1" + bytes(63) + b"\1" + b"\x23"
