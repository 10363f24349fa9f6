from __future__ import annotations

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.errors import MalformedMessage
from nacre.sftp.protocol.attributes import Attributes, FileDetails
from nacre.sftp.protocol.details import (
    known_flags,
    number_of,
    put_attributes,
    take_attributes,
    take_found,
)
from nacre.wire.codec import WireReader, string, text, u32, u64

VERSIONS = [4, 5, 6]
SECONDS = st.integers(-60_000_000_000, 250_000_000_000)
PART = st.integers(0, 999_999_999)
U32 = st.integers(0, 0xFFFFFFFF)
BYTES = st.binary(max_size=9)
NAME = st.sampled_from(["text/plain", "", "\udcff", "\u0661"])


def whole(version: int) -> Attributes:
    """Return attributes of which all that a version has is set."""
    details = FileDetails(
        owner="alice",
        group="staff",
        atime_ns=1,
        mtime_ns=2,
        birthtime=-3,
        birthtime_ns=4,
        acl=b"\0\0\0\0",
    )
    if version >= 5:
        details = details._replace(bits=5)
    if version >= 6:
        details = details._replace(
            allocation_size=4096,
            ctime=6,
            ctime_ns=7,
            bits_valid=15,
            links=2,
            text_hint=1,
            mime_type="text/plain",
            untranslated_name=b"\xff",
        )
    mode = stat.S_IFREG | 0o640
    return Attributes(1 << 40, None, None, mode, 1000, 2000, (("x@y", b"z"),), details)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_encoded_decodes(version: int) -> None:
    data = put_attributes(whole(version), version)
    reader = WireReader(data + b"behind")
    assert take_found(reader, version) == whole(version)
    assert reader.rest() == b"behind"


@pytest.mark.parametrize("version", VERSIONS)
def test_what_a_version_does_not_have_is_left_out(version: int) -> None:
    assert take_found(WireReader(put_attributes(whole(6), version)), version) == whole(version)


@given(
    st.sampled_from(VERSIONS),
    st.builds(
        FileDetails,
        atime_ns=PART,
        mtime_ns=PART,
        birthtime=st.none() | SECONDS,
        birthtime_ns=st.none() | PART,
        ctime=st.none() | SECONDS,
        ctime_ns=st.none() | PART,
        owner=st.none() | NAME,
        group=st.none() | NAME,
        allocation_size=st.none() | U32,
        bits_valid=st.none() | U32,
        text_hint=st.none() | st.integers(0, 255),
        untranslated_name=st.none() | BYTES,
        acl=st.none() | BYTES,
        bits=st.none() | U32,
        links=st.none() | U32,
        mime_type=st.none() | NAME,
    ),
    st.none() | st.integers(0, (1 << 64) - 1),
    SECONDS,
    SECONDS,
)
def test_any_attributes_decode(
    version: int, details: FileDetails, size: int | None, atime: int, mtime: int
) -> None:
    found = Attributes(size, atime=atime, mtime=mtime, details=details)
    back = take_attributes(WireReader(put_attributes(found, version)), version)
    assert (back.size, back.atime, back.mtime) == (size, atime, mtime)
    assert (back.details.atime_ns, back.details.acl) == (details.atime_ns, details.acl)
    if version == 6:
        assert (back.details.links, back.details.mime_type) == (details.links, details.mime_type)


@given(st.sampled_from(VERSIONS), st.binary(max_size=120))
def test_any_bytes_decode_or_are_malformed(version: int, data: bytes) -> None:
    reader = WireReader(data)
    try:
        found = take_found(reader, version)
    except MalformedMessage:
        return
    put_attributes(found, version)
    assert len(data) >= reader.remaining


