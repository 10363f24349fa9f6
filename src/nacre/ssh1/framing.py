"""Packets of SSH-1: a length in clear, then padding, message and CRC-32, which are encrypted.

``length`` counts the message, whose first byte is its type, and the CRC; 1 to 8 bytes of padding
fill the last block. Nothing authenticates a packet: the CRC detects damage, but an attacker can
compute it; see :func:`nacre.crypto.legacy.compensates`.
"""

from __future__ import annotations

from struct import Struct

from nacre.crypto import legacy
from nacre.crypto.packets.compress import Compressor, Decompressor
from nacre.crypto.packets.seal import Random
from nacre.errors import DisconnectCode, PacketCorrupt, PacketTooLarge, RemoteProtocolError
from nacre.limits import Limits
from nacre.protocol.events import Event, MessageSeen
from nacre.wire.codec import Buffer
from nacre.wire.message import Message

MAXIMUM = 262144
"""The largest legal length."""

_LENGTH = Struct(">I")
_CRC = 4
_SMALLEST = 5
_DATA = frozenset({16, 17, 18, 23})


class SSH1Outbox:
    """The output of every layer: messages in, packets out.

    :ivar buffer: the packets that wait to be sent.
    """

    def __init__(self, events: list[Event], *, random: Random, trace: bool) -> None:
        self.buffer = bytearray()
        self._events = events
        self._random = random
        self._trace = trace
        self._cipher: legacy.Cipher | None = None
        self._compressor: Compressor | None = None

    def encrypt_with(self, cipher: legacy.Cipher) -> None:
        """Encrypt the following packets."""
        self._cipher = cipher

    def compress_with(self, compressor: Compressor) -> None:
        """Compress the following messages."""
        self._compressor = compressor

    def send(self, message: Message) -> None:
        """Send a message."""
        self.send_payload(message.encode())

    def send_payload(self, payload: bytes) -> None:
        """Send an encoded message."""
        if self._trace:
            self._events.append(MessageSeen("out", payload))
        if self._compressor is not None:
            payload = self._compressor.compress(payload)
        length = len(payload) + _CRC
        # 1 to 8 bytes of padding.
        packet = self._random(8 - length % 8) + payload
        packet += _LENGTH.pack(legacy.crc32(packet))
        self.buffer += _LENGTH.pack(length)
        self.buffer += packet if self._cipher is None else self._cipher.update(packet)

    def take(self) -> memoryview:
        """Return all packets; the caller owns their memory."""
        taken, self.buffer = self.buffer, bytearray()
        return memoryview(taken)


class SSH1Inbox:
    """Input: received bytes, in portions of any size, to the messages of packets."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held = bytearray()
        self._at = 0
        self._cipher: legacy.Cipher | None = None
        self._decompressor: Decompressor | None = None
        self._decompressed = 0

    def decrypt_with(self, cipher: legacy.Cipher) -> None:
        """Decrypt the following packets."""
        self._cipher = cipher

    def decompress_with(self, decompressor: Decompressor) -> None:
        """Decompress the following messages."""
        self._decompressor = decompressor

    def feed(self, data: Buffer) -> None:
        """Take bytes; then call ``next`` until it returns None, and ``check``."""
        if self._at:
            del self._held[: self._at]
            self._at = 0
        self._held += data
        self._decompressed = 0

    def check(self) -> None:
        """Check the number of bytes that wait to be read.

        :raises RemoteProtocolError: it is above the bound.
        """
        if len(self._held) - self._at > self._limits.held_input:
            raise RemoteProtocolError("the peer sends too much while it has to wait for an answer")

    def next(self) -> Buffer | None:
        """Return the next message, or None if no complete packet has arrived.

        :raises RemoteProtocolError: PacketTooLarge, PacketCorrupt, or an error of decompression.
        """
        if len(self._held) - self._at < _LENGTH.size:
            return None
        length: int = _LENGTH.unpack_from(self._held, self._at)[0]
        if length > min(MAXIMUM, self._limits.packet):
            raise PacketTooLarge(f"a packet of {length} bytes is above the bound of {MAXIMUM}")
        if length < _SMALLEST:
            raise PacketCorrupt(f"a packet of {length} bytes is too small for a message")
        padding = 8 - length % 8
        start = self._at + _LENGTH.size
        end = start + padding + length
        if len(self._held) < end:
            return None
        packet = bytes(self._held[start:end])
        self._at = end
        payload = self._open(packet)[padding:-_CRC]
        if self._decompressor is None:
            return payload
        return self._decompress(self._decompressor, payload)

    def _decompress(self, decompressor: Decompressor, payload: Buffer) -> bytes:
        grown = decompressor.decompress(payload)
        if grown[0] not in _DATA:
            # Data is bounded by its readers; other messages could cause replies without end.
            self._decompressed += len(grown)
            if self._decompressed > self._limits.decompressed_requests:
                raise RemoteProtocolError(
                    "compression: the peer's messages are too large after decompression",
                    DisconnectCode.COMPRESSION_ERROR,
                )
        return grown

    def _open(self, packet: bytes) -> memoryview:
        if self._cipher is not None:
            if legacy.compensates(packet):
                raise PacketCorrupt("a packet repeats ciphertext as the CRC attack does")
            packet = self._cipher.update(packet)
        if legacy.crc32(memoryview(packet)[:-_CRC]) != _LENGTH.unpack(packet[-_CRC:])[0]:
            raise PacketCorrupt("a packet's CRC is wrong")
        return memoryview(packet)

    def clear(self) -> None:
        """Drop all bytes: the connection has ended."""
        self._held.clear()
        self._at = 0
