"""Packets of SSH-1: lengths, CRC, ciphers, bounds."""

from __future__ import annotations

from struct import pack

import pytest

from nacre.crypto import legacy
from nacre.crypto.packets.compress import Compressor, Decompressor
from nacre.errors import PacketCorrupt, PacketTooLarge, RemoteProtocolError
from nacre.limits import KIB, Limits
from nacre.protocol.events import Event, MessageSeen
from nacre.ssh1 import messages as msg
from nacre.ssh1.framing import MAXIMUM, SSH1Inbox, SSH1Outbox

KEY = bytes(range(32))
CIPHERS = [None, *legacy.CIPHERS]


def ends(cipher: str | None = None, limits: Limits | None = None) -> tuple[SSH1Outbox, SSH1Inbox]:
    """Return an outbox and an inbox under one key."""
    outbox, inbox = SSH1Outbox([], random=bytes, trace=False), SSH1Inbox(limits or Limits())
    if cipher is not None:
        outbox.encrypt_with(legacy.cipher(cipher, KEY, encrypt=True))
        inbox.decrypt_with(legacy.cipher(cipher, KEY, encrypt=False))
    return outbox, inbox


def received(inbox: SSH1Inbox, data: bytes) -> list[bytes]:
    inbox.feed(data)
    found = []
    while (payload := inbox.next()) is not None:
        found.append(bytes(payload))
    inbox.check()
    return found


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("size", range(9))
def test_messages_of_every_padding_come_out(cipher: str | None, size: int) -> None:
    outbox, inbox = ends(cipher)
    payloads = [bytes((17, *range(size))), b"\x20last"]
    for payload in payloads:
        outbox.send_payload(payload)
    packets = bytes(outbox.take())
    assert len(packets) % 8 == 0, "two lengths of 4 bytes, and whole blocks"
    assert received(inbox, packets) == payloads
    assert bytes(outbox.take()) == b""


@pytest.mark.parametrize("cipher", [None, "3des"])
def test_bytes_one_at_a_time(cipher: str | None) -> None:
    outbox, inbox = ends(cipher)
    outbox.send(msg.User("alice"))
    found = [p for byte in bytes(outbox.take()) for p in received(inbox, bytes((byte,)))]
    assert [msg.User.decode(payload).user for payload in found] == ["alice"]


def test_a_changed_byte_is_noticed() -> None:
    outbox, inbox = ends()
    outbox.send(msg.User("alice"))
    packet = bytearray(outbox.take())
    packet[-6] ^= 1
    with pytest.raises(PacketCorrupt, match="CRC"):
        received(inbox, bytes(packet))


def test_the_crc_attack_is_noticed_before_anything_is_decrypted() -> None:
    _, inbox = ends("3des")
    blocks = b"".join(bytes((n,)) * 8 for n in range(9))
    with pytest.raises(PacketCorrupt, match="CRC attack"):
        received(inbox, pack(">I", 2 * len(blocks) - 8) + 2 * blocks)


@pytest.mark.parametrize(
    ("length", "error", "text"),
    [
        (MAXIMUM + 1, PacketTooLarge, "above the bound"),
        (4, PacketCorrupt, "too small"),
        (0, PacketCorrupt, "too small"),
    ],
)
def test_lengths_out_of_bounds(length: int, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        received(SSH1Inbox(Limits()), pack(">I", length))


def test_input_that_waits_is_bounded() -> None:
    inbox = SSH1Inbox(Limits(held_input=8 * KIB))
    inbox.feed(pack(">I", 100_000) + bytes(8 * KIB - 4))
    inbox.check()
    inbox.feed(b"x")
    with pytest.raises(RemoteProtocolError, match="sends too much while it has to wait"):
        inbox.check()


def test_compressed_messages_come_out() -> None:
    outbox, inbox = ends()
    outbox.compress_with(Compressor())
    inbox.decompress_with(Decompressor(64 * KIB))
    payloads = [b"\x11" + bytes(1000), b"\x20again"]
    for payload in payloads:
        outbox.send_payload(payload)
    assert received(inbox, bytes(outbox.take())) == payloads


def test_what_requests_grow_to_is_bounded_and_data_is_not() -> None:
    for number, bounded in ((17, False), (36, True)):
        outbox, inbox = ends(limits=Limits(decompressed_requests=4 * KIB))
        outbox.compress_with(Compressor())
        inbox.decompress_with(Decompressor(64 * KIB))
        for _ in range(3):
            outbox.send_payload(bytes((number,)) + bytes(2 * KIB))
        packets = bytes(outbox.take())
        if bounded:
            with pytest.raises(RemoteProtocolError, match="too large after decompression"):
                received(inbox, packets)
        else:
            assert len(received(inbox, packets)) == 3


def test_a_trace_has_the_message_in_the_clear() -> None:
    events: list[Event] = []
    outbox = SSH1Outbox(events, random=bytes, trace=True)
    outbox.encrypt_with(legacy.cipher("3des", KEY, encrypt=True))
    outbox.send(msg.User("alice"))
    assert events == [MessageSeen("out", msg.User("alice").encode())]


def test_nothing_is_left_after_the_end() -> None:
    outbox, inbox = ends()
    outbox.send(msg.User("alice"))
    inbox.feed(bytes(outbox.take()))
    inbox.clear()
    assert inbox.next() is None
