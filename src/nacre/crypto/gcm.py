"""AES-GCM packets (RFC 5647), as OpenSSH names and negotiates them.

packet_length is sent in the clear and authenticated; a tag of 16 octets ends the packet. The nonce
is 4 fixed octets and a counter of 8 octets that goes up by one per packet: it is never repeated
under one key, because a rekey comes long before 2**64 packets.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from nacre.crypto.seal import (
    LENGTH,
    MINIMUM_PADDING,
    PADDING_LENGTH,
    SEQUENCE_MASK,
    Opener,
    Random,
    Sealer,
    length_error,
    payload,
)
from nacre.errors import PacketCorrupt
from nacre.wire.codec import Buffer

_COUNTER = Struct(">Q")
_COUNTER_MASK = (1 << 64) - 1
_BLOCK = 16
_TAG = 16

# What ``out`` grows by, before the cipher writes over it: adding from one lasting block of zeros
# is faster than to allocate and clear a new one for each packet.
_ROOM = 288 * 1024
_ZEROS = memoryview(bytes(_ROOM))


def _padding(size: int) -> int:
    padding = _BLOCK - size % _BLOCK
    return padding if padding >= MINIMUM_PADDING else padding + _BLOCK


class GcmSealer(Sealer):
    """Seals with AES-GCM."""

    __slots__ = ("_counter", "_encrypt_into", "_fixed")

    def __init__(self, key: bytes, iv: bytes, sequence: int, random: Random) -> None:
        super().__init__(sequence, random, _BLOCK)
        self._encrypt_into = AESGCM(key).encrypt_into
        self._fixed = iv[:4]
        self._counter: int = _COUNTER.unpack_from(iv, 4)[0]

    def seal(self, head: bytes, body: Buffer, out: bytearray) -> None:
        """See :meth:`~nacre.crypto.seal.Sealer.seal`."""
        size = 1 + len(head) + len(body)
        padding = _BLOCK - size % _BLOCK
        if padding < MINIMUM_PADDING:
            padding += _BLOCK
        plain = b"".join((PADDING_LENGTH[padding], head, body, self.padding[:padding]))
        size += padding
        start = len(out)
        room = 4 + size + _TAG
        out += _ZEROS[:room] if room <= _ROOM else bytes(room)
        # The view must be released: the caller can't resize ``out`` while one is alive.
        with memoryview(out) as view:
            self._seal_into(view, start, plain, size)

    def seal_all(self, packets: Sequence[tuple[bytes, Buffer]], out: bytearray) -> None:
        """See :meth:`~nacre.crypto.seal.Sealer.seal_all`; ``out`` grows and moves but once."""
        start = len(out)
        sizes = [1 + len(head) + len(body) for head, body in packets]
        room = sum(size + _padding(size) + 4 + _TAG for size in sizes)
        out += _ZEROS[:room] if room <= _ROOM else bytes(room)
        with memoryview(out) as view:
            for (head, body), size in zip(packets, sizes, strict=True):
                padding = _padding(size)
                plain = b"".join((PADDING_LENGTH[padding], head, body, self.padding[:padding]))
                start = self._seal_into(view, start, plain, size + padding)

    def _seal_into(self, view: memoryview, start: int, plain: bytes, size: int) -> int:
        """Write the packet of ``plain``, which has ``size`` octets; returns where it ends."""
        length = LENGTH.pack(size)
        nonce = self._fixed + _COUNTER.pack(self._counter)
        self._counter = (self._counter + 1) & _COUNTER_MASK
        self.sequence = (self.sequence + 1) & SEQUENCE_MASK
        view[start : start + 4] = length
        end = start + 4 + size + _TAG
        with view[start + 4 : end] as sealed:
            self._encrypt_into(nonce, plain, length, sealed)
        return end


class GcmOpener(Opener):
    """Opens what was sealed with AES-GCM."""

    __slots__ = ("_counter", "_decrypt", "_fixed")

    def __init__(self, key: bytes, iv: bytes, sequence: int, packet_limit: int) -> None:
        super().__init__(sequence, packet_limit)
        self._decrypt = AESGCM(key).decrypt
        self._fixed = iv[:4]
        self._counter: int = _COUNTER.unpack_from(iv, 4)[0]

    def packet_size(self, header: Buffer) -> int:
        """See :meth:`~nacre.crypto.seal.Opener.packet_size`."""
        length: int = LENGTH.unpack_from(header)[0]
        if length > self.packet_limit or length < _BLOCK or length % _BLOCK:
            raise length_error(length, self.packet_limit)
        return 4 + length + _TAG

    def open(self, packet: Buffer) -> memoryview:
        """See :meth:`~nacre.crypto.seal.Opener.open`."""
        nonce = self._fixed + _COUNTER.pack(self._counter)
        try:
            plain = self._decrypt(nonce, packet[4:], packet[:4])
        except InvalidTag:
            raise PacketCorrupt("a packet's tag does not verify") from None
        self._counter = (self._counter + 1) & _COUNTER_MASK
        self.sequence = (self.sequence + 1) & SEQUENCE_MASK
        return payload(plain)
