"""A client, and servers that break the rules."""

from __future__ import annotations

import contextlib
import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.errors import (
    LocalProtocolError,
    MalformedMessage,
    RemoteProtocolError,
    SFTPError,
    VersionError,
)
from nacre.limits import SFTPLimits
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes, Entry
from nacre.sftp.protocol.client import SFTPClientProtocol
from nacre.sftp.protocol.messages import FXP
from nacre.wire.codec import string, text, u8, u32, u64


def packet(kind: int, *fields: bytes) -> bytes:
    return string(u8(kind) + b"".join(fields))


VERSION = packet(FXP.VERSION, u32(3))


def ready(limits: SFTPLimits | None = None) -> SFTPClientProtocol:
    client = SFTPClientProtocol(limits or SFTPLimits())
    assert b"".join(client.data_to_send()) == b"\0\0\0\x05\x01\0\0\0\x03"
    assert client.receive(VERSION) == []
    return client


def status(number: int, code: int, message: str = "") -> bytes:
    return packet(FXP.STATUS, u32(number), u32(code), text(message), text("en"))


def test_answers_in_any_order() -> None:
    client = ready()
    first, second = client.send(msg.Remove("/a")), client.send(msg.Remove("/b"))
    results = client.receive(status(second, 0) + status(first, 2, "No such file"))
    assert results[0] == (second, None)
    assert results[1][0] == first
    assert isinstance(results[1][1], FileNotFoundError)
    assert client.waiting == 0


def test_read_and_write_as_bytes() -> None:
    client = ready()
    number = client.send_read(b"hh", 5, 6)
    data = b"content"
    client.send_write(b"hh", 7, data)
    pieces = client.data_to_send()
    assert pieces[0] == packet(FXP.READ, u32(number), msg.Read(b"hh", 5, 6).encode())
    assert b"".join(pieces[1:]) == packet(
        FXP.WRITE, u32(number + 1), msg.Write(b"hh", 7, data).encode()
    )
    assert pieces[2] is data


@pytest.mark.parametrize("number", [0, 2, 0xFFFFFFFF])
def test_an_answer_to_nothing(number: int) -> None:
    client = ready()
    client.send(msg.Remove("/a"))
    with pytest.raises(RemoteProtocolError, match="does not wait"):
        client.receive(status(number, 0))


def test_a_second_answer() -> None:
    client = ready()
    number = client.send(msg.Remove("/a"))
    with pytest.raises(RemoteProtocolError, match="does not wait"):
        client.receive(status(number, 0) + status(number, 0))
    with pytest.raises(LocalProtocolError, match="ended"):
        client.receive(status(number, 0))
    with pytest.raises(LocalProtocolError):
        client.send(msg.Remove("/a"))


BROKEN: list[tuple[msg.SFTPRequest[object], int, bytes]] = [
    (msg.Stat("/"), FXP.HANDLE, string(b"x")),
    (msg.Stat("/"), FXP.STATUS, u32(0) + text("") + text("")),
    (msg.Open("/", 1), FXP.DATA, string(b"x")),
    (msg.Open("/", 1), FXP.HANDLE, string(bytes(257))),
    (msg.Remove("/"), FXP.ATTRS, u32(0)),
    (msg.Remove("/"), 199, b""),
    (msg.Remove("/"), FXP.STATUS, b""),
    (msg.ReadDir(b"h"), FXP.ATTRS, u32(0)),
    (msg.ReadDir(b"h"), FXP.NAME, u32(2) + text("a") + text("a") + u32(0)),
    (msg.RealPath("."), FXP.NAME, u32(0)),
    (msg.Stat("/"), FXP.ATTRS, b""),
    (msg.Stat("/"), FXP.ATTRS, u32(1) + b"short"),
    (msg.Stat("/"), FXP.ATTRS, u32(0x80000000) + u32(0xFFFFFFFF)),
]


@pytest.mark.parametrize(("request_", "kind", "fields"), BROKEN)
def test_an_answer_that_does_not_decode_fails_its_request_alone(
    request_: msg.SFTPRequest[object], kind: int, fields: bytes
) -> None:
    client = ready()
    number = client.send(request_)
    other = client.send(msg.Remove("/b"))
    ((answered, result), rest) = client.receive(
        packet(kind, u32(number), fields) + status(other, 0)
    )
    assert answered == number
    assert isinstance(result, SFTPError)
    assert result.errno == errno.EBADMSG
    assert type(request_).__name__.upper() in str(result)
    assert rest == (other, None)


