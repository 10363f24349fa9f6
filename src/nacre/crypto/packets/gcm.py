"""AES-GCM packets (RFC 5647), as OpenSSH names and negotiates them.

packet_length is sent in the clear and authenticated; a tag of 16 bytes ends the packet. The nonce
consists of 4 fixed bytes and a counter of 8 bytes, incremented for each packet. It never repeats
under one key, because a rekey comes long before 2**64 packets.
"""

from __future__ import annotations

from struct import Struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from nacre.crypto.packets.seal import (
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


class GcmSealer(Sealer):
    """Encrypts packets with AES-GCM."""

    __slots__ = ("_counter", "_encrypt_into", "_fixed")

    def __init__(self, key: bytes, iv: bytes, sequence: int, random: Random) -> None:
        super().__init__(sequence, random, _BLOCK)
        self._encrypt_into = AESGCM(key).encrypt_into
        self._fixed = iv[:4]
        self._counter: int = _COUNTER.unpack_from(iv, 4)[0]

    def seal(self, head: bytes, body: Buffer, out: memoryview, at: int) -> int:
        """See :meth:`~nacre.crypto.packets.seal.Sealer.seal`."""
        size = 1 + len(head) + len(body)
        padding = _BLOCK - size % _BLOCK
        if padding < MINIMUM_PADDING:
            padding += _BLOCK
        plain = b"".join((PADDING_LENGTH[padding], head, body, self.padding[:padding]))
        length = LENGTH.pack(size + padding)
        nonce = self._fixed + _COUNTER.pack(self._counter)
        self._counter = (self._counter + 1) & _COUNTER_MASK
        self.sequence = (self.sequence + 1) & SEQUENCE_MASK
        start = at + 4
        end = start + size + padding + _TAG
        out[at:start] = length
        self._encrypt_into(nonce, plain, length, out[start:end])
        return end

    def retire(self, cipher: str, key: bytes) -> bytes:
        """See :meth:`~nacre.crypto.packets.seal.Sealer.retire`."""
        return self._fixed + _COUNTER.pack(self._counter)


class GcmOpener(Opener):
    """Decrypts packets with AES-GCM."""

    __slots__ = ("_counter", "_decrypt", "_fixed")

    def __init__(self, key: bytes, iv: bytes, sequence: int, packet_limit: int) -> None:
        super().__init__(sequence, packet_limit)
        self._decrypt = AESGCM(key).decrypt
        self._fixed = iv[:4]
        self._counter: int = _COUNTER.unpack_from(iv, 4)[0]

    def packet_size(self, header: Buffer) -> int:
        """See :meth:`~nacre.crypto.packets.seal.Opener.packet_size`."""
        length: int = LENGTH.unpack_from(header)[0]
        if length > self.packet_limit or length < _BLOCK or length % _BLOCK:
            raise length_error(length, self.packet_limit)
        return 4 + length + _TAG

    def open(self, packet: Buffer) -> memoryview:
        """See :meth:`~nacre.crypto.packets.seal.Opener.open`."""
        nonce = self._fixed + _COUNTER.pack(self._counter)
        try:
            plain = self._decrypt(nonce, packet[4:], packet[:4])
        except InvalidTag:
            raise PacketCorrupt("message authentication code incorrect") from None
        self._counter = (self._counter + 1) & _COUNTER_MASK
        self.sequence = (self.sequence + 1) & SEQUENCE_MASK
        return payload(plain)

    def retire(self, cipher: str, key: bytes) -> bytes:
        """See :meth:`~nacre.crypto.packets.seal.Opener.retire`."""
        return self._fixed + _COUNTER.pack(self._counter)
