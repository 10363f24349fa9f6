"""Reads capture files, and checks them as a network would."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from struct import unpack


@dataclass
class Packet:
    """A packet of TCP.

    :ivar ports: its source's and its target's.
    """

    time: float
    source: str
    target: str
    ports: tuple[int, int]
    sequence: int
    acknowledged: int
    flags: int
    data: bytes


def _sum(data: bytes) -> int:
    padded = data + bytes(len(data) % 2)
    total = sum(unpack(f">{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def packets_of(file: bytes) -> list[Packet]:
    """Return the packets of a file with LINKTYPE_RAW; their checksums are right."""
    at, found = 24, []
    while at < len(file):
        seconds, microseconds, size, whole = unpack("<IIII", file[at : at + 16])
        assert size == whole
        packet = file[at + 16 : at + 16 + size]
        found.append(_packet(seconds + microseconds / 1e6, packet))
        at += 16 + size
    return found


def _packet(time: float, packet: bytes) -> Packet:
    if packet[0] >> 4 == 4:
        assert _sum(packet[:20]) == 0xFFFF
        assert int.from_bytes(packet[2:4], "big") == len(packet)
        source, target, protocol, tcp = packet[12:16], packet[16:20], packet[9], packet[20:]
    else:
        assert int.from_bytes(packet[4:6], "big") == len(packet) - 40
        source, target, protocol, tcp = packet[8:24], packet[24:40], packet[6], packet[40:]
    assert protocol == 6
    pseudo = source + target + len(tcp).to_bytes(4, "big") + bytes((0, 0, 0, 6))
    assert _sum(pseudo + tcp) == 0xFFFF
    *ports, sequence, acknowledged, offset, flags = unpack(">HHIIBB", tcp[:14])
    shown = (str(ip_address(source)), str(ip_address(target)))
    data = tcp[(offset >> 4) * 4 :]
    return Packet(time, *shown, (ports[0], ports[1]), sequence, acknowledged, flags, data)


def streams_of(file: bytes) -> tuple[bytes, bytes]:
    """Return what the client has sent and received, put together by the sequence numbers."""
    packets = packets_of(file)
    client, server = packets[0].ports
    streams = {client: b"", server: b""}
    for packet in packets:
        source, target = packet.ports
        if packet.data:
            assert packet.sequence == len(streams[source]) + 1
            assert packet.acknowledged == len(streams[target]) + 1
        streams[source] += packet.data
    return streams[client], streams[server]
