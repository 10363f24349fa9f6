"""The one event that is no value: data compares by its bytes, and does not show them."""

from __future__ import annotations

import pytest

from nacre.protocol.events import Data, Writable


def test_data_compares_by_channel_stream_and_bytes() -> None:
    assert Data(1, b"abc") == Data(1, memoryview(bytearray(b"abc")), 0)
    assert Data(1, b"abc") != Data(1, b"abd")
    assert Data(1, b"abc") != Data(2, b"abc")
    assert Data(1, b"abc") != Data(1, b"abc", 1)
    assert Data(1, b"abc") != Writable(1)


def test_data_has_no_hash_since_its_buffer_may_change() -> None:
    with pytest.raises(TypeError):
        hash(Data(1, b"abc"))


def test_data_shows_its_size_alone() -> None:
    assert repr(Data(3, b"secret", 1)) == "Data(channel=3, 6 bytes, stream=1)"
