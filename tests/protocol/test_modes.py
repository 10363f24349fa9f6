"""Encoded terminal modes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.protocol.modes import Mode, decode, encode


def test_encode_is_opcodes_with_uint32_arguments_and_an_end():
    data = encode({Mode.VINTR: 3, Mode.TTY_OP_OSPEED: 38400})
    assert data == b"\x01\x00\x00\x00\x03\x81\x00\x00\x96\x00\x00"


def test_nothing_is_just_the_end():
    assert encode({}) == b"\x00"
    assert decode(b"\x00") == decode(b"") == {}


@pytest.mark.parametrize("mode", [(0, 1), (160, 1), (-1, 1), (1, -1), (1, 1 << 32)])
def test_what_has_no_encoding_is_refused(mode):
    with pytest.raises(ValueError, match="can't be encoded"):
        encode(dict([mode]))


@pytest.mark.parametrize("tail", [b"\x00", b"\xa0\x01", b"\xff", b"", b"\x02\x00\x00\x00"])
def test_decoding_ends_where_nothing_is_known_and_keeps_what_came_before(tail):
    assert decode(b"\x35\x00\x00\x00\x01" + tail) == {Mode.ECHO: 1}


def test_modes_behind_the_end_do_not_count():
    assert decode(b"\x00\x35\x00\x00\x00\x01") == {}


@given(st.dictionaries(st.integers(1, 159), st.integers(0, 0xFFFFFFFF)))
def test_round_trip(modes):
    assert decode(encode(modes)) == modes


@given(st.binary(max_size=4096))
def test_any_bytes_decode_to_something_bounded(data):
    assert len(decode(memoryview(data))) <= 159


def test_numbers_of_rfc_4254_and_8160():
    assert (Mode.VDISCARD, Mode.IGNPAR, Mode.IUTF8, Mode.ISIG) == (18, 30, 42, 50)
    assert (Mode.PENDIN, Mode.OPOST, Mode.ONLRET, Mode.CS7, Mode.PARODD) == (62, 70, 75, 90, 93)
