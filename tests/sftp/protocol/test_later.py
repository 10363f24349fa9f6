from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.errors import MalformedMessage
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes, Entry, FileDetails
from nacre.sftp.protocol.later import CHECK_ALWAYS, LATER, NO_CHECK, TEXT
from nacre.sftp.protocol.messages import FXP, OpenFlag
from nacre.wire.codec import WireReader, string, text, u8, u32, u64
from sftp.protocol.test_versions import Pair

VERSIONS = [4, 5, 6]
READ, WRITE, APPEND = OpenFlag.READ, OpenFlag.WRITE, OpenFlag.APPEND
CREAT, TRUNC, EXCL = OpenFlag.CREAT, OpenFlag.TRUNC, OpenFlag.EXCL


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "request_",
    [
        msg.Stat("f"),
        msg.LStat("f"),
        msg.SetStat("f", Attributes(permissions=0o600, atime=1, mtime=2)),
        msg.SetStat("f", Attributes(size=5, details=FileDetails(owner="a", group="b"))),
        ext.LSetStat("f", Attributes(mtime=-5)),
        msg.MkDir("d", Attributes(permissions=0o700)),
        msg.Rename("a", "b"),
        ext.PosixRename("a", "b"),
        ext.HardLink("a", "b"),
        msg.SymLink("target", "link"),
        msg.ReadLink("l"),
        msg.Remove("f"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_server_takes_what_a_client_sends(
    version: int, request_: msg.SFTPRequest[object]
) -> None:
    if isinstance(request_, msg.SymLink) and version < 6:
        request_ = msg.DraftSymLink("link", "target")
    taken = Pair(version).taken(request_)
    if isinstance(request_, msg.DraftSymLink):
        request_ = msg.SymLink("target", "link")
    assert taken == request_


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "flags",
    [READ, WRITE, READ | WRITE, WRITE | CREAT, WRITE | CREAT | TRUNC, WRITE | CREAT | EXCL,
     WRITE | TRUNC, WRITE | APPEND, READ | WRITE | CREAT | APPEND],
    ids=str,
)  # fmt: skip
def test_open_means_the_same_in_all_versions(version: int, flags: OpenFlag) -> None:
    request = msg.Open("f", flags, Attributes(permissions=0o600))
    assert Pair(version).taken(request) == request


@pytest.mark.parametrize(
    ("flags", "sent"),
    [
        (OpenFlag(0), READ),
        (APPEND, WRITE | APPEND),
        (WRITE | EXCL, WRITE),
        (WRITE | CREAT | TRUNC | EXCL, WRITE | CREAT | EXCL),
        (CREAT, READ | CREAT),
    ],
    ids=str,
)
def test_flags_of_open_that_later_versions_say_otherwise(flags: OpenFlag, sent: OpenFlag) -> None:
    assert Pair(6).taken(msg.Open("f", flags)) == msg.Open("f", sent)


def taken(version: int, kind: FXP, *fields: bytes) -> msg.SFTPRequest[Any]:
    return LATER[version].requests[kind](WireReader(b"".join(fields)))


NONE = u32(0) + b"\x01"


def test_open_with_an_access_mask() -> None:
    for access, way, flags, options in (
        (0x1, 2, READ, 0),
        (0x2, 4, WRITE | TRUNC, 0),
        (0x4, 3, WRITE | APPEND | CREAT, 0),
        (0x6, 3, WRITE | CREAT, 0),
        (0x2, 0x13, WRITE | APPEND | CREAT, 0),
        (0x1F0183, 1, READ | WRITE | CREAT | TRUNC, 0),
        (0, 2, OpenFlag(0), 0),
        (0x1, 0x22, READ, TEXT),
        (0x1, 0x62, READ, TEXT | 0x40),
        (0x1, 0x802, READ, 0x800),
    ):
        found = taken(6, FXP.OPEN, text("f"), u32(access), u32(way), NONE)
        assert found == msg.Open("f", flags, Attributes(), options), hex(way)
    for way in (5, 6, 7):
        with pytest.raises(MalformedMessage, match="disposition"):
            taken(5, FXP.OPEN, text("f"), u32(1), u32(way), NONE)


def test_version_4_opens_text_with_a_flag() -> None:
    assert taken(4, FXP.OPEN, text("f"), u32(0x41), NONE) == msg.Open("f", 0x41, Attributes(), TEXT)


def test_rename_replaces_with_a_flag() -> None:
    names = text("a"), text("b")
    assert taken(5, FXP.RENAME, *names, u32(0)) == msg.Rename("a", "b")
    assert taken(5, FXP.RENAME, *names, u32(2)) == msg.Rename("a", "b")
    for flags in (1, 3, 4):
        assert taken(6, FXP.RENAME, *names, u32(flags)) == ext.PosixRename("a", "b")
    assert taken(4, FXP.RENAME, *names) == msg.Rename("a", "b")


def test_realpath_has_a_control_byte_and_more_paths() -> None:
    for fields, path, check in (
        ([text("a")], "a", NO_CHECK),
        ([text("a"), u8(3)], "a", CHECK_ALWAYS),
        ([text("a"), u8(1), text("b"), text("../c")], "a/b/../c", NO_CHECK),
        ([text("a"), u8(1), text("/b"), text("c")], "/b/c", NO_CHECK),
    ):
        assert taken(6, FXP.REALPATH, *fields) == msg.RealPath(path, check)
    for wrong in (u8(0), u8(4), u8(1) + b"\0"):
        with pytest.raises(MalformedMessage):
            taken(6, FXP.REALPATH, text("a"), wrong)
    assert taken(5, FXP.REALPATH, text("a")) == msg.RealPath("a")
    assert Pair(6).taken(msg.RealPath("a")) == msg.RealPath("a", NO_CHECK)


def test_very_many_paths_of_one_realpath_are_joined_in_linear_time() -> None:
    parts = 60_000
    found = taken(6, FXP.REALPATH, text("a"), u8(1), text("") * parts)
    assert len(found.path) == parts + 1  # type: ignore[attr-defined]


def test_version_6_has_link_in_place_of_symlink() -> None:
    assert taken(6, FXP.LINK, text("new"), text("old"), b"\1") == msg.SymLink("old", "new")
    assert taken(6, FXP.LINK, text("new"), text("old"), b"\0") == ext.HardLink("old", "new")
    assert FXP.SYMLINK not in LATER[6].requests
    assert FXP.LINK not in LATER[5].requests
    assert not {FXP.BLOCK, FXP.UNBLOCK} & LATER[6].requests.keys()


@given(
    st.sampled_from(VERSIONS),
    st.sampled_from(sorted(LATER[6].requests)),
    st.binary(max_size=90),
)
def test_any_bytes_are_a_request_or_malformed(version: int, kind: int, data: bytes) -> None:
    take = LATER[version].requests.get(kind)
    if take is not None:
        try:
            take(WireReader(data))
        except MalformedMessage:
            return


@given(st.sampled_from(VERSIONS), st.sampled_from([*LATER[6].forms]), st.binary(max_size=90))
def test_any_bytes_are_an_answer_or_malformed(
    version: int, kind: type[msg.SFTPRequest[Any]], data: bytes
) -> None:
    if kind.ANSWER != FXP.STATUS:
        try:
            LATER[version].forms[kind].take_answer(WireReader(data))
        except MalformedMessage:
            return


# --- answers ---


@pytest.mark.parametrize("version", VERSIONS)
def test_a_listing_has_names_and_types(version: int) -> None:
    pair = Pair(version)
    pair.client.send(msg.OpenDir("d"))
    (call,) = pair.up()
    pair.server.send_handle(call.id, object())
    ((_, handle),) = pair.down()
    entries = [Entry("a", "not sent", Attributes(permissions=0o100644)), Entry("b")]
    for kind, wanted in (
        (msg.ReadDir, (Entry("a", "", Attributes(permissions=0o100644)), Entry("b"))),
        (msg.ReadNames, ["a", "b"]),
    ):
        pair.client.send(kind(handle))  # type: ignore[arg-type]
        (call,) = pair.up()
        assert pair.server.send_names(call.id, entries) == 2
        ((_, result),) = pair.down()
        assert result == wanted


def test_more_may_follow_an_answer_of_version_6() -> None:
    form = LATER[6].forms[msg.ReadNames]
    data = u32(1) + text("a") + u32(0) + b"\x01"
    assert form.take_answer(WireReader(data + b"\x01")) == ["a"]  # the end of the listing
    with pytest.raises(MalformedMessage):
        form.take_answer(WireReader(u32(0xFFFFFFFF) + data[4:]))


# --- what VERSION tells ---


def test_what_a_server_announces() -> None:
    for version, named in ((4, set()), (5, {"supported"}), (6, {"supported2", "acl-supported"})):
        pairs = Pair(version).client.extensions
        assert pairs.keys() >= {"newline", "vendor-id", "text-seek", "versions"} | named
        assert pairs.keys() >= ext.OFFERED.keys()
        assert ("filename-charset" in pairs) == (version == 6)
    assert Pair(3).client.extensions.keys() == {*ext.OFFERED, "versions"}


def test_the_masks_of_version_6_claim_neither_lists_nor_locks() -> None:
    data = Pair(6).client.extensions["supported2"].encode("utf-8", "surrogateescape")
    reader = WireReader(data)
    attributes, bits, ways, access, read = [reader.u32() for _ in range(5)]
    assert (attributes & 0x40, bits, read) == (0, 0, 0)
    assert (ways, access) == (0x3F, 0x187)
    assert reader.fixed(4) == b"\0\1\0\0"
    assert reader.u32() == 0
    names = [reader.text() for _ in range(reader.u32())]
    assert not reader.remaining
    assert {*names} == {*ext.EXTENSIONS, *ext.LATER_EXTENSIONS}


@pytest.mark.parametrize(
    ("version", "name", "head"),
    [(5, "supported", bytes(20)), (6, "supported2", bytes(24) + u32(1) + text("x") + u32(2))],
)
def test_extensions_that_a_server_names_in_one_place_only(
    version: int, name: str, head: bytes
) -> None:
    data = (head + text("fsync@openssh.com") + text("copy-data")).decode("utf-8", "surrogateescape")
    found = LATER[version].announced({name: data, "copy-data": "1"})
    assert found == {name: data, "copy-data": "1", "fsync@openssh.com": ""}
    cut = LATER[version].announced({name: data[:-1]})
    assert "fsync@openssh.com" in cut
    assert LATER[version].announced({name: ""}) == {name: ""}
    many = (head + text("") * 70_000 + b"".join(map(text, map(str, range(500))))).decode("latin-1")
    assert len(LATER[version].announced({name: many})) <= 128


def test_what_is_native_needs_no_extension() -> None:
    for version, extensions in (
        (4, set()),
        (5, {"posix-rename@openssh.com"}),
        (6, {"posix-rename@openssh.com", "hardlink@openssh.com"}),
    ):
        assert LATER[version].native == extensions
    pair = Pair(6, extensions={})
    assert pair.client.offers("hardlink@openssh.com")
    assert pair.taken(ext.HardLink("a", "b")) == ext.HardLink("a", "b")


def test_text_seek_is_a_request_of_later_versions() -> None:
    data = bytes([FXP.EXTENDED]) + u32(9) + text("text-seek") + string(b"none") + u64(1)
    pair = Pair(4)
    pair.server.receive(string(data))
    assert pair.server.next_call() is None
    assert [refusal.reason for refusal in pair.server.take_refusals()] == ["no such handle is open"]
    pair = Pair(3)
    pair.server.receive(string(data))
    assert pair.server.next_call() is None
    assert [refusal.reason for refusal in pair.server.take_refusals()] == ["it is not offered"]
