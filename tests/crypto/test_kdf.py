"""RFC 4253 section 7.2."""

from __future__ import annotations

from hashlib import sha1, sha256

import pytest

from nacre.crypto.kdf import derive

K, H, ID = b"\0\0\0\x01\x05", b"h" * 20, b"s" * 20


def test_keys_longer_than_the_hash_are_chained() -> None:
    first = sha1(K + H + b"C" + ID).digest()
    second = sha1(K + H + first).digest()
    third = sha1(K + H + first + second).digest()
    assert derive("sha1", K, H, b"C", ID, 60) == first + second + third
    assert derive("sha1", K, H, b"C", ID, 41) == (first + second + third)[:41]


@pytest.mark.parametrize("size", [0, 1, 31, 32])
def test_short_keys_are_the_start_of_one_hash(size: int) -> None:
    assert derive("sha256", K, H, b"A", ID, size) == sha256(K + H + b"A" + ID).digest()[:size]


def test_each_letter_gives_another_key() -> None:
    assert len({derive("sha512", K, H, bytes((c,)), ID, 64) for c in b"ABCDEF"}) == 6
