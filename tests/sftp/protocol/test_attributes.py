"""ATTRS, and the lines of a listing."""

from __future__ import annotations

import contextlib
import os
import stat
from datetime import timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.errors import MalformedMessage
from nacre.sftp.protocol.attributes import (
    Attributes,
    Entry,
    longname,
    take_attributes,
    take_entries,
    take_names,
)
from nacre.wire.codec import WireReader, text, u32, u64

U32 = st.integers(0, 0xFFFFFFFF)
PAIR = st.none() | st.tuples(U32, U32)
NAMES = st.binary(max_size=20).map(lambda data: data.decode("utf-8", "surrogateescape"))


@st.composite
def attributes(draw: st.DrawFn) -> Attributes:
    uid, gid = draw(PAIR) or (None, None)
    atime, mtime = draw(PAIR) or (None, None)
    extended = draw(st.lists(st.tuples(NAMES, st.binary(max_size=9)), max_size=3))
    size = draw(st.none() | st.integers(0, (1 << 64) - 1))
    return Attributes(size, uid, gid, draw(st.none() | U32), atime, mtime, tuple(extended))


@given(attributes(), NAMES, NAMES)
def test_what_is_encoded_decodes(value: Attributes, name: str, shown: str) -> None:
    reader = WireReader(value.encode())
    assert take_attributes(reader) == value
    reader.end()
    entry = Entry(name, shown, value)
    packet = u32(2) + entry.encode() + entry.encode()
    assert take_entries(WireReader(packet)) == (entry, entry)


def test_the_layout_of_the_draft() -> None:
    value = Attributes(1, 2, 3, 0o644, 4, 5, (("x@y", b"z"),))
    assert value.encode().hex() == (
        "8000000f"
        "0000000000000001"
        "00000002"
        "00000003"
        "000001a4"
        "00000004"
        "00000005"
        "00000001"
        "00000003"
        "784079"
        "00000001"
        "7a"
    )
    assert Attributes().encode() == bytes(4)


@pytest.mark.parametrize("flags", [0x10, 0x20, 0x30, 0x7FFFFFF0])
def test_unknown_flags_are_ignored(flags: int) -> None:
    reader = WireReader(u32(flags | 1) + u64(7) + b"more")
    assert take_attributes(reader) == Attributes(size=7)


@pytest.mark.parametrize("size", [0, 4, 8])
@pytest.mark.parametrize("flags", [0x10, 0x20, 0x30])
def test_a_listing_with_unknown_flags_has_all_its_names(flags: int, size: int) -> None:
    """Some servers send the times that the flags stand for, and some do not."""
    more = bytes(range(1, 1 + size)) * flags.bit_count()
    member = text("a") + text("-rw-r--r-- a") + u32(flags | 5) + u64(7) + u32(0o644) + more
    expected = Entry("a", "-rw-r--r-- a", Attributes(size=7, permissions=0o644))
    assert take_entries(WireReader(u32(3) + 3 * member)) == 3 * (expected,)


@given(st.lists(st.tuples(NAMES, NAMES, attributes()), max_size=4))
def test_names_alone_are_those_of_the_entries(members: list[tuple[str, str, Attributes]]) -> None:
    entries = [Entry(*member) for member in members]
    packet = u32(len(entries)) + b"".join([entry.encode() for entry in entries])
    assert take_names(WireReader(packet)) == [entry.name for entry in entries]


@given(st.binary(max_size=80), st.integers(0, 5))
def test_names_alone_are_malformed_where_entries_are(data: bytes, count: int) -> None:
    packet = u32(count) + data
    try:
        expected = [entry.name for entry in take_entries(WireReader(packet))]
    except MalformedMessage:
        with pytest.raises(MalformedMessage):
            take_names(WireReader(packet))
    else:
        assert take_names(WireReader(packet)) == expected


def test_a_usual_member_that_is_cut_off_is_malformed() -> None:
    member = Entry("a", "l", Attributes(1, 2, 3, 4, 5, 6)).encode()
    for end in range(1, len(member)):
        with pytest.raises(MalformedMessage):
            take_names(WireReader(u32(2) + member + member[:end]))


def test_bytes_after_a_listing_are_ignored() -> None:
    member = Entry("a", "l", Attributes(size=1)).encode()
    assert [e.name for e in take_entries(WireReader(u32(1) + member + b"more"))] == ["a"]
    with pytest.raises(MalformedMessage):
        take_entries(WireReader(u32(2) + member))


def test_a_count_of_extended_attributes_is_bounded() -> None:
    with pytest.raises(MalformedMessage, match="4294967295"):
        take_attributes(WireReader(u32(0x80000000) + u32(0xFFFFFFFF)))


@given(st.binary(max_size=60))
def test_any_bytes_decode_or_are_malformed(data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        take_attributes(WireReader(data))


def test_what_goes_together() -> None:
    with pytest.raises(ValueError, match="uid and gid"):
        Attributes(uid=1)
    with pytest.raises(ValueError, match="atime without mtime"):
        Attributes(atime=1)


def test_mtime_alone_is_both_times() -> None:
    value = Attributes(mtime=5)
    assert (value.atime, value.mtime) == (5, 5)
    assert take_attributes(WireReader(value.encode())) == value


def test_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"12345")
    os.utime(path, (-7, 1 << 33))
    value = Attributes.of(path.stat())
    assert (value.size, value.atime, value.mtime) == (5, 0, 0xFFFFFFFF)
    assert value.is_file
    assert not value.is_directory
    assert not value.is_symlink
    assert Attributes.of(tmp_path.stat()).is_directory


def test_longname_has_the_columns_of_ls() -> None:
    value = Attributes(1234, 1, 2, stat.S_IFREG | 0o4750, 0, 1_700_000_000)
    line = longname("a b", value, now=1_700_000_500, user="root", group="staff", links=2)
    assert line == "-rwsr-x---   2 root     staff        1234 Nov 14 22:13 a b"
    old = longname("x", value, now=1_800_000_000, zone=timezone(timedelta(hours=2)))
    assert old == "-rwsr-x---   ? 1        2            1234 Nov 15  2023 x"
    assert longname("x", value, now=1_600_000_000).endswith("Nov 14  2023 x")
    assert longname("x", Attributes(), now=0).startswith(
        "?---------   ? ?        ?               0 Jan  1"
    )