@pytest.mark.parametrize(
    ("version", "mode", "kind"),
    [
        (4, stat.S_IFREG, 1), (4, stat.S_IFDIR, 2), (4, stat.S_IFLNK, 3), (4, stat.S_IFSOCK, 4),
        (4, 0, 5), (5, stat.S_IFSOCK, 6), (6, stat.S_IFCHR, 7), (6, stat.S_IFBLK, 8),
        (6, stat.S_IFIFO, 9),
    ],
)  # fmt: skip
def test_the_type_has_a_byte_of_its_own(version: int, mode: int, kind: int) -> None:
    data = put_attributes(Attributes(permissions=mode | 0o600), version)
    assert data == u32(4) + bytes([kind]) + u32(0o600)
    found = take_found(WireReader(data), version)
    if kind not in (4, 5):
        assert found.permissions == mode | 0o600
    assert take_attributes(WireReader(data), version).permissions == 0o600


def test_special_is_no_file() -> None:
    found = take_found(WireReader(u32(0) + b"\x04"), 4)
    assert found.has_type
    assert not found.is_file


def test_version_5_has_one_word_of_bits_and_version_6_two() -> None:
    bits = Attributes(details=FileDetails(bits=3, bits_valid=7))
    assert put_attributes(bits, 5) == u32(0x200) + b"\x05" + u32(3)
    assert put_attributes(bits, 6) == u32(0x200) + b"\x05" + u32(3) + u32(7)


def test_numbers_are_sent_as_text_and_found_in_it() -> None:
    data = put_attributes(Attributes(uid=1000, gid=100), 4)
    assert data == u32(0x80) + b"\x05" + text("1000") + text("100")
    found = take_found(WireReader(data), 4)
    assert (found.uid, found.gid) == (1000, 100)
    named = take_found(WireReader(u32(0x80) + b"\x05" + text("1000") + text("staff")), 4)
    assert (named.uid, named.gid, named.details.group) == (None, None, "staff")


@pytest.mark.parametrize(
    ("name", "number"),
    [("0", 0), ("4294967295", 0xFFFFFFFF), ("4294967296", None), ("", None), ("-1", None),
     ("1 ", None), ("\u0661", None), ("9" * 5000, None), (None, None)],
)  # fmt: skip
def test_numbers_that_stand_for_names(name: str | None, number: int | None) -> None:
    assert number_of(name) == number


def test_one_time_may_come_without_the_other() -> None:
    found = take_attributes(WireReader(u32(0x20) + b"\x05" + u64(7)), 4)
    assert (found.atime, found.mtime, found.times_ns) == (None, 7, None)


@pytest.mark.parametrize("version", VERSIONS)
def test_flags_that_the_version_does_not_have(version: int) -> None:
    for bit in range(32):
        if not known_flags(version) & 1 << bit:
            with pytest.raises(MalformedMessage, match="unknown to the version"):
                take_attributes(WireReader(u32(1 << bit) + bytes(64)), version)


def test_times_are_such_that_a_date_can_be_made_of_them() -> None:
    most = take_attributes(WireReader(u32(0x28) + b"\x05" + u64(1 << 63) + u64((1 << 63) - 1)), 4)
    assert (most.atime or 0) < 0 < (most.mtime or 0)
    assert max(abs(most.atime or 0), most.mtime or 0) < 10**12
    with pytest.raises(MalformedMessage, match="nanoseconds"):
        take_attributes(WireReader(u32(0x108) + b"\x05" + u64(1) + u32(10**9)), 4)


def test_numbers_out_of_range() -> None:
    for wrong in (
        Attributes(size=1 << 64),
        Attributes(mtime=1 << 63),
        Attributes(details=FileDetails(links=-1)),
    ):
        with pytest.raises(ValueError, match="out of range"):
            put_attributes(wrong, 6)


def test_extended_attributes_are_bounded() -> None:
    with pytest.raises(MalformedMessage, match="extended attributes"):
        take_attributes(WireReader(u32(0x80000000) + b"\x05" + u32(1 << 31) + string(b"")), 6)


def test_nothing_to_set_may_have_no_type() -> None:
    assert take_attributes(WireReader(u32(0)), 6) == Attributes()
    with pytest.raises(MalformedMessage):
        take_attributes(WireReader(u32(1)), 6)
