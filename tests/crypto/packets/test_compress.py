"""zlib streams: round trips, bounds, damage."""

from __future__ import annotations

import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.crypto.packets.compress import Compressor, Decompressor
from nacre.errors import DisconnectCode, RemoteProtocolError

LIMIT = 256 * 1024


@given(st.lists(st.binary(min_size=1, max_size=2000), max_size=8))
def test_each_payload_can_be_read_when_it_arrives(payloads: list[bytes]) -> None:
    there, back = Compressor(), Decompressor(2000)
    for payload in payloads:
        assert back.decompress(memoryview(there.compress(memoryview(payload)))) == payload


def test_one_stream_remembers_what_it_has_seen() -> None:
    there = Compressor()
    text = bytes(range(200))
    assert len(there.compress(text)) > len(there.compress(text)) * 5


def refused(stream: Decompressor, payload: bytes) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        stream.decompress(payload)
    assert caught.value.code is DisconnectCode.COMPRESSION_ERROR
    return str(caught.value)


def test_the_limit_is_the_last_size_taken() -> None:
    there, back = Compressor(), Decompressor(1000)
    assert back.decompress(there.compress(bytes(1000))) == bytes(1000)
    assert "1000 bytes" in refused(back, there.compress(bytes(1001)))


@pytest.mark.slow
def test_a_bomb_takes_no_memory() -> None:
    bomb = Compressor().compress(bytes(100 << 20))
    tracemalloc.start()
    try:
        refused(Decompressor(LIMIT), bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * LIMIT


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff\xff\xff\xff",
        zlib.compress(b"a stream that ends"),
        Compressor().compress(b""),
        b"",
        b"\x78",
    ],
)
def test_what_is_refused(payload: bytes) -> None:
    refused(Decompressor(LIMIT), payload)
