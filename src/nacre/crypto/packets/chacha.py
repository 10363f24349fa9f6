"""chacha20-poly1305@openssh.com (OpenSSH's PROTOCOL.chacha20poly1305).

The key consists of two ChaCha20 keys. The first 32 bytes (K_2) encrypt the packet, and block 0 of
their key stream is the key of Poly1305; the last 32 (K_1) encrypt packet_length only. The nonce is
the packet's sequence number. Poly1305 covers the encrypted length and the ciphertext.
"""

from __future__ import annotations

from hmac import compare_digest
from struct import Struct

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.poly1305 import Poly1305

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

_BLOCK = 8
_TAG = 16

# Block counter 0, then the sequence number: in the original ChaCha20 both have 64 bits.
_NONCE = Struct(">QQ")
_KEY_STREAM_BLOCK = bytes(64)


def _context(key: bytes) -> CipherContext:
    return Cipher(ChaCha20(key, bytes(16)), None).encryptor()


def _start(main: CipherContext, nonce: bytes) -> bytes:
    """Return the Poly1305 key of the packet, and move ``main`` to block 1, the ciphertext."""
    main.reset_nonce(nonce)
    return main.update(_KEY_STREAM_BLOCK)[:32]


class ChaChaSealer(Sealer):
    """Encrypts packets with ChaCha20 and Poly1305."""

    __slots__ = ("_lengths", "_main")

    def __init__(self, key: bytes, sequence: int, random: Random) -> None:
        super().__init__(sequence, random, _BLOCK)
        self._main = _context(key[:32])
        self._lengths = _context(key[32:])

    def seal(self, head: bytes, body: Buffer, out: memoryview, at: int) -> int:
        """See :meth:`~nacre.crypto.packets.seal.Sealer.seal`."""
        size = 1 + len(head) + len(body)
        padding = _BLOCK - size % _BLOCK
        if padding < MINIMUM_PADDING:
            padding += _BLOCK
        nonce = _NONCE.pack(0, self.sequence)
        self.sequence = (self.sequence + 1) & SEQUENCE_MASK
        self._lengths.reset_nonce(nonce)
        start = at + 4
        out[at:start] = self._lengths.update(LENGTH.pack(size + padding))
        poly_key = _start(self._main, nonce)
        plain = b"".join((PADDING_LENGTH[padding], head, body, self.padding[:padding]))
        end = start + self._main.update_into(plain, out[start:])
        out[end : end + _TAG] = Poly1305.generate_tag(poly_key, out[at:end])
        return end + _TAG


class ChaChaOpener(Opener):
    """Decrypts packets with ChaCha20 and Poly1305."""

    __slots__ = ("_length", "_lengths", "_main")

    def __init__(self, key: bytes, sequence: int, packet_limit: int) -> None:
        super().__init__(sequence, packet_limit)
        self._main = _context(key[:32])
        self._lengths = _context(key[32:])
        self._length = 0

    def packet_size(self, header: Buffer) -> int:
        """See :meth:`~nacre.crypto.packets.seal.Opener.packet_size`."""
        if not self._length:
            self._lengths.reset_nonce(_NONCE.pack(0, self.sequence))
            length: int = LENGTH.unpack(self._lengths.update(header[:4]))[0]
            if length > self.packet_limit or length < _BLOCK or length % _BLOCK:
                raise length_error(length, self.packet_limit)
            self._length = length
        return 4 + self._length + _TAG

    def open(self, packet: Buffer) -> memoryview:
        """See :meth:`~nacre.crypto.packets.seal.Opener.open`."""
        key = _start(self._main, _NONCE.pack(0, self.sequence))
        tag = Poly1305.generate_tag(key, packet[:-_TAG])
        # Nothing is decrypted before the tag has verified.
        if not compare_digest(tag, packet[-_TAG:]):
            raise PacketCorrupt("message authentication code incorrect")
        self._length = 0
        self.sequence = (self.sequence + 1) & SEQUENCE_MASK
        return payload(self._main.update(packet[4:-_TAG]))


def encrypt(key: bytes, data: Buffer) -> bytes:
    """Return ``data`` encrypted, and its tag, as in private-key files: sequence number 0."""
    main = _context(key[:32])
    poly_key = _start(main, bytes(16))
    text = main.update(data)
    return text + Poly1305.generate_tag(poly_key, text)


def decrypt(key: bytes, data: Buffer) -> bytes:
    """Return the plain text of what :func:`encrypt` returned.

    :raises ValueError: the tag does not verify.
    """
    main = _context(key[:32])
    tag = Poly1305.generate_tag(_start(main, bytes(16)), data[:-_TAG])
    if not compare_digest(tag, data[-_TAG:]):
        raise ValueError("the tag does not verify")
    return main.update(data[:-_TAG])
