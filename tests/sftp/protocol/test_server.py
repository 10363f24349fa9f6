"""A server, and clients that break the rules."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.errors import (
    LocalProtocolError,
    MalformedMessage,
    PacketTooLarge,
    RemoteProtocolError,
    VersionError,
)
from nacre.limits import SFTPLimits
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes, Entry
from nacre.sftp.protocol.extensions import EXTENSIONS
from nacre.sftp.protocol.messages import FXP, REQUESTS
from nacre.sftp.protocol.server import SFTPServerProtocol
from nacre.sftp.protocol.status import FX
from nacre.wire.codec import WireReader, string, text, u8, u32
from sftp.protocol.memory_files import MemoryFiles


def packet(kind: int, *fields: bytes) -> bytes:
    return string(u8(kind) + b"".join(fields))


def sent(number: int, request: msg.SFTPRequest[object]) -> bytes:
    name = text(request.EXTENSION) if request.EXTENSION else b""
    return packet(request.NUMBER, u32(number), name, request.encode())


INIT = packet(FXP.INIT, u32(3))


def ready(limits: SFTPLimits | None = None) -> SFTPServerProtocol:
    server = SFTPServerProtocol(limits=limits or SFTPLimits())
    server.receive(INIT)
    assert server.next_call() is None
    version = b"".join(server.data_to_send())
    assert version[4:9] == b"\x02\0\0\0\x03"
    return server


def opened(server: SFTPServerProtocol, file: object, number: int = 1000) -> bytes:
    server.receive(sent(number, msg.Open("/", 1)))
    call = server.next_call()
    assert call is not None
    server.send_handle(call.id, file)
    return WireReader(b"".join(server.data_to_send()), 9).string()


def statuses(server: SFTPServerProtocol) -> list[tuple[int, int]]:
    reader = WireReader(b"".join(server.data_to_send()))
    found = []
    while reader.remaining:
        body = WireReader(reader.string())
        if body.u8() == FXP.STATUS:
            found.append((body.u32(), body.u32()))
    return found


def test_answers_in_any_order_name_their_requests() -> None:
    server = ready()
    server.receive(sent(7, msg.Remove("/a")) + sent(9, msg.Remove("/b")))
    first, second = server.next_call(), server.next_call()
    assert first is not None
    assert second is not None
    assert (first.request, second.request) == (msg.Remove("/a"), msg.Remove("/b"))
    server.send_error(second.id, FileNotFoundError(2, "x"))
    server.send_ok(first.id)
    assert statuses(server) == [(9, 2), (7, 0)]


def test_read_and_write_hold_views_and_the_file() -> None:
    server = ready()
    file = object()
    handle = opened(server, file)
    stream = sent(1, msg.Write(handle, 5, b"data")) + sent(2, msg.Read(handle, 6, 1 << 31))
    server.receive(stream)
    write, read = server.next_call(), server.next_call()
    assert write is not None
    assert read is not None
    assert write.files == read.files == (file,)
    assert isinstance(write.request, msg.Write)
    assert isinstance(write.request.data, memoryview)
    assert write.request.data.obj is stream
    assert write.request == msg.Write(handle, 5, b"data")
    assert read.request == msg.Read(handle, 6, 255 * 1024)


def test_a_write_in_parts_is_not_joined() -> None:
    server = ready()
    handle = opened(server, file := object())
    content = bytes(range(256)) * 400
    packet = sent(1, msg.Write(handle, 5, content))
    portions = [packet[start : start + 30_000] for start in range(0, len(packet), 30_000)]
    for portion in portions[:-1]:
        server.receive(portion)
        assert server.next_call() is None
    server.receive(portions[-1])
    call = server.next_call()
    assert call is not None
    assert call.files == (file,)
    data = call.request.data  # type: ignore[attr-defined]
    assert isinstance(data, msg.Pieces)
    assert [part.obj for part in data.parts] == portions
    assert (len(data), bytes(data)) == (len(content), content)


@pytest.mark.parametrize("first", [1, 4, 5, 9, 12, 17, 28, 32, 33, 34])
@pytest.mark.parametrize("handle", [None, b"", b"x" * 300])
def test_a_write_that_is_cut_anywhere(first: int, handle: bytes | None) -> None:
    """Its head may come in parts too; an unknown handle of any length is only refused."""
    server = ready()
    known = opened(server, object())
    packet = sent(1, msg.Write(known if handle is None else handle, 5, b"data" * 20))
    server.receive(packet[:first])
    assert server.next_call() is None
    server.receive(packet[first:])
    call = server.next_call()
    if handle is None:
        assert call is not None
        assert bytes(call.request.data) == b"data" * 20  # type: ignore[attr-defined]
    else:
        assert call is None
        assert statuses(server) == [(1, 4)]


def test_a_write_in_parts_that_is_too_short() -> None:
    server = ready()
    handle = opened(server, object())
    packet = bytearray(sent(1, msg.Write(handle, 5, b"data" * 20)))
    packet[32] += 1
    server.receive(bytes(packet[:50]))
    assert server.next_call() is None
    server.receive(bytes(packet[50:]))
    assert server.next_call() is None
    assert statuses(server) == [(1, FX.BAD_MESSAGE)]


@pytest.mark.parametrize("first", [10_000, 50, 33, 20, 7])
def test_bytes_behind_the_data_of_a_write(first: int) -> None:
    server = ready()
    handle = opened(server, object())
    data = bytes(range(100))
    body = sent(1, msg.Write(handle, 5, data))[4:] + b"behind" * 20
    packet = string(body) + sent(2, msg.Write(handle, 105, b"more"))
    server.receive(packet[:first])
    calls = [server.next_call()]
    if packet[first:]:
        assert calls == [None]
        server.receive(packet[first:])
        calls = [server.next_call()]
    calls.append(server.next_call())
    found = [(c.request.offset, bytes(c.request.data)) for c in calls if c]  # type: ignore[attr-defined]
    assert found == [(5, data), (105, b"more")]


def example(kind: type[msg.SFTPRequest[Any]], handle: bytes) -> msg.SFTPRequest[Any]:
    """Return a request of a type, whose handles are ``handle``."""
    values: dict[str, Any] = {
        "Text": "name",
        "U32": 7,
        "U64": 7,
        "int": 0,
        "Attrs": Attributes(size=1),
        "String": bytes(4),
        "StringData": b"data",
    }
    fields = [values.get(kind.__annotations__[name], handle) for name in kind.__match_args__]  # type: ignore[attr-defined]
    return kind(*fields)


EVERY = sorted([*REQUESTS.values(), *EXTENSIONS.values()], key=lambda one: one.__name__)


@pytest.mark.parametrize("kind", EVERY, ids=lambda one: one.__name__)
def test_bytes_behind_the_last_field_of_any_request(kind: type[msg.SFTPRequest[Any]]) -> None:
    server = ready()
    handle = opened(server, object())
    if kind is msg.ReadDir:
        server.receive(sent(8, msg.OpenDir("/")))
        assert server.next_call() is not None
        server.send_handle(8, object())
        handle = server.data_to_send()[-1][-8:]  # type: ignore[assignment]
    request = example(kind, handle)
    server.receive(string(sent(9, request)[4:] + b"behind it"))
    call = server.next_call()
    if kind is ext.LimitsRequest:
        assert b"".join(server.data_to_send())[4] == FXP.EXTENDED_REPLY
        return
    assert call is not None
    assert call.request == request
    assert server.take_refusals() == []


def test_no_more_input_than_can_be_worked_on() -> None:
    server = ready(SFTPLimits(requests=2))
    server.receive(b"".join(sent(n, msg.Remove("/a")) for n in range(4)))
    calls = [server.next_call() for _ in range(3)]
    assert [call.id for call in calls if call] == [0, 1]
    assert not server.wants_input
    with pytest.raises(LocalProtocolError):
        server.receive(b"x")
    server.send_ok(1)
    assert not server.wants_input
    third = server.next_call()
    assert third is not None
    assert third.id == 2
    server.send_ok(0)
    assert server.next_call() is not None
    server.send_ok(2)
    assert server.wants_input


def test_bytes_to_be_read_are_bounded() -> None:
    server = ready(SFTPLimits(request_octets=100_000))
    handle = opened(server, object())
    server.receive(b"".join(sent(n, msg.Read(handle, 0, 40_000)) for n in range(9)))
    assert len([1 for _ in range(9) if server.next_call()]) == 3
    server.send_data(0, b"x")
    assert server.next_call() is not None
    assert server.next_call() is None


@pytest.mark.parametrize("portion", [1, 7, 1 << 20])
def test_requests_with_one_id_are_answered_in_their_order(portion: int) -> None:
    """phpseclib sends all WRITEs of a file so; what is refused at once waits as well."""
    server = ready()
    handle = opened(server, object())
    unknown = packet(FXP.EXTENDED, u32(5), text("unknown@example.org"))
    requests = [
        sent(5, msg.Write(handle, 0, b"a" * 3000)),
        sent(5, msg.Write(b"no handle", 0, b"b")),
        unknown,
        sent(5, msg.Write(handle, 3000, b"c" * 3000)),
        sent(5, msg.Remove("/a")),
    ]
    stream = b"".join(requests)
    answered = []
    for start in range(0, len(stream), portion):
        server.receive(stream[start : start + portion])
        while (call := server.next_call()) is not None:
            assert server.next_call() is None
            assert server.outstanding == 1
            answered.append(call.request.NUMBER)
            server.send_ok(call.id)
    assert answered == [FXP.WRITE, FXP.WRITE, FXP.REMOVE]
    codes = [FX.OK, FX.FAILURE, FX.OP_UNSUPPORTED, FX.OK, FX.OK]
    assert statuses(server) == [(5, code) for code in codes]
    assert server.hungry
    assert server.wants_input


def test_a_request_that_waits_for_its_id_holds_up_the_input() -> None:
    """So the channel's window bounds what a client can make the server keep."""
    server = ready()
    server.receive(sent(5, msg.Remove("/a")) * 2)
    first = server.next_call()
    assert first is not None
    assert server.next_call() is None
    assert not server.hungry
    assert not server.wants_input
    server.send_ok(first.id)
    second = server.next_call()
    assert second is not None
    assert server.hungry
    assert server.wants_input
    server.send_ok(second.id)
    server.receive_eof()


