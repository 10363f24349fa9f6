"""Input: received bytes, in portions of any size, to the payloads of packets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nacre.crypto.packets.compress import Decompressor
from nacre.crypto.packets.seal import BareOpener, Opener
from nacre.crypto.registry import PacketKeys
from nacre.errors import DisconnectCode, RemoteProtocolError
from nacre.limits import Limits
from nacre.wire.codec import Buffer
from nacre.wire.numbers import Msg

if TYPE_CHECKING:
    from nacre.protocol.frozen import FrozenDirection

_DATA = frozenset({int(Msg.CHANNEL_DATA), int(Msg.CHANNEL_EXTENDED_DATA)})


class Inbox:
    """Splits the peer's bytes into packets and opens them.

    Complete packets are opened in place, in the caller's buffer. Only a packet that is split over
    two calls is assembled in a buffer of this object. Each ``feed`` must be followed by ``keep``,
    after which the caller may reuse its buffer, or by ``leave``, if it passes the rest again.

    :ivar left: bytes that were fed and are not part of a packet returned so far.
    :ivar payload_bytes: payload bytes opened under the present key.
    :ivar packets: packets opened under the present key.
    :ivar keys: what the opener was made of, if :meth:`freeze` may be called; else None.
    """

    def __init__(self, opener: Opener, limits: Limits) -> None:
        self.left = 0
        self.payload_bytes = 0
        self.packets = 0
        self.keys: PacketKeys | None = None
        self._opener = opener
        self._decompressor: Decompressor | None = None
        self._decompressed = 0
        self._limits = limits
        self._held = bytearray()
        self._held_at = 0
        self._view: Buffer = b""
        self._at = 0

    @property
    def sequence(self) -> int:
        """The sequence number of the next packet."""
        return self._opener.sequence

    def rekeyed(self, opener: Opener) -> None:
        """Open the following packets with ``opener``. Call it at the peer's NEWKEYS."""
        self._opener = opener
        self.payload_bytes = self.packets = 0

    @property
    def decompresses(self) -> bool:
        """Whether payloads are decompressed."""
        return self._decompressor is not None

    def decompress_with(self, decompressor: Decompressor | None) -> None:
        """Decompress the following payloads; with None, do not."""
        self._decompressor = decompressor

    def feed(self, data: Buffer) -> None:
        """Take bytes; then call ``next`` until it returns None, and ``keep`` or ``leave``."""
        self._view = memoryview(data)
        self.left += len(data)
        self._decompressed = 0

    def next(self) -> Buffer | None:
        """Return the next payload, or None if no complete packet has arrived.

        :raises RemoteProtocolError: PacketTooLarge, PacketCorrupt, or an error of decompression.
        """
        if self._held:
            payload = self._next_held()
        else:
            view, start, opener = self._view, self._at, self._opener
            if self.left < opener.header_size:
                return None
            size = opener.packet_size(view[start:])
            if self.left < size:
                return None
            self._at = end = start + size
            self.left -= size
            payload = opener.open(view[start:end])
        if payload is None:
            return None
        self.packets += 1
        self.payload_bytes += len(payload)
        if self._decompressor is not None:
            return self._decompress(self._decompressor, payload)
        return payload

    def _decompress(self, decompressor: Decompressor, payload: Buffer) -> memoryview:
        grown = decompressor.decompress(payload)
        if grown[0] not in _DATA:
            self._decompressed += len(grown)
            if self._decompressed > self._limits.decompressed_requests:
                raise RemoteProtocolError(
                    "compression: the peer's messages are too large after decompression",
                    DisconnectCode.COMPRESSION_ERROR,
                )
        return memoryview(grown)

    def keep(self) -> None:
        """Copy the bytes of incomplete packets, so that the caller may reuse its buffer.

        :raises RemoteProtocolError: more bytes would be held than the bound allows.
        """
        rest = self._view[self._at :] if self.left else b""
        self._view, self._at = b"", 0
        if not rest:
            return
        if self._held_at:
            del self._held[: self._held_at]
            self._held_at = 0
        if len(self._held) + len(rest) > self._limits.held_input:
            raise RemoteProtocolError("the peer sends too much while it has to wait for an answer")
        self._held += rest

    def leave(self) -> int:
        """Drop the bytes of an incomplete packet at the end of the input, and return their number.

        The caller feeds them again, followed by the next bytes.
        """
        rest = len(self._view) - self._at
        self.left -= rest
        self._view, self._at = b"", 0
        return rest

    def clear(self) -> None:
        """Drop all bytes: the connection has ended."""
        self._held.clear()
        self._held_at = self.left = 0
        self._view, self._at = b"", 0

    def freeze(self) -> FrozenDirection:
        """Return the state of this direction, with the bytes that are kept.

        It needs ``keys``, and no compression. Call it right after ``next`` has returned a packet
        and the rest was kept: no length of a further packet was read. Nothing can be read
        afterwards.
        """
        from nacre.protocol.frozen import FrozenDirection

        assert self.keys is not None
        keys, opener = self.keys, self._opener
        self.keys, self._opener = None, BareOpener(opener.packet_limit)
        unread = bytes(self._held[self._held_at :])
        self.clear()
        return FrozenDirection.of(keys, opener, self.packets, self.payload_bytes, unread)

    def _next_held(self) -> memoryview | None:
        opener = self._opener
        if not self._pull(opener.header_size):
            return None
        start = self._held_at
        size = opener.packet_size(self._held[start : start + opener.header_size])
        if not self._pull(size):
            return None
        with memoryview(self._held) as held, held[start : start + size] as packet:
            payload = opener.open(packet)
        self._held_at += size
        self.left -= size
        if self._held_at == len(self._held):
            self._held.clear()
            self._held_at = 0
        return payload

    def _pull(self, size: int) -> bool:
        """Move bytes from the view until ``size`` are held; return False if there are too few."""
        missing = size - (len(self._held) - self._held_at)
        if missing > 0:
            moved = self._view[self._at : self._at + missing]
            self._held += moved
            self._at += len(moved)
            return len(moved) == missing
        return True
