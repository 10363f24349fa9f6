from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.errors import MalformedMessage
from nacre.wire import codec
from nacre.wire.codec import WireReader

# RFC 4251 section 5 gives these mpints.
MPINTS = {
    0: "00000000",
    0x9A378F9B2E332A7: "0000000809a378f9b2e332a7",
    0x80: "000000020080",
    -0x1234: "00000002edcc",
    -0xDEADBEEF: "00000005ff21524111",
}


@pytest.mark.parametrize(("value", "data"), MPINTS.items())
def test_mpint_of_the_rfc(value: int, data: str) -> None:
    assert codec.mpint(value).hex() == data
    assert WireReader(bytes.fromhex(data)).mpint() == value


@given(st.integers())
def test_mpint_round_trip_is_shortest(value: int) -> None:
    encoded = codec.mpint(value)
    assert WireReader(encoded).mpint() == value
    body = encoded[4:]
    assert len(body) < 2 or body[0] not in (0, 0xFF) or (body[0] ^ body[1]) & 0x80


@given(
    st.integers(0, 255),
    st.booleans(),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**64 - 1),
    st.binary(),
    st.text(alphabet=st.characters(codec="utf-8")),
)
def test_round_trip(a: int, b: bool, c: int, d: int, e: bytes, f: str) -> None:
    reader = WireReader(
        codec.u8(a)
        + codec.boolean(b)
        + codec.u32(c)
        + codec.u64(d)
        + codec.string(e)
        + codec.text(f)
        + b"rest"
    )
    assert (reader.u8(), reader.boolean(), reader.u32(), reader.u64()) == (a, b, c, d)
    assert (reader.string(), reader.text(), reader.rest()) == (e, f, b"rest")
    reader.end()


@pytest.mark.parametrize(
    ("data", "take"),
    [
        (b"", "u8"),
        (b"", "boolean"),
        (b"\0\0\0", "u32"),
        (b"\0" * 7, "u64"),
        (b"\0\0\0", "string"),
        (b"\0\0\0\5abcd", "string"),
        (b"\xff\xff\xff\xff", "string"),
        (b"\0\0\0\2a", "mpint"),
        (b"\0", "mpint1"),
        (b"\0\x09a", "mpint1"),
        (b"\xff\xffabc", "mpint1"),
    ],
)
def test_malformed(data: bytes, take: str) -> None:
    with pytest.raises(MalformedMessage):
        getattr(WireReader(data), take)()


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("0000", 0),
        ("0001 01", 1),
        ("0009 01ff", 0x1FF),
        ("0010 01ff", 0x1FF),  # PuTTY rounds up to whole bytes
        ("0018 0001ff", 0x1FF),
        ("0003 ff", 0xFF),  # a peer that counts too few
    ],
)
def test_numbers_of_ssh1_whose_bits_are_counted_in_other_ways(data: str, value: int) -> None:
    reader = WireReader(bytes.fromhex(data))
    assert reader.mpint1() == value
    reader.end()


@given(st.integers(0, (1 << 2000) - 1))
def test_numbers_of_ssh1(value: int) -> None:
    made = codec.mpint1(value)
    assert made[:2] == value.bit_length().to_bytes(2, "big")
    assert WireReader(made).mpint1() == value


@pytest.mark.parametrize("value", [-1, 1 << 65535], ids=["negative", "too long"])
def test_numbers_that_ssh1_can_not_carry(value: int) -> None:
    with pytest.raises(ValueError, match="SSH-1"):
        codec.mpint1(value)


def test_the_longest_number_that_ssh1_can_carry() -> None:
    longest = (1 << 65535) - 1
    assert WireReader(codec.mpint1(longest)).mpint1() == longest


def test_an_error_says_how_much_is_there() -> None:
    reader = WireReader(b"\7" + b"\0\0\0\5abcd")
    assert (reader.u8(), reader.remaining) == (7, 8)
    with pytest.raises(MalformedMessage, match="a field of 5 bytes is cut off after 4"):
        reader.string()


def test_bytes_behind_the_last_field_are_malformed() -> None:
    with pytest.raises(MalformedMessage, match="2 bytes follow"):
        WireReader(b"ab").end()


def test_any_nonzero_byte_is_true() -> None:
    assert WireReader(b"\x42").boolean() is True


def test_text_keeps_bytes_that_are_no_utf8() -> None:
    text = WireReader(codec.string(b"a\xff")).text()
    assert codec.text(text) == codec.string(b"a\xff")


def test_string_is_not_a_view() -> None:
    buffer = bytearray(codec.string(b"abc"))
    value = WireReader(memoryview(buffer)).string()
    buffer[:] = bytes(len(buffer))
    assert value == b"abc"


def test_name_list() -> None:
    assert WireReader(codec.name_list(["a", "b@c"])).name_list() == ("a", "b@c")
    assert WireReader(codec.name_list([])).name_list() == ()


@pytest.mark.parametrize(
    "content",
    [b"a,b,", b",a,b", b"a,,b", b",,a,,,b,,", b"a,x y,b", b"a,\x7f,b", b"a,\xc3\xa9,b", b"a,\0,b"],
)
def test_what_is_not_a_name_is_left_out_of_a_name_list(content: bytes) -> None:
    assert codec.names(content) == ("a", "b")
    assert WireReader(codec.string(content)).name_list() == ("a", "b")


@pytest.mark.parametrize("content", [b"", b",", b",,,", b" "])
def test_a_name_list_without_names(content: bytes) -> None:
    assert codec.names(content) == ()