BEHIND: list[tuple[msg.SFTPRequest[object], int, bytes, object]] = [
    (msg.Stat("/"), FXP.ATTRS, u32(1) + u64(5), Attributes(size=5)),
    (msg.Stat("/"), FXP.STATUS, u32(2) + text("a") + text("b"), None),
    (msg.Remove("/"), FXP.STATUS, u32(0) + text("a") + text("b"), None),
    (msg.Remove("/"), FXP.STATUS, u32(0) + text("a"), None),
    (msg.Remove("/"), FXP.STATUS, u32(0), None),
    (msg.Open("/", 1), FXP.HANDLE, string(b"h"), b"h"),
    (msg.RealPath("."), FXP.NAME, u32(1) + text("/h") + text("/h") + u32(0x30), "/h"),
    (msg.RealPath("."), FXP.NAME, u32(1) + text("/h"), "/h"),
    (msg.ReadDir(b"h"), FXP.NAME, u32(1) + text("a") + text("l") + u32(0), (Entry("a", "l"),)),
    (ext.StatVFS("/"), FXP.EXTENDED_REPLY, bytes(88), ext.FileSystemStatus(*[0] * 11)),
    (ext.LimitsRequest(), FXP.EXTENDED_REPLY, bytes(32), ext.ServerLimits(0, 0, 0, 0)),
]


@pytest.mark.parametrize("behind", [b"", b"\x01", bytes(9)])
@pytest.mark.parametrize(("request_", "kind", "fields", "expected"), BEHIND)
def test_what_follows_the_last_field_is_ignored(
    request_: msg.SFTPRequest[object], kind: int, fields: bytes, expected: object, behind: bytes
) -> None:
    client = SFTPClientProtocol()
    offers = text("limits@openssh.com") + text("1") + text("statvfs@openssh.com") + text("2")
    client.receive(packet(FXP.VERSION, u32(3), offers))
    number = client.send(request_)
    ((answered, result),) = client.receive(packet(kind, u32(number), fields, behind))
    assert answered == number
    if kind == FXP.STATUS and fields[:4] == u32(2):
        assert isinstance(result, FileNotFoundError)
    else:
        assert result == expected


@pytest.mark.parametrize(
    "fields",
    [string(b"abcd"), u32(9) + b"abc", b""],
    ids=["more than asked", "cut off", "no length"],
)
def test_data_of_a_wrong_length_fails_its_read_alone(fields: bytes) -> None:
    client = ready()
    number = client.send_read(b"h", 0, 3)
    ((_, result),) = client.receive(packet(FXP.DATA, u32(number), fields))
    assert isinstance(result, SFTPError)
    assert "READ" in str(result)


@pytest.mark.parametrize("cut", [0, 13, 14, 16, 18, 20])
def test_bytes_behind_the_data_are_ignored(cut: int) -> None:
    client = ready()
    number = client.send_read(b"h", 0, 3)
    whole = packet(FXP.DATA, u32(number), string(b"abc"), b"behind")
    results = client.receive(whole[:cut]) + client.receive(whole[cut:])
    ((_, result),) = results
    assert isinstance(result, list)
    assert b"".join(result) == b"abc"


def test_read_and_write_answered_by_something_else() -> None:
    client = ready()
    number = client.send_write(b"h", 0, b"x")
    ((_, result),) = client.receive(packet(FXP.DATA, u32(number), string(b"x")))
    assert isinstance(result, SFTPError)
    assert "WRITE" in str(result)
    number = client.send_read(b"h", 0, 1)
    ((_, result),) = client.receive(status(number, 0))
    assert isinstance(result, SFTPError)
    assert "READ" in str(result)


@pytest.mark.parametrize("cut", [1, 4, 8, 12, 13, 14, 100])
def test_data_that_comes_in_portions(cut: int) -> None:
    client = ready()
    number = client.send_read(b"h", 0, 300)
    content = bytes(range(256))
    data = packet(FXP.DATA, u32(number), string(content))
    portions = [data[:cut], data[cut:200], data[200:]]
    assert client.receive(portions[0]) == client.receive(portions[1]) == []
    [(answered, parts)] = client.receive(portions[2])
    assert answered == number
    assert isinstance(parts, list)
    assert b"".join(parts) == content
    if cut >= 13:  # Behind the head nothing is copied.
        assert parts[-1].obj is portions[2]


def test_ends_of_files() -> None:
    client = ready()
    numbers = [client.send_read(b"h", 0, 3), client.send_read(b"h", 0, 3)]
    numbers.append(client.send(msg.ReadDir(b"h")))
    numbers.append(client.send(msg.ReadDir(b"h")))
    results = client.receive(
        status(numbers[0], 1)
        + packet(FXP.DATA, u32(numbers[1]), string(b""))
        + status(numbers[2], 1)
        + packet(FXP.NAME, u32(numbers[3]), u32(0))
    )
    assert results == [(number, None) for number in numbers]


