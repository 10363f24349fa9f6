"""What channels of SSH-1 put on the wire."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from nacre.protocol.asks import AskOpen
from nacre.protocol.events import Data
from nacre.protocol.requests import Exec
from nacre.ssh1.channels import PACKET
from nacre.wire.codec import string, u32
from ssh1.pair1 import logged_in


class Wire:
    """Notes the sizes of packets, padding included, length fields not; delivers them as they are.

    :ivar sizes: of the packets in both directions.
    """

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, data: bytes) -> Iterator[bytes]:
        at = data.index(b"\n") + 1 if data.startswith(b"SSH-") else 0
        while at < len(data):
            length = int.from_bytes(data[at : at + 4])
            self.sizes.append(length + 8 - length % 8)
            at += 4 + self.sizes[-1]
        assert at == len(data)
        yield data


@pytest.mark.slow
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("cipher", ["3des", "blowfish"])
def test_no_packet_is_larger_than_putty_reads(cipher: str, compress: bool) -> None:
    """Data that does not compress, both ways, of the session and of a forwarded connection."""
    wire = Wire()
    made = logged_in(cipher=cipher, compress=compress, split=wire)
    session = made.client.connection.open_channel("session")
    made.client.connection.send_request(session, Exec(b"cat"))
    address = string(b"example.org") + u32(80) + string(b"10.0.0.1") + u32(4711)
    ours = made.client.connection.open_channel("direct-tcpip", address)
    made.run()
    theirs = [ask for ask in made.server_events if isinstance(ask, AskOpen)][-1].channel
    data = random.Random(1).randbytes(256 * 1024)
    for engine, channel, stream in (
        (made.client, session, 0),
        (made.client, ours, 0),
        (made.server, session, 0),
        (made.server, session, 1),
        (made.server, theirs, 0),
    ):
        assert engine.connection.send_data(channel, data, stream) == len(data)
        made.run()
    assert 0.99 * PACKET < max(wire.sizes) <= PACKET
    received = sum(
        len(event.data)
        for event in made.client_events + made.server_events
        if isinstance(event, Data)
    )
    assert received == 5 * len(data)
