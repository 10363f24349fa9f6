"""Requests as bytes and back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.errors import MalformedMessage
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.extensions import EXTENSIONS
from nacre.sftp.protocol.messages import REQUESTS, SFTPRequest
from nacre.wire.codec import WireReader, text, u32, u64

NAMES = st.binary(max_size=20).map(lambda data: data.decode("utf-8", "surrogateescape"))
EVERY = [*REQUESTS.values(), *EXTENSIONS.values()]
OF_TYPE = {
    "Text": NAMES,
    "U32": st.integers(0, 0xFFFFFFFF),
    "int": st.just(0),
    "U64": st.integers(0, (1 << 64) - 1),
    "String": st.binary(max_size=5).map(lambda data: data * 4),
    "StringData": st.binary(max_size=30),
    "FileHandle": st.binary(max_size=9),
    "DirectoryHandle": st.binary(max_size=9),
    "AnyHandle": st.binary(max_size=9),
    "Attrs": st.sampled_from([Attributes(), Attributes(size=7), Attributes(permissions=0o755)]),
}


@st.composite
def requests(draw: st.DrawFn) -> SFTPRequest[Any]:
    cls = draw(st.sampled_from(EVERY))
    return cls(*[draw(OF_TYPE[cls.__annotations__[name]]) for name in cls.__match_args__])


@given(requests())
def test_what_is_encoded_decodes(request_: SFTPRequest[Any]) -> None:
    encoded = request_.encode()
    assert type(request_).decode(WireReader(encoded)) == request_
    # What follows the last field is left in the reader.
    reader = WireReader(encoded + b"x")
    assert type(request_).decode(reader) == request_
    assert reader.rest() == b"x"


@given(st.sampled_from(EVERY), st.binary(max_size=80))
def test_any_bytes_decode_or_are_malformed(cls: type[SFTPRequest[Any]], data: bytes) -> None:
    reader = WireReader(data)
    try:
        decoded = cls.decode(reader)
    except MalformedMessage:
        return
    # Attributes have one encoding for their flags, so what was read is written likewise.
    assert decoded.encode() + bytes(reader.rest()) == data


@given(st.sampled_from(EVERY), st.binary(max_size=80))
def test_any_bytes_are_an_answer_or_malformed(cls: type[SFTPRequest[Any]], data: bytes) -> None:
    if cls.ANSWER != msg.FXP.STATUS:
        try:
            cls.decode_answer(WireReader(data))
        except MalformedMessage:
            return


def test_every_type_of_the_draft_is_there() -> None:
    assert sorted(REQUESTS) == list(range(3, 21))
    assert {ext.announced_as(name) for name in EXTENSIONS} == set(ext.OFFERED)


@pytest.mark.parametrize(
    ("request_", "data"),
    [
        (msg.Open("a", 9), "00000001610000000900000000"),
        (msg.Read(b"h", 1, 2), "0000000168000000000000000100000002"),
        (msg.Write(b"h", 1, b"xy"), "00000001680000000000000001000000027879"),
        (msg.SymLink("target", "link"), "00000006746172676574000000046c696e6b"),
        (
            ext.CopyData(b"a", 1, 2, b"b", 3),
            "00000001610000000000000001000000000000000200000001620000000000000003",
        ),
        (ext.UsersGroupsById.of((0, 1), (2,)), "0000000800000000000000010000000400000002"),
        (
            ext.CheckFileHandle(b"h", "sha256", 1, 2, 256),
            "0000000168000000067368613235360000000000000001000000000000000200000100",
        ),
    ],
)
def test_layouts(request_: SFTPRequest[Any], data: str) -> None:
    assert request_.encode().hex() == data


def test_a_names_answer_with_a_false_count() -> None:
    with pytest.raises(MalformedMessage):
        msg.ReadDir.decode_answer(WireReader(u32(0xFFFFFFFF) + text("a") + text("b") + u32(0)))
    with pytest.raises(MalformedMessage, match="has not one entry"):
        msg.RealPath.decode_answer(WireReader(u32(2) + (text("a") + text("b") + u32(0)) * 2))


def test_a_handle_is_bounded() -> None:
    with pytest.raises(MalformedMessage, match="300"):
        msg.Open.decode_answer(WireReader(u32(300) + bytes(300)))


def test_both_forms_of_the_hashes() -> None:
    expected = ext.FileHashes("sha256", b"\1\2")
    drafts = text("sha256") + b"\1\2"
    assert ext.CheckFileName.decode_answer(WireReader(drafts)) == expected
    assert ext.CheckFileName.decode_answer(WireReader(text("check-file") + drafts)) == expected


def test_numbers_that_are_not_whole() -> None:
    with pytest.raises(MalformedMessage, match="not a multiple of 4"):
        ext.UsersGroupsById.decode(WireReader(u32(3) + bytes(3) + u32(0)))


def test_limits_as_openssh_sends_them() -> None:
    answer = u64(262144) + u64(261120) + u64(261120) + u64(1019)
    found = ext.LimitsRequest.decode_answer(WireReader(answer))
    assert (found.packet, found.read, found.write, found.handles) == (262144, 261120, 261120, 1019)


def test_extension_pairs_are_bounded() -> None:
    pair = text("a") + text("1")
    assert ext.take_pairs(WireReader(pair * 128)) == {"a": "1"}
    with pytest.raises(MalformedMessage, match="more than 128"):
        ext.take_pairs(WireReader(pair * 129))
