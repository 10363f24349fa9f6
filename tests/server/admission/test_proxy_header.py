"""The header of the PROXY protocol: what it names, and what is none."""

from __future__ import annotations

import socket
import struct

import pytest

from nacre.errors import MalformedMessage
from nacre.server.admission.proxy_header import (
    LONGEST_V1,
    LONGEST_V2,
    ClientOrigin,
    crc32c,
    missing,
    parse,
)

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def binary(body: bytes, *, command: int = 0x21, family: int = 0x11) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


def addresses(source: str, target: str, ports: tuple[int, int] = (40000, 22)) -> bytes:
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    both = socket.inet_pton(family, source) + socket.inet_pton(family, target)
    return both + struct.pack("!HH", *ports)


def field(kind: int, content: bytes) -> bytes:
    return struct.pack("!BH", kind, len(content)) + content


def with_checksum(body: bytes, wrong: int = 0) -> bytes:
    whole = binary(body + field(3, bytes(4)))
    return whole[:-4] + (crc32c(whole) ^ wrong).to_bytes(4)


def read(stream: bytes) -> tuple[ClientOrigin | None, bytes]:
    """Read a header as from a socket; return what it names, and what stays in the socket."""
    data = b""
    while count := missing(data):
        assert stream, "more is to be read than there is"
        data, stream = data + stream[:count], stream[count:]
    return parse(data), stream


V4 = ClientOrigin(("192.0.2.7", 40000), ("198.51.100.1", 22))
V6 = ClientOrigin(("2001:db8::7", 40000), ("2001:db8::1", 22))

NAMED = {
    "v1-tcp4": (b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 22\r\n", V4),
    "v1-tcp6": (b"PROXY TCP6 2001:db8::7 2001:DB8::1 40000 22\r\n", V6),
    "v1-mapped": (b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 40000 22\r\n", V4),
    "v1-unknown": (b"PROXY UNKNOWN\r\n", None),
    "v1-unknown-with-more": (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", None),
    "v2-tcp4": (binary(addresses("192.0.2.7", "198.51.100.1")), V4),
    "v2-tcp6": (binary(addresses("2001:db8::7", "2001:db8::1"), family=0x21), V6),
    "v2-mapped": (
        binary(addresses("::ffff:192.0.2.7", "::ffff:198.51.100.1"), family=0x21),
        V4,
    ),
    "v2-fields": (
        binary(addresses("192.0.2.7", "198.51.100.1") + field(1, b"ssh") + field(4, bytes(9))),
        V4,
    ),
    "v2-checksum": (with_checksum(addresses("192.0.2.7", "198.51.100.1")), V4),
    "v2-local": (binary(b"", command=0x20, family=0), None),
    "v2-local-of-any-family": (binary(bytes(5), command=0x20, family=0x99), None),
    "v2-local-with-addresses": (
        binary(addresses("192.0.2.7", "198.51.100.1"), command=0x20),
        None,
    ),
    "v2-unspecified": (binary(b"", family=0), None),
    "v2-unix": (binary(bytes(216), family=0x31), None),
}


@pytest.mark.parametrize("name", NAMED)
def test_a_header_is_read_and_nothing_behind_it(name: str) -> None:
    header, origin = NAMED[name]
    assert read(header + b"SSH-2.0-client\r\n") == (origin, b"SSH-2.0-client\r\n")


BAD = {
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "http": b"GET / HTTP/1.1\r\n\r\n",
    "v1-lower-case": b"proxy TCP4 192.0.2.7 198.51.100.1 40000 22\r\n",
    "v1-other-family": b"PROXY UDP4 192.0.2.7 198.51.100.1 40000 22\r\n",
    "v1-two-spaces": b"PROXY TCP4  192.0.2.7 198.51.100.1 40000 22\r\n",
    "v1-no-address": b"PROXY TCP4 192.0.2.999 198.51.100.1 40000 22\r\n",
    "v1-name": b"PROXY TCP4 localhost 198.51.100.1 40000 22\r\n",
    "v1-wrong-family": b"PROXY TCP4 2001:db8::7 2001:db8::1 40000 22\r\n",
    "v1-zero-in-front": b"PROXY TCP4 192.0.2.7 198.51.100.1 040000 22\r\n",
    "v1-port": b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 22\r\n",
    "v1-no-return": b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 22\n" + bytes(100),
    "v1-too-long": b"PROXY UNKNOWN " + b"x" * LONGEST_V1 + b"\r\n",
    "v2-version": binary(addresses("192.0.2.7", "198.51.100.1"), command=0x11),
    "v2-command": binary(addresses("192.0.2.7", "198.51.100.1"), command=0x22),
    "v2-datagram": binary(addresses("192.0.2.7", "198.51.100.1"), family=0x12),
    "v2-short": binary(addresses("192.0.2.7", "198.51.100.1")[:-1]),
    "v2-too-long": binary(bytes(LONGEST_V2)),
    "v2-field-without-length": binary(addresses("192.0.2.7", "198.51.100.1") + b"\1\0"),
    "v2-field-cut-off": binary(addresses("192.0.2.7", "198.51.100.1") + b"\1\0\2x"),
    "v2-checksum": with_checksum(addresses("192.0.2.7", "198.51.100.1"), wrong=1),
    "v2-checksum-size": binary(addresses("192.0.2.7", "198.51.100.1") + field(3, bytes(3))),
    "v2-signature": b"\r\n\r\n\0\r\nQUIX\n" + bytes(20),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_header_is_refused(name: str) -> None:
    with pytest.raises(MalformedMessage):
        read(BAD[name])


def test_the_longest_headers_are_taken() -> None:
    line = b"PROXY UNKNOWN " + b"x" * (LONGEST_V1 - 16) + b"\r\n"
    assert len(line) == LONGEST_V1
    assert read(line) == (None, b"")
    body = addresses("192.0.2.7", "198.51.100.1")
    filler = LONGEST_V2 - len(SIGNATURE) - 4 - len(body) - 3
    whole = binary(body + field(4, bytes(filler)))
    assert len(whole) == LONGEST_V2
    assert read(whole) == (V4, b"")


def test_a_header_that_comes_in_pieces_asks_for_no_byte_behind_it() -> None:
    for header, _ in NAMED.values():
        for size in range(len(header)):
            assert size + missing(header[:size]) <= len(header)


def test_the_checksum_is_castagnolis() -> None:
    assert crc32c(b"123456789") == 0xE3069283
