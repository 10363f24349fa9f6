"""Capture files, read back by a reader of the test's own."""

from __future__ import annotations

import io
from struct import unpack
from typing import Any

import pytest

from cli.trace.captured import packets_of, streams_of
from nacre.cli.trace.pcap import SEGMENT, PacketFile, checksum


def written(client: str, server: str, *parts: tuple[Any, bytes]) -> bytes:
    file = io.BytesIO()
    times = iter(1_000_000 + at / 4 for at in range(1000))
    packets = PacketFile(file, (client, 50000), (server, 22), lambda: next(times))
    for direction, data in parts:
        packets.data(direction, data)
    packets.end()
    return file.getvalue()


@pytest.mark.parametrize(
    ("client", "server"), [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")]
)
def test_both_streams_come_back_whole(client: str, server: str) -> None:
    big = bytes(range(256)) * 40
    data = written(client, server, ("out", b"SSH-2.0-a\r\n"), ("in", big), ("out", b"x"))
    assert streams_of(data) == (b"SSH-2.0-a\r\nx", big)
    packets = packets_of(data)
    assert [packet.flags for packet in packets[:3]] == [2, 18, 16]  # SYN, SYN and ACK, ACK
    assert [packet.flags for packet in packets[-3:]] == [17, 17, 16]  # FIN twice
    assert max(len(packet.data) for packet in packets) == SEGMENT
    assert {packet.source for packet in packets} == {client, server}


def test_times_and_numbers_go_up() -> None:
    packets = packets_of(written("192.0.2.1", "192.0.2.2", ("out", b"a"), ("in", b"b")))
    assert [packet.time for packet in packets] == [1_000_000 + at / 4 for at in range(8)]
    sent = [packet for packet in packets if packet.source == "192.0.2.1" and packet.data]
    assert (sent[0].sequence, sent[0].acknowledged) == (1, 1)


def test_the_header_is_that_of_libpcap() -> None:
    magic, major, minor, _, _, length, link = unpack(
        "<IHHiIII", written("192.0.2.1", "192.0.2.2")[:24]
    )
    assert (magic, major, minor, length, link) == (0xA1B2C3D4, 2, 4, 65535, 101)


def test_a_checksum() -> None:
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D  # RFC 1071 section 3
    assert checksum(b"\1") == 0xFEFF


def test_nothing_is_no_packet() -> None:
    assert len(packets_of(written("192.0.2.1", "192.0.2.2", ("in", b"")))) == 6
