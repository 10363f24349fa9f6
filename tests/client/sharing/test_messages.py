from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.client.sharing import messages as m
from nacre.errors import MalformedMessage
from nacre.wire.codec import string, u32
from nacre.wire.message import Record

FORWARD = (7, m.REMOTE, "", 0, "/run/s", m.UNIX_SOCKET)


@pytest.mark.parametrize(
    ("message", "number", "fields"),
    [
        (m.Hello(4, m.joined(["info", "0"])), 0x00000001, u32(4) + string(b"info") + string(b"0")),
        (
            m.NewSession(1, b"", 1, 0, 1, 0, 0x7E, "xterm", "true", m.joined(["A=b"])),
            0x10000002,
            u32(1)
            + string(b"")
            + b"".join(map(u32, (1, 0, 1, 0, 0x7E)))
            + string(b"xterm")
            + string(b"true")
            + string(b"A=b"),
        ),
        (m.AliveCheck(2), 0x10000004, u32(2)),
        (m.Terminate(2), 0x10000005, u32(2)),
        (
            m.OpenForward(*FORWARD),
            0x10000006,
            u32(7) + u32(2) + string(b"") + u32(0) + string(b"/run/s") + u32(0xFFFFFFFE),
        ),
        (
            m.CloseForward(7, m.LOCAL, "*", 80, "h", 8080),
            0x10000007,
            u32(7) + u32(1) + string(b"*") + u32(80) + string(b"h") + u32(8080),
        ),
        (m.NewStdioForward(3, b"", "h", 22), 0x10000008, u32(3) + u32(0) + string(b"h") + u32(22)),
        (m.StopListening(2), 0x10000009, u32(2)),
        (m.Proxy(2), 0x1000000F, u32(2)),
        (m.GetInformation(2, "channels"), 0x20000001, u32(2) + string(b"channels")),
        (m.Done(2), 0x80000001, u32(2)),
        (m.Forbidden(2, "no"), 0x80000002, u32(2) + string(b"no")),
        (m.Failure(2, "no"), 0x80000003, u32(2) + string(b"no")),
        (m.Exited(5, 255), 0x80000004, u32(5) + u32(255)),
        (m.Alive(2, 77), 0x80000005, u32(2) + u32(77)),
        (m.SessionOpened(2, 5), 0x80000006, u32(2) + u32(5)),
        (m.PortChosen(2, 4022), 0x80000007, u32(2) + u32(4022)),
        (m.TerminalFailed(5), 0x80000008, u32(5)),
        (m.Proxied(2), 0x8000000F, u32(2)),
        (m.Information(2, "a\n"), 0x90000001, u32(2) + string(b"a\n")),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "FIELDS") else "",
)
def test_every_message(message, number, fields):
    assert m.encode(message) == string(u32(number) + fields)
    assert m.decode(u32(number) + fields) == message


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x80",
        u32(0x80000001),
        u32(0x80000001) + u32(1) + b"x",
        u32(0x80000003) + u32(1) + u32(9) + b"short",
        u32(0x10000002) + u32(1),
        u32(0x10000003) + u32(1),
    ],
)
def test_what_is_no_message(payload):
    with pytest.raises(MalformedMessage):
        m.decode(payload)


def test_an_unknown_request_can_be_answered():
    with pytest.raises(m.UnknownMessage, match="0x1000000a") as caught:
        m.decode(u32(0x1000000A) + u32(9) + string(b"more"))
    assert caught.value.request_id == 9
    with pytest.raises(m.UnknownMessage) as caught:
        m.decode(u32(0x1000000A))
    assert caught.value.request_id == 0


def test_fields_of_any_number():
    assert m.texts(m.joined(["A=ä", "B=\udcff"])) == ("A=ä", "B=\udcff")
    assert m.texts(b"") == ()
    assert m.pairs(m.joined(["info", "0", "x@y", ""])) == {"info": "0", "x@y": ""}
    with pytest.raises(MalformedMessage):
        m.pairs(m.joined(["info"]))
    with pytest.raises(MalformedMessage):
        m.texts(u32(2) + b"x")


def test_frames_in_pieces_and_what_follows_the_last():
    frames = m.Payloads()
    sent = m.encode(m.Done(1)) + m.encode(m.Proxied(2)) + b"packets"
    cut: list[Record] = []
    for byte in sent:
        frames.receive(bytes([byte]))
        if len(cut) < 2 and (payload := frames.next()) is not None:
            cut.append(m.decode(payload))
    assert cut == [m.Done(1), m.Proxied(2)]
    assert frames.rest() == b"packets"
    assert frames.next() is None


@pytest.mark.parametrize("size", [0, 3, m.MAXIMUM_MESSAGE + 1, 0xFFFFFFFF])
def test_a_frame_out_of_bounds(size):
    frames = m.Payloads()
    frames.receive(u32(size))
    with pytest.raises(MalformedMessage, match="announced"):
        frames.next()


@given(st.binary(max_size=80), st.sampled_from(sorted(m._NUMBERS)))
def test_decode_raises_nothing_else(fields, number):
    with contextlib.suppress(MalformedMessage):
        message = m.decode(u32(number) + fields)
        assert m.decode(m.encode(message)[4:]) == message
