"""A capture file of one connection, as if its packets had been seen on the network.

The bytes are those of the connection; the headers of IP and TCP around them are made here. The file
is that of libpcap (pcap-savefile(5)), with packets that begin at the IP header.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, ip_address
from struct import pack
from typing import BinaryIO, Literal

from nacre.wire.codec import Buffer

LINKTYPE_RAW = 101
"""The packets begin with an IPv4 or IPv6 header."""

SEGMENT = 1440
"""Bytes of the connection in one packet: what fits into a packet on an Ethernet."""

_MAGIC = 0xA1B2C3D4  # times in microseconds
_TCP = 6
_FIN, _SYN, _PSH, _ACK = 1, 2, 8, 16
_WINDOW = 65535
_TTL = 64

Direction = Literal["in", "out"]
Place = tuple[str, int]
"""An IP address and a port."""


class PacketFile:
    """Writes the packets of one connection.

    :param file: gets the capture file.
    :param client: our address and port; ``server``: those of the server, in the same family.
    :param clock: the time in seconds since 1970.
    """

    # _next   the sequence number of the next byte of each direction.

    def __init__(
        self, file: BinaryIO, client: Place, server: Place, clock: Callable[[], float]
    ) -> None:
        self._file = file
        self._clock = clock
        self._addresses = {
            "out": (ip_address(client[0]), ip_address(server[0])),
            "in": (ip_address(server[0]), ip_address(client[0])),
        }
        self._ports = {"out": (client[1], server[1]), "in": (server[1], client[1])}
        self._next = {"out": 0, "in": 0}
        file.write(pack("<IHHiIII", _MAGIC, 2, 4, 0, 0, 65535, LINKTYPE_RAW))
        self._segment("out", _SYN)
        self._segment("in", _SYN | _ACK)
        self._segment("out", _ACK)

    def data(self, direction: Direction, data: Buffer) -> None:
        """Write bytes that were sent or received."""
        view = memoryview(data)
        for at in range(0, len(view), SEGMENT):
            self._segment(direction, _PSH | _ACK, bytes(view[at : at + SEGMENT]))

    def end(self) -> None:
        """Write the end of the connection."""
        self._segment("out", _FIN | _ACK)
        self._segment("in", _FIN | _ACK)
        self._segment("out", _ACK)

    def _segment(self, direction: Direction, flags: int, data: bytes = b"") -> None:
        back: Direction = "in" if direction == "out" else "out"
        source, target = self._ports[direction]
        sequence, acknowledged = self._next[direction], self._next[back] if flags & _ACK else 0
        header = pack(
            ">HHIIBBHHH", source, target, sequence, acknowledged, 5 << 4, flags, _WINDOW, 0, 0
        )
        self._packet(direction, header, data)
        size = len(data) + bool(flags & (_SYN | _FIN))
        self._next[direction] = (sequence + size) % (1 << 32)

    def _packet(self, direction: Direction, header: bytes, data: bytes) -> None:
        source, target = (address.packed for address in self._addresses[direction])
        size = len(header) + len(data)
        pseudo = source + target + pack(">IHBB", size, 0, 0, _TCP)
        tcp = header[:16] + pack(">H", checksum(pseudo + header + data)) + header[18:] + data
        if isinstance(self._addresses[direction][0], IPv4Address):
            front = pack(">BBHHHBB", 0x45, 0, 20 + size, 0, 0x4000, _TTL, _TCP)
            sum_ = checksum(front + bytes(2) + source + target)
            packet = front + pack(">H", sum_) + source + target + tcp
        else:
            packet = pack(">IHBB", 6 << 28, size, _TCP, _TTL) + source + target + tcp
        microseconds = round(self._clock() * 1_000_000)
        times = divmod(microseconds, 1_000_000)
        self._file.write(pack("<IIII", *times, len(packet), len(packet)) + packet)


def checksum(data: bytes) -> int:
    """Return the checksum of the Internet (RFC 1071)."""
    padded = data + bytes(len(data) % 2)
    total = sum(padded[at] << 8 | padded[at + 1] for at in range(0, len(padded), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
