"""Packets in a stream."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.errors import LocalProtocolError, MalformedMessage, PacketTooLarge
from nacre.sftp.protocol.framing import SFTPInbox, joined


def next_packet(inbox: SFTPInbox) -> memoryview | None:
    parts = inbox.next_parts()
    return None if parts is None else joined(parts)


def packet(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=8),
    st.lists(st.integers(1, 25), min_size=1, max_size=30),
)
def test_any_split_gives_the_same_packets(bodies: list[bytes], sizes: list[int]) -> None:
    stream = b"".join(map(packet, bodies))
    inbox = SFTPInbox(40)
    found = []
    at = i = 0
    while at < len(stream):
        size = sizes[i % len(sizes)]
        inbox.feed(stream[at : at + size])
        while (got := next_packet(inbox)) is not None:
            found.append(got)
        at += size
        i += 1
    assert [bytes(view) for view in found] == bodies
    assert not inbox.partial


def test_a_whole_packet_is_not_copied() -> None:
    stream = packet(b"abc") + packet(b"defg")
    inbox = SFTPInbox(100)
    inbox.feed(stream)
    first, second = next_packet(inbox), next_packet(inbox)
    assert first is not None
    assert second is not None
    assert first.obj is stream
    assert second.obj is stream
    assert bytes(second) == b"defg"


def test_a_split_packet_has_memory_of_its_own() -> None:
    portion = bytearray(packet(b"abcdef"))
    inbox = SFTPInbox(100)
    inbox.feed(portion[:7])
    assert next_packet(inbox) is None
    inbox.feed(portion[7:])
    found = next_packet(inbox)
    assert found is not None
    inbox.feed(packet(b"x"))
    assert next_packet(inbox) == b"x"
    assert bytes(found) == b"abcdef"


def test_a_packet_in_crumbs_is_kept_in_few_parts() -> None:
    body = bytes(range(250)) * 10
    inbox = SFTPInbox(4000)
    for byte in packet(body)[:-1]:
        inbox.feed(bytes((byte,)))
        assert inbox.next_parts() is None
    inbox.feed(body[-1:] + packet(b"x"))
    parts = inbox.next_parts()
    assert parts is not None
    assert len(parts) <= 64
    assert b"".join(parts) == body
    assert inbox.next_parts() == [b"x"]


def test_a_length_above_the_bound_is_refused_before_its_bytes_come() -> None:
    inbox = SFTPInbox(10)
    inbox.feed(b"\0\0\0\x0b")
    with pytest.raises(PacketTooLarge, match="11 bytes"):
        next_packet(inbox)


def test_an_empty_packet_is_refused() -> None:
    inbox = SFTPInbox(10)
    inbox.feed(b"\0\0\0\0")
    with pytest.raises(MalformedMessage):
        next_packet(inbox)


def test_no_second_portion_on_top_of_waiting_packets() -> None:
    inbox = SFTPInbox(10)
    inbox.feed(packet(b"a") + packet(b"b"))
    next_packet(inbox)
    assert inbox.left
    with pytest.raises(LocalProtocolError):
        inbox.feed(b"x")


@pytest.mark.parametrize("cut", [1, 3, 4, 6])
def test_the_middle_of_a_packet_is_known(cut: int) -> None:
    inbox = SFTPInbox(10)
    inbox.feed(packet(b"abc")[:cut])
    assert next_packet(inbox) is None
    assert inbox.partial


def test_memory_is_taken_for_what_came_not_for_what_was_announced() -> None:
    tracemalloc.start()
    try:
        inboxes = [SFTPInbox(1 << 20) for _ in range(100)]
        for inbox in inboxes:
            inbox.feed(b"\0\x0f\xff\xffabc")
            assert next_packet(inbox) is None
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()