def test_an_id_may_come_again_after_its_answer() -> None:
    server = ready()
    for _ in range(2):
        server.receive(sent(5, msg.Remove("/a")))
        assert server.next_call() is not None
        server.send_ok(5)
    assert statuses(server) == [(5, 0), (5, 0)]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (packet(FXP.OPEN, u32(1), text("x")), RemoteProtocolError),
        (packet(FXP.INIT), MalformedMessage),
        (packet(FXP.INIT, u32(2)), VersionError),
        (b"\xff" * 4, PacketTooLarge),
        (bytes(4), MalformedMessage),
    ],
)
def test_a_bad_first_packet(data: bytes, error: type[Exception]) -> None:
    server = SFTPServerProtocol()
    server.receive(data)
    with pytest.raises(error):
        server.next_call()
    assert server.data_to_send() == []


@pytest.mark.parametrize(
    ("asked", "highest", "chosen"), [(3, 6, 3), (5, 6, 5), (9, 6, 6), (6, 3, 3), (1 << 31, 4, 4)]
)
def test_the_lower_of_both_versions_is_chosen(asked: int, highest: int, chosen: int) -> None:
    server = SFTPServerProtocol(highest=highest)
    server.receive(packet(FXP.INIT, u32(asked), text("an-extension"), text("data")))
    assert server.next_call() is None
    assert b"".join(server.data_to_send())[4:9] == b"\x02" + u32(chosen)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (packet(FXP.OPEN, u32(1)), "OPEN"),
        (packet(FXP.OPEN, u32(1), text("a"), u32(1)), "OPEN"),
        (packet(FXP.READ, u32(1), string(b"h"), bytes(11)), "READ"),
        (packet(FXP.WRITE, u32(1), string(b"h"), bytes(11)), "WRITE"),
        (packet(FXP.WRITE, u32(1), string(b"h"), bytes(8), u32(5), b"1234"), "WRITE"),
        (packet(FXP.WRITE, u32(1), u32(0xFFFFFFFF), bytes(20)), "WRITE"),
        (packet(FXP.EXTENDED, u32(1)), "EXTENDED"),
        (packet(FXP.EXTENDED, u32(1), text("statvfs@openssh.com")), "EXTENDED"),
        (packet(FXP.SETSTAT, u32(1), text("a"), u32(1), bytes(7)), "SETSTAT"),
        (packet(FXP.MKDIR, u32(1), text("a"), u32(0x80000000), u32(1 << 30)), "MKDIR"),
    ],
)
def test_a_malformed_request_fails_alone(data: bytes, name: str) -> None:
    server = ready()
    server.receive(data + sent(2, msg.Remove("/a")))
    call = server.next_call()
    assert statuses(server) == [(1, FX.BAD_MESSAGE)]
    assert call is not None
    assert call.request == msg.Remove("/a")
    (refusal,) = server.take_refusals()
    assert refusal.request == name
    assert refusal.reason
    assert server.take_refusals() == []