def test_a_status_without_texts() -> None:
    client = ready()
    numbers = [client.send(msg.Remove("/a")), client.send_write(b"h", 0, b"x")]
    results = dict(client.receive(b"".join(packet(101, u32(n), u32(4)) for n in numbers)))
    assert all(isinstance(result, SFTPError) for result in results.values())


@pytest.mark.parametrize("version", [0, 2, 4, 6])
def test_other_versions(version: int) -> None:
    with pytest.raises(VersionError, match=f"version {version}"):
        SFTPClientProtocol().receive(packet(FXP.VERSION, u32(version)))


def test_no_sftp_server_at_all() -> None:
    with pytest.raises(RemoteProtocolError, match="may not be an SFTP server"):
        SFTPClientProtocol().receive(status(0, 0))


def test_extensions_that_do_not_decode_are_not_offered() -> None:
    client = SFTPClientProtocol()
    client.receive(packet(FXP.VERSION, u32(3), text("limits@openssh.com"), b"\0\0"))
    assert client.ready
    assert not client.extensions


@pytest.mark.parametrize("cut", [0, 2, 3])
def test_text_before_version_is_shown_with_where_it_may_come_from(cut: int) -> None:
    noise = b"Welcome\x1b[31m\n" + b"x" * 300
    client = SFTPClientProtocol()
    if cut:
        client.receive(noise[:cut])
    with pytest.raises(RemoteProtocolError, match=r"bashrc") as caught:
        client.receive(noise[cut:])
    assert "'Welc" in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_few_characters_before_the_end_are_shown() -> None:
    client = SFTPClientProtocol()
    client.receive(b"Hi\n")
    with pytest.raises(RemoteProtocolError, match=r"'Hi\\x0a'"):
        client.receive_eof()


def test_what_may_not_be_sent() -> None:
    with pytest.raises(LocalProtocolError, match="before VERSION"):
        SFTPClientProtocol().send(msg.Stat("/"))
    client = ready(SFTPLimits(pending=2))
    assert client.room == 2
    with pytest.raises(LocalProtocolError, match="does not offer"):
        client.send(ext.StatVFS("/"))
    with pytest.raises(LocalProtocolError, match="larger"):
        client.send(msg.Stat("/" * 300_000))
    with pytest.raises(LocalProtocolError, match="larger"):
        client.send_write(b"h", 0, bytes(257 * 1024))
    for length in (0, 255 * 1024 + 1):
        with pytest.raises(LocalProtocolError, match="READ"):
            client.send_read(b"h", 0, length)
    for offset in (-1, 1 << 64):
        with pytest.raises(LocalProtocolError, match="no offset"):
            client.send_read(b"h", offset, 1)
        with pytest.raises(LocalProtocolError, match="no offset"):
            client.send_write(b"h", offset, b"x")
    with pytest.raises(ValueError, match="out of range"):
        client.send(msg.SetStat("/", Attributes(atime=-1, mtime=1 << 40)))
    assert client.waiting == 0
    client.send(msg.Stat("/"))
    client.send_read(b"h", 0, 1)
    with pytest.raises(LocalProtocolError, match="2 requests wait"):
        client.send(msg.Stat("/"))
    assert client.room == 0


def test_ids_go_round_and_skip_what_waits() -> None:
    client = ready()
    waiting = client.send(msg.Stat("/"))
    client._last_id = 0xFFFFFFFE
    assert [client.send(msg.Stat("/")) for _ in range(3)] == [0xFFFFFFFF, 0, waiting + 1]


def test_the_stream_ends() -> None:
    ready().receive_eof()
    with pytest.raises(RemoteProtocolError, match="broke off"):
        SFTPClientProtocol().receive_eof()
    client = ready()
    client.receive(b"\0\0")
    with pytest.raises(RemoteProtocolError, match="broke off"):
        client.receive_eof()


KINDS = st.sampled_from([*FXP, 0, 99, 255])
BODIES = st.lists(st.sampled_from([u32(n) for n in (0, 1, 2, 3, 9, 0xFFFFFFFF)]), max_size=9)


@given(st.lists(st.tuples(KINDS, BODIES.map(b"".join), st.binary(max_size=9)), max_size=6))
def test_hostile_packets_end_in_protocol_errors(packets: list[tuple[int, bytes, bytes]]) -> None:
    client = ready()
    for request in (msg.Stat("/"), msg.Open("/", 1), msg.ReadDir(b"h"), msg.RealPath(".")):
        client.send(request)
    client.send_read(b"h", 0, 8)
    for kind, fields, rest in packets:
        try:
            client.receive(packet(kind, fields, rest))
        except RemoteProtocolError:
            return


@given(st.binary(max_size=200))
def test_hostile_bytes(data: bytes) -> None:
    for client in (SFTPClientProtocol(), ready()):
        with contextlib.suppress(RemoteProtocolError, MalformedMessage):
            client.receive(data)
