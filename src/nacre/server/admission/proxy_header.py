"""The PROXY protocol: what a proxy says about the client that it speaks for, without I/O.

HAProxy's specification ("The PROXY protocol, versions 1 and 2"). The header comes before the
client's first byte. It is read to its last byte and no further: what follows stays in the socket.
"""

from __future__ import annotations

import re
import socket
import struct
from typing import Final

from nacre.errors import MalformedMessage
from nacre.limits import KIB
from nacre.value import value

LONGEST_V1: Final = 107
"""Bytes of a header of version 1, with its line end (section 2.1)."""

LONGEST_V2: Final = 4 * KIB
"""Bytes of a header of version 2 with what it tells besides addresses. The specification lets a
receiver choose (section 2.2); certificates are named, but never contained."""

_SHORTEST_V1 = len("PROXY UNKNOWN\r\n")
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_WORD = b"PROXY "
_HEAD = struct.Struct("!12sBBH")

_LINE = re.compile(
    rb"PROXY (TCP4|TCP6) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})\r\n"
)
_UNKNOWN = re.compile(rb"PROXY UNKNOWN(?: [^\r\n]*)?\r\n")
_FAMILIES = {b"TCP4": socket.AF_INET, b"TCP6": socket.AF_INET6}
_MAPPED = bytes(10) + b"\xff\xff"

_LOCAL, _PROXY = 0x20, 0x21
_ADDRESSES = {
    0x00: 0,  # unspecified
    0x11: 12,  # TCP over IPv4
    0x21: 36,  # TCP over IPv6
    0x31: 216,  # a stream of Unix sockets
}
"""The families of version 2 that a stream may have, and the bytes of both addresses."""

_CHECKSUM = 0x03


@value
class ClientOrigin:
    """Whom a connection comes from, as its proxy says.

    :ivar peer: the client's address and port.
    :ivar local: the address and port that the client connected to.
    :ivar proxy: the proxy's own address and port, once it is known.
    """

    peer: tuple[str, int]
    local: tuple[str, int]
    proxy: tuple[str, int] = ("", 0)

    @property
    def is_check(self) -> bool:
        """Whether there is no client: the proxy looks whether this server is there."""
        return self.peer == self.proxy


def missing(data: bytes) -> int:
    """Return how many bytes are to be read next, which end with the header or before; 0 for none.

    :param data: what was read so far.
    :raises MalformedMessage: it is the beginning of no header, or of one that is too long.
    """
    if data.startswith(_SIGNATURE) and len(data) >= _HEAD.size:
        size = _HEAD.size + int.from_bytes(data[14:16])
        if size > LONGEST_V2:
            raise MalformedMessage(f"the PROXY header has more than {LONGEST_V2} bytes")
        return size - len(data)
    if data.startswith(_SIGNATURE) or _SIGNATURE.startswith(data[: len(_SIGNATURE)]):
        return (_HEAD.size if data else _SHORTEST_V1) - len(data)
    if not (data.startswith(_WORD) or _WORD.startswith(data)):
        raise MalformedMessage("there is no PROXY header, which this network must send")
    if len(data) < _SHORTEST_V1:
        return _SHORTEST_V1 - len(data)
    if data.endswith(b"\r\n"):
        return 0
    if b"\n" in data or len(data) >= LONGEST_V1:
        raise MalformedMessage("the PROXY header is no line of at most 107 bytes")
    return 1


def parse(header: bytes) -> ClientOrigin | None:
    """Return whom a whole header names; None where the connection is the proxy's own.

    :raises MalformedMessage: it can't be read, or its checksum is wrong.
    """
    if header.startswith(_WORD):
        return _parse_line(header)
    _, command, family, _ = _HEAD.unpack_from(header)
    if command not in (_LOCAL, _PROXY):
        raise MalformedMessage(f"the PROXY header has the version and command {command:#04x}")
    addresses = _ADDRESSES.get(family)
    if addresses is None:
        if command == _LOCAL:
            return None  # section 2.2: the receiver ignores its family
        raise MalformedMessage(f"the PROXY header has the family {family:#04x}, which is no stream")
    body = header[_HEAD.size :]
    if len(body) < addresses:
        if command == _LOCAL:
            return None
        raise MalformedMessage("the PROXY header ends before its addresses do")
    _check_rest(header, _HEAD.size + addresses)
    if command == _LOCAL or family not in (0x11, 0x21):
        return None
    size = 4 if family == 0x11 else 16
    source, target = body[:size], body[size : 2 * size]
    from_port, to_port = struct.unpack_from("!HH", body, 2 * size)
    return ClientOrigin((_address(source), from_port), (_address(target), to_port))


def _parse_line(line: bytes) -> ClientOrigin | None:
    if _UNKNOWN.fullmatch(line):
        return None
    match = _LINE.fullmatch(line)
    if match is None:
        raise MalformedMessage("the line of the PROXY header can't be read")
    family, *hosts, from_port, to_port = match.groups()
    try:
        source, target = (socket.inet_pton(_FAMILIES[family], one.decode()) for one in hosts)
    except OSError:
        raise MalformedMessage("the PROXY header has an address that is none") from None
    ports = int(from_port), int(to_port)
    if max(ports) > 0xFFFF:
        raise MalformedMessage("the PROXY header has a port above 65535")
    return ClientOrigin((_address(source), ports[0]), (_address(target), ports[1]))


def _address(packed: bytes) -> str:
    """Return the text of an address; one of IPv6 that stands for IPv4 is that of IPv4.

    Otherwise ``from="192.0.2.1"`` and Match would not know the client.
    """
    packed = packed.removeprefix(_MAPPED) if len(packed) == 16 else packed
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def _check_rest(header: bytes, at: int) -> None:
    """Check the fields behind the addresses: that they are whole, and the checksum (2.2.4).

    :raises MalformedMessage: one of them is not whole, or the checksum is wrong.
    """
    while at < len(header):
        start = at + 3
        end = start + int.from_bytes(header[at + 1 : start])
        if start > len(header) or end > len(header):
            raise MalformedMessage("the PROXY header ends within a field")
        if header[at] == _CHECKSUM:
            if end - start != 4:
                raise MalformedMessage("the checksum of the PROXY header has not four bytes")
            zeroed = header[:start] + bytes(4) + header[end:]
            if crc32c(zeroed) != int.from_bytes(header[start:end]):
                raise MalformedMessage("the checksum of the PROXY header is wrong")
        at = end


def _crc_table() -> tuple[int, ...]:
    table = []
    for number in range(256):
        for _ in range(8):
            number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)
        table.append(number)
    return tuple(table)


_CRC = _crc_table()


def crc32c(data: bytes) -> int:
    """Return the checksum of Castagnoli's polynomial (RFC 3720 section 12.1)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