@pytest.mark.parametrize("data", [packet(FXP.OPEN), packet(FXP.OPEN, bytes(3)), b"\xff" * 4])
def test_packets_without_an_end_or_an_id_end_the_session(data: bytes) -> None:
    server = ready()
    file = object()
    opened(server, file)
    server.receive(data)
    with pytest.raises(RemoteProtocolError):
        server.next_call()
    assert server.next_call() is None
    assert not server.wants_input
    assert server.files == [file]


def test_a_second_init_is_answered_again() -> None:
    server = ready()
    server.receive(INIT)
    assert server.next_call() is None
    assert b"".join(server.data_to_send())[4] == FXP.VERSION


def test_extensions_of_a_client_are_not_looked_at() -> None:
    server = SFTPServerProtocol()
    server.receive(packet(FXP.INIT, u32(3), b"no pairs"))
    assert server.next_call() is None
    assert b"".join(server.data_to_send())[4] == FXP.VERSION


def test_the_reasons_of_refusals_are_kept() -> None:
    server = ready(SFTPLimits(handles=0))
    server.receive(
        sent(1, msg.Close(b"none"))
        + packet(FXP.EXTENDED, u32(2), text("flock@openssh.com"))
        + packet(99, u32(3))
        + sent(4, msg.OpenDir("/"))
    )
    assert server.next_call() is None
    assert server.take_refusals() == [
        ("CLOSE", "no such handle is open", FX.FAILURE),
        ("flock@openssh.com", "it is not offered", FX.OP_UNSUPPORTED),
        ("type 99", "it is not offered", FX.OP_UNSUPPORTED),
        ("OPENDIR", "too many files of this session are open", FX.FAILURE),
    ]


