"""Packets that are not what they say: lengths, padding, tags, order."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from itertools import count

import pytest

from attacks.links import Middle, Packet, error, inside, log_of, of, plain
from nacre.errors import (
    ConnectionLost,
    NacreError,
    PacketCorrupt,
    PacketTooLarge,
    RemoteProtocolError,
)
from nacre.limits import KIB, MIB, Limits
from nacre.protocol.events import Data
from nacre.protocol.options import ClientOptions, ServerOptions, algorithms
from nacre.protocol.phases import Phase, Role
from nacre.ssh2.client import SSH2Client
from nacre.ssh2.server import SSH2Server
from nacre.testing import Pair, host_key

EITHER = pytest.mark.parametrize("role", list(Role))
CIPHERS = pytest.mark.parametrize(
    ("cipher", "mac"),
    [
        ("aes128-gcm@openssh.com", "hmac-sha2-256"),
        ("chacha20-poly1305@openssh.com", "hmac-sha2-256"),
        ("aes128-ctr", "hmac-sha2-256-etm@openssh.com"),
        ("aes128-ctr", "hmac-sha2-256"),
        ("aes128-cbc", "hmac-sha2-256-etm@openssh.com"),
        ("aes128-cbc", "hmac-sha1"),
    ],
)


def after_versions(role: Role) -> SSH2Client | SSH2Server:
    """Return an engine whose peer has said its identification line, and nothing more."""
    engine: SSH2Client | SSH2Server
    if role is Role.CLIENT:
        engine = SSH2Client(ClientOptions(user="a"), random=bytes)
    else:
        engine = SSH2Server(ServerOptions(host_keys=(host_key(),)), random=bytes)
    engine.start(0.0)
    engine.receive(b"SSH-2.0-x\r\n", 0.0)
    engine.take_events()
    return engine


def ended(engine: SSH2Client | SSH2Server) -> NacreError | None:
    return error(engine.take_events())


@EITHER
@pytest.mark.parametrize("length", [80 * MIB, 256 * KIB + 4, (1 << 32) - 4, (1 << 31) + 4])
def test_80_mib_before_the_first_key_exchange(role: Role, length: int) -> None:
    """Paramiko believed such a length and waited with an open purse; ours is closed at once."""
    engine = after_versions(role)
    tracemalloc.start()
    try:
        engine.receive(length.to_bytes(4, "big"), 0.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(ended(engine), PacketTooLarge)
    assert peak < 256 * KIB
    engine.receive(bytes(4 * MIB), 0.0)
    assert not inside(engine)._inbox._held


@EITHER
@pytest.mark.parametrize("length", [0, 1, 5, 11, 13, 19, 21, 1000])
def test_a_length_that_fills_no_blocks(role: Role, length: int) -> None:
    """RFC 4253 section 6: whole blocks, 8 bytes each at first, and room for 4 of padding."""
    engine = after_versions(role)
    engine.receive(length.to_bytes(4, "big") + bytes(1000), 0.0)
    assert isinstance(ended(engine), PacketCorrupt)


@EITHER
@pytest.mark.parametrize("padding", [0, 3, 12, 11, 255])
def test_padding_that_leaves_no_payload(role: Role, padding: int) -> None:
    """A payload has a message number at least; padding has 4 bytes (RFC 4253 section 6)."""
    engine = after_versions(role)
    engine.receive(b"\0\0\0\x0c" + bytes((padding,)) + bytes(11), 0.0)
    assert isinstance(ended(engine), PacketCorrupt)


@CIPHERS
def test_an_empty_payload_under_keys(cipher: str, mac: str) -> None:
    """The peer holds the keys, so only the check of the payload stands between."""
    pair = Pair(algorithms=algorithms(ciphers=cipher, macs=mac))
    pair.run()
    inside(pair.client)._outbox.send_parts(b"", b"")
    pair.run()
    found = error(pair.server_events)
    assert isinstance(found, PacketCorrupt | PacketTooLarge)


@CIPHERS
def test_a_length_above_the_bound_under_keys(cipher: str, mac: str) -> None:
    limits = Limits(packet=40_000)
    both = algorithms(ciphers=cipher, macs=mac)
    pair = Pair(
        client=ClientOptions(user="a", algorithms=both),
        server=ServerOptions(host_keys=(host_key(),), algorithms=both, limits=limits),
    )
    pair.run()
    outbox = inside(pair.client)._outbox
    outbox.send_parts(b"\x02", b"\0\0\xea\x60" + bytes(60_000))
    # The length alone decides: the rest need not come.
    pair.server.receive(bytes(outbox.take())[:64], 0.0)
    assert isinstance(error(pair.server.take_events()), PacketTooLarge)


def spoken(pair: Pair, text: bytes, chunk: int) -> list[bytes]:
    """Let the client send ``text`` on a channel; return the packets, undelivered."""
    pair.run()
    channel = pair.client.connection.open_channel("session")
    pair.run()
    packets = []
    for start in range(0, len(text), chunk):
        pair.client.connection.send_data(channel, text[start : start + chunk])
        packets.append(bytes(pair.client.take_output()))
    return packets


def heard(pair: Pair) -> bytes:
    return b"".join(bytes(event.data) for event in of(pair.server.take_events(), Data))


TEXT = b"0123456789abcdefghijklmnopqrstuv"


@pytest.mark.slow
@CIPHERS
def test_every_byte_changed_in_turn(cipher: str, mac: str) -> None:
    """Integrity (RFC 4253 section 6.4): what differs from what was sent is never reported."""
    both = algorithms(ciphers=cipher, macs=mac)
    for at in count():
        pair = Pair(algorithms=both)
        packets = spoken(pair, TEXT, 16)
        stream = bytearray(b"".join(packets))
        if at >= len(stream):
            break
        stream[at] ^= 1 << (at % 8)
        pair.server.receive(bytes(stream), 0.0)
        if pair.server.phase is not Phase.CLOSED:
            # The changed byte is one of a length: it now waits for more than there is.
            pair.server.receive_eof()
        events = pair.server.take_events()
        got = b"".join(bytes(event.data) for event in of(events, Data))
        assert got == (b"" if at < len(packets[0]) else TEXT[:16])
        assert isinstance(error(events), RemoteProtocolError | ConnectionLost)


@CIPHERS
@pytest.mark.parametrize("order", [(0, 0), (1, 0), (1,), (0, 2), (0, 1, 0), (0, 1, 1), (3, 2, 1)])
def test_replayed_reordered_and_lost_packets(cipher: str, mac: str, order: tuple[int, ...]) -> None:
    """Each packet is good once, in its place: numbers are under every tag."""
    pair = Pair(algorithms=algorithms(ciphers=cipher, macs=mac))
    packets = spoken(pair, TEXT, 8)
    pair.server.receive(b"".join(packets[n] for n in order), 0.0)
    right = 0
    while right < len(order) and order[right] == right:
        right += 1
    if pair.server.phase is not Phase.CLOSED:
        pair.server.receive_eof()
    events = pair.server.take_events()
    assert b"".join(bytes(event.data) for event in of(events, Data)) == TEXT[: 8 * right]
    assert isinstance(error(events), RemoteProtocolError | ConnectionLost)


@CIPHERS
def test_packets_of_the_other_direction(cipher: str, mac: str) -> None:
    """Each direction has keys of its own: what a side sent does not open when it comes back."""
    pair = Pair(algorithms=algorithms(ciphers=cipher, macs=mac))
    packets = spoken(pair, TEXT, 32)
    pair.client.receive(packets[0], 0.0)
    if pair.client.phase is not Phase.CLOSED:
        pair.client.receive_eof()
    events = pair.client.take_events()
    assert not of(events, Data)
    assert isinstance(error(events), RemoteProtocolError | ConnectionLost)


@CIPHERS
def test_packets_of_another_connection(cipher: str, mac: str) -> None:
    """The same ends with the same keys of hosts share no keys of packets."""
    both = algorithms(ciphers=cipher, macs=mac)
    first, second = Pair(algorithms=both, seed=1), Pair(algorithms=both, seed=2)
    packets = spoken(first, TEXT, 32)
    spoken(second, b"", 1)
    second.server.receive(packets[0], 0.0)
    if second.server.phase is not Phase.CLOSED:
        second.server.receive_eof()
    events = second.server.take_events()
    assert not of(events, Data)
    assert isinstance(error(events), RemoteProtocolError | ConnectionLost)


@EITHER
def test_plain_packets_after_newkeys(role: Role) -> None:
    """Once there are keys, nothing comes in without them."""
    done: list[Packet] = []

    def tap(packet: Packet) -> Iterable[bytes]:
        if packet.sender is not role or packet.payload[0] != 21 or done:
            return (packet.wire,)
        done.append(packet)
        return (packet.wire, plain(b"\x05\0\0\0\x0cssh-userauth"))

    pair = Middle(tap)
    pair.run()
    engine = pair.server if role is Role.CLIENT else pair.client
    if engine.phase is not Phase.CLOSED:
        engine.receive_eof()
        pair.run()
    assert done
    assert isinstance(error(log_of(pair, engine)), RemoteProtocolError | ConnectionLost)


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_stream_that_is_cut_off_is_a_loss(cut: int) -> None:
    """An attacker who closes the connection must not pass for an end in peace."""
    pair = Pair()
    packets = spoken(pair, TEXT, 32)
    pair.server.receive(packets[0][:cut], 0.0)
    pair.server.receive_eof()
    events = pair.server.take_events()
    found = error(events)
    assert isinstance(found, ConnectionLost)
    assert b"".join(bytes(e.data) for e in of(events, Data)) in {b"", TEXT}
