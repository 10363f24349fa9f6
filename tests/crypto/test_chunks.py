"""Chunks of encrypted files."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.crypto.chunks import (
    CHUNK,
    HEADER,
    KEY_SIZE,
    OVERHEAD,
    SEALED,
    FileCipher,
    content_size,
    key_id,
)

KEY = bytes(range(KEY_SIZE))


def test_a_chunk_opens_where_it_was_written_and_nowhere_else() -> None:
    cipher = FileCipher.new(KEY, os.urandom)
    sealed = cipher.seal(b"content", 3, last=True)
    assert len(sealed) == len(b"content") + OVERHEAD
    again = FileCipher(KEY, cipher.header, os.urandom)
    assert again.open(sealed, 3, last=True) == b"content"
    other = FileCipher.new(KEY, os.urandom)
    for opener, chunk, number, last in (
        (cipher, sealed, 4, True),
        (cipher, sealed, 3, False),
        (cipher, sealed[:-1], 3, True),
        (cipher, sealed + b"x", 3, True),
        (cipher, b"", 3, True),
        (cipher, sealed[:20], 3, True),
        (other, sealed, 3, True),
    ):
        with pytest.raises(ValueError, match=f"chunk {number} was changed or cut off"):
            opener.open(chunk, number, last=last)
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(ValueError, match="chunk 3"):
            cipher.open(bytes(changed), 3, last=True)


def test_no_two_files_and_no_two_writes_are_alike() -> None:
    first, second = FileCipher.new(KEY, os.urandom), FileCipher.new(KEY, os.urandom)
    assert first.header != second.header
    assert first.seal(b"x", 0, last=True) != first.seal(b"x", 0, last=True)


def test_a_header_is_of_its_key() -> None:
    header = FileCipher.new(KEY, os.urandom).header
    assert len(header) == HEADER
    with pytest.raises(ValueError, match="another key"):
        FileCipher(bytes(KEY_SIZE), header, os.urandom)
    for bad in (b"", header[:-1], header + b"x", b"x" * HEADER):
        with pytest.raises(ValueError, match="not encrypted, or was cut off"):
            FileCipher(KEY, bad, os.urandom)
    assert key_id(KEY) in header
    assert KEY not in header


@given(st.integers(0, 5 * CHUNK))
def test_the_size_of_the_content(size: int) -> None:
    chunks = max(1, -(-size // CHUNK))
    assert content_size(HEADER + size + chunks * OVERHEAD) == size


@pytest.mark.parametrize("size", [0, 1, HEADER, HEADER + 1, HEADER + OVERHEAD])
def test_what_is_too_short_has_no_content(size: int) -> None:
    assert content_size(size) == 0
    assert content_size(HEADER + SEALED + 1) in (0, CHUNK - OVERHEAD + 1)


def test_vectors() -> None:
    """The format does not change: files that were written stay readable."""
    counted = iter([bytes(range(32)), bytes(range(12))])
    cipher = FileCipher.new(KEY, lambda size: next(counted))
    assert cipher.header.hex() == HEADER_HEX
    assert cipher.seal(b"nacre", 1, last=True).hex() == CHUNK_HEX


HEADER_HEX = (
    "4e61637265456e3191674f4f77b71b350001020304050607"
    "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
)
CHUNK_HEX = "000102030405060708090a0b5dcd47eec53506827b8481fd7b449a04309044bb82"