def test_what_is_denied_is_refused_and_its_extension_is_not_announced() -> None:
    denied = {msg.Read: "no reading", msg.SymLink: "no links", ext.CheckFile: "no hashes"}
    server = SFTPServerProtocol(denied=denied, peer="SSH-2.0-libssh_0.10")
    server.receive(INIT)
    assert server.next_call() is None
    version = WireReader(b"".join(server.data_to_send()), 9)
    assert ext.take_pairs(version).keys() == {*ext.OFFERED, "versions"} - {"check-file"}
    handle = opened(server, "file")
    server.receive(
        sent(1, msg.Read(handle, 0, 10))
        + sent(2, msg.DraftSymLink("link", "target"))
        + sent(3, ext.CheckFile(handle, "sha256", 0, 0, 0))
        + sent(4, msg.Write(handle, 0, b"x"))
    )
    call = server.next_call()
    assert call is not None
    assert isinstance(call.request, msg.Write)
    assert server.take_refusals() == [
        ("READ", "no reading", FX.PERMISSION_DENIED),
        ("SYMLINK", "no links", FX.PERMISSION_DENIED),
        ("check-file", "no hashes", FX.PERMISSION_DENIED),
    ]
    assert statuses(server) == [(number, FX.PERMISSION_DENIED) for number in (1, 2, 3)]


@pytest.mark.parametrize("kind", [0, 21, 22, 99, 101, 103, 201, 255])
def test_unknown_types_are_unsupported(kind: int) -> None:
    server = ready()
    server.receive(packet(kind, u32(3), b"whatever"))
    assert server.next_call() is None
    assert statuses(server) == [(3, 8)]


