"""Packets of a cipher with a separate MAC: AES-CTR (RFC 4344), CBC (RFC 4253 section 6.3).

There are two orders. With ``…-etm@openssh.com`` the MAC covers the encrypted packet: packet_length
is in the clear, and nothing is decrypted before the MAC has verified. In the RFC's order the MAC
covers the plain packet, and packet_length is encrypted with the rest: an Opener has to decrypt the
first block to learn the size.

With CBC in the RFC's order, the point at which a connection breaks shows an attacker packet_length,
and by that part of a block of the attacker's choice (CVE-2008-5161). Refusing at once, as done
here, does not prevent that: CBC is legacy, and only used when it is named.
"""

from __future__ import annotations

from hmac import compare_digest

from cryptography.hazmat.primitives.ciphers import CipherContext

from nacre.crypto.packets.block import iv_of
from nacre.crypto.packets.mac import Mac
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


class StreamSealer(Sealer):
    """Encrypts packets, with a MAC over the plain packet."""

    __slots__ = ("_block", "_mac", "_update_into")

    def __init__(
        self, encryptor: CipherContext, block: int, mac: Mac, sequence: int, random: Random
    ) -> None:
        super().__init__(sequence, random, block)
        self._update_into = encryptor.update_into
        self._block = block
        self._mac = mac

    def seal(self, head: bytes, body: Buffer, out: memoryview, at: int) -> int:
        """See :meth:`~nacre.crypto.packets.seal.Sealer.seal`."""
        size = 1 + len(head) + len(body)
        padding = self._block - (size + 4) % self._block
        if padding < MINIMUM_PADDING:
            padding += self._block
        plain = b"".join(
            (
                LENGTH.pack(size + padding),
                PADDING_LENGTH[padding],
                head,
                body,
                self.padding[:padding],
            )
        )
        end = at + self._update_into(plain, out[at:])
        return self._add_tag(out, end, plain)

    def retire(self, cipher: str, key: bytes) -> bytes:
        """See :meth:`~nacre.crypto.packets.seal.Sealer.retire`."""
        block = bytearray(2 * self._block)
        self._update_into(bytes(self._block), block)
        return iv_of(cipher, key, bytes(block[: self._block]), encrypts=True)

    def _add_tag(self, out: memoryview, at: int, text: Buffer) -> int:
        tag = self._mac.tag(self.sequence, text)
        self.sequence = (self.sequence + 1) & SEQUENCE_MASK
        end = at + self._mac.size
        out[at:end] = tag
        return end


class EtmSealer(StreamSealer):
    """Encrypts packets without their packet_length, with a MAC over the result."""

    __slots__ = ()

    def seal(self, head: bytes, body: Buffer, out: memoryview, at: int) -> int:
        """See :meth:`~nacre.crypto.packets.seal.Sealer.seal`."""
        size = 1 + len(head) + len(body)
        padding = self._block - size % self._block
        if padding < MINIMUM_PADDING:
            padding += self._block
        start = at + 4
        out[at:start] = LENGTH.pack(size + padding)
        plain = b"".join((PADDING_LENGTH[padding], head, body, self.padding[:padding]))
        end = start + self._update_into(plain, out[start:])
        return self._add_tag(out, end, out[at:end])


class StreamOpener(Opener):
    """Decrypts packets, then verifies the MAC over the plain packet."""

    __slots__ = ("_block", "_first", "_mac", "_update")

    def __init__(
        self, decryptor: CipherContext, block: int, mac: Mac, sequence: int, packet_limit: int
    ) -> None:
        super().__init__(sequence, packet_limit, block)
        self._update = decryptor.update
        self._block = block
        self._mac = mac
        self._first = b""

    def packet_size(self, header: Buffer) -> int:
        """See :meth:`~nacre.crypto.packets.seal.Opener.packet_size`."""
        # The cipher's state advances with each block: the first is decrypted once per packet.
        if not self._first:
            self._first = self._update(header[: self._block])
        length: int = LENGTH.unpack_from(self._first)[0]
        if length > self.packet_limit or length < 12 or (length + 4) % self._block:
            raise length_error(length, self.packet_limit)
        return 4 + length + self._mac.size

    def open(self, packet: Buffer) -> memoryview:
        """See :meth:`~nacre.crypto.packets.seal.Opener.open`."""
        plain = self._first + self._update(packet[self._block : -self._mac.size])
        tag = self._mac.tag(self.sequence, plain)
        if not compare_digest(tag, packet[-self._mac.size :]):
            raise PacketCorrupt("message authentication code incorrect")
        self._first = b""
        self.sequence = (self.sequence + 1) & SEQUENCE_MASK
        return payload(plain, 4)

    def retire(self, cipher: str, key: bytes) -> bytes:
        """See :meth:`~nacre.crypto.packets.seal.Opener.retire`."""
        return iv_of(cipher, key, self._update(bytes(self._block)), encrypts=False)


class EtmOpener(StreamOpener):
    """Verifies the MAC, then decrypts the packet."""

    __slots__ = ()

    def __init__(
        self, decryptor: CipherContext, block: int, mac: Mac, sequence: int, packet_limit: int
    ) -> None:
        super().__init__(decryptor, block, mac, sequence, packet_limit)
        self.header_size = 4

    def packet_size(self, header: Buffer) -> int:
        """See :meth:`~nacre.crypto.packets.seal.Opener.packet_size`."""
        length: int = LENGTH.unpack_from(header)[0]
        if length > self.packet_limit or length < self._block or length % self._block:
            raise length_error(length, self.packet_limit)
        return 4 + length + self._mac.size

    def open(self, packet: Buffer) -> memoryview:
        """See :meth:`~nacre.crypto.packets.seal.Opener.open`."""
        end = -self._mac.size
        tag = self._mac.tag(self.sequence, packet[:end])
        if not compare_digest(tag, packet[end:]):
            raise PacketCorrupt("message authentication code incorrect")
        self.sequence = (self.sequence + 1) & SEQUENCE_MASK
        return payload(self._update(packet[4:end]))