def test_unknown_extensions_are_unsupported() -> None:
    server = ready()
    server.receive(packet(FXP.EXTENDED, u32(3), text("flock@openssh.com"), b"whatever"))
    assert server.next_call() is None
    assert statuses(server) == [(3, 8)]


def test_answers_that_do_not_fit() -> None:
    server = ready()
    handle = opened(server, object())
    server.receive(sent(1, msg.Read(handle, 0, 3)) + sent(2, msg.Stat("/")))
    server.receive(sent(3, ext.StatVFS("/"))) if server.wants_input else None
    while server.next_call():
        pass
    wrong = [
        lambda: server.send_ok(1),
        lambda: server.send_data(1, b"1234"),
        lambda: server.send_data(2, b"1"),
        lambda: server.send_handle(1, object()),
        lambda: server.send_attributes(1, Attributes()),
        lambda: server.send_eof(2),
        lambda: server.send_names(2, [Entry("a")]),
        lambda: server.send_path(2, "/"),
        lambda: server.send_reply(2, ext.ServerLimits(1, 2, 3, 4)),
        lambda: server.send_ok(4),
    ]
    for answer in wrong:
        with pytest.raises(LocalProtocolError):
            answer()
    assert server.data_to_send() == []
    server.send_attributes(2, Attributes())
    server.send_data(1, b"123")
    assert server.outstanding == 0


def test_no_data_is_the_end() -> None:
    server = ready()
    handle = opened(server, object())
    server.receive(sent(1, msg.Read(handle, 0, 3)))
    assert server.next_call() is not None
    server.send_data(1, b"")
    assert statuses(server) == [(1, 1)]


def test_data_is_not_copied() -> None:
    server = ready()
    handle = opened(server, object())
    server.receive(sent(1, msg.Read(handle, 0, 100)))
    assert server.next_call() is not None
    data = b"x" * 100
    server.send_data(1, data)
    head, piece = server.data_to_send()
    assert piece is data
    assert bytes(head) + data == packet(FXP.DATA, u32(1), string(data))


def test_the_stream_ends() -> None:
    ready().receive_eof()
    server = ready()
    server.receive(b"\0\0\0")
    assert server.next_call() is None
    with pytest.raises(RemoteProtocolError, match="broke off"):
        server.receive_eof()


PATHS = st.sampled_from(["/", "/f", "/d", "..", "", "\0", "/" * 40])
HANDLES = st.sampled_from([b"", *(i.to_bytes(8, "big") for i in range(1, 6))])
NUMBERS = st.sampled_from([0, 1, 5, 1 << 31])
SOME_REQUESTS = st.one_of(
    st.builds(msg.Open, PATHS, NUMBERS),
    st.builds(msg.OpenDir, PATHS),
    st.builds(msg.Close, HANDLES),
    st.builds(msg.Read, HANDLES, NUMBERS, NUMBERS),
    st.builds(msg.Write, HANDLES, st.sampled_from([0, 9]), st.binary(max_size=9)),
    st.builds(msg.ReadDir, HANDLES),
    st.builds(msg.Remove, PATHS),
    st.builds(msg.Stat, PATHS),
    st.builds(ext.CopyData, HANDLES, NUMBERS, NUMBERS, HANDLES, st.just(0)),
)
PACKETS = st.one_of(
    st.builds(sent, st.integers(0, 5), SOME_REQUESTS),
    st.builds(packet, st.integers(0, 255), st.integers(0, 9).map(u32), st.binary(max_size=20)),
    st.binary(max_size=10),
)


@given(st.lists(PACKETS, max_size=20), st.integers(1, 64))
def test_hostile_clients_get_answers_or_end(packets: list[bytes], portion: int) -> None:
    limits = SFTPLimits(handles=3, requests=4)
    server = ready(limits)
    files = MemoryFiles()
    files.files["/f"] = bytearray(b"content")
    stream = b"".join(packets)
    try:
        for at in range(0, len(stream), portion):
            server.receive(stream[at : at + portion])
            files.serve(server)
            assert len(server.files) <= limits.handles
            assert server.outstanding == 0
    except RemoteProtocolError:
        assert not server.wants_input
