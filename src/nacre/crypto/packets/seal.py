"""The binary packet (RFC 4253 section 6): a Sealer encrypts packets, an Opener decrypts them.

A Sealer serves one outgoing direction under one key, an Opener one incoming direction. This module
has the interface, and the packets before the first key exchange; ``gcm``, ``chacha`` and ``stream``
have the encrypted ones, and ``registry`` selects one of them.

A packet on the wire is ``uint32 packet_length``, ``byte padding_length``, payload, padding, and the
MAC or tag. packet_length counts neither itself nor the MAC.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from struct import Struct
from typing import TypeAlias

from nacre.errors import PacketCorrupt, PacketTooLarge, RemoteProtocolError
from nacre.wire.codec import Buffer

Random: TypeAlias = Callable[[int], bytes]
"""A source of randomness: n -> n random bytes."""

LENGTH = Struct(">I")
PADDING_LENGTH = tuple(bytes((n,)) for n in range(256))
SEQUENCE_MASK = 0xFFFFFFFF
MINIMUM_PADDING = 4

OVERHEAD = 128
"""Bytes that a Sealer may write in addition to a payload: length, padding, a MAC of 64, and one
more block, which some ciphers require in the output buffer."""


class Sealer(ABC):
    """Encrypts the packets of one outgoing direction under one key.

    :ivar sequence: the sequence number of the next packet, modulo 2**32.
    """

    __slots__ = ("padding", "sequence")

    def __init__(self, sequence: int, random: Random, block: int) -> None:
        self.sequence = sequence
        # Drawn once: padding must be unknown to an eavesdropper, but need not be fresh.
        self.padding = random(block + MINIMUM_PADDING)

    @abstractmethod
    def seal(self, head: bytes, body: Buffer, out: memoryview, at: int) -> int:
        """Write the packet whose payload is ``head`` followed by ``body``, and count ``sequence``.

        :param out: has room for the payload and ``OVERHEAD`` bytes from ``at`` on.
        :returns: the end of the packet in ``out``.
        """

    def retire(self, cipher: str, key: bytes) -> bytes:
        """Return the IV of a Sealer that goes on under the same key; this one is spent.

        :param cipher: the cipher's name, and ``key`` its key, which it was made of.
        """
        return b""


class Opener(ABC):
    """Decrypts the packets of one incoming direction under one key.

    :ivar sequence: the sequence number of the next packet, modulo 2**32.
    :ivar header_size: how many bytes of a packet ``packet_size`` needs.
    """

    __slots__ = ("header_size", "packet_limit", "sequence")

    def __init__(self, sequence: int, packet_limit: int, header_size: int = 4) -> None:
        self.sequence = sequence
        self.packet_limit = packet_limit
        self.header_size = header_size

    @abstractmethod
    def packet_size(self, header: Buffer) -> int:
        """Return the size of the packet on the wire, from its length to its MAC or tag.

        It may be called more than once for the same packet.

        :param header: the packet's first ``header_size`` bytes; more may follow.
        :raises PacketTooLarge: packet_length is above ``packet_limit``.
        :raises PacketCorrupt: it is too small, or not a multiple of the block size.
        """

    @abstractmethod
    def open(self, packet: Buffer) -> memoryview:
        """Return the payload of a packet of ``packet_size`` bytes, and count ``sequence``.

        The payload is never empty, and never a view of ``packet``.

        :raises PacketCorrupt: the MAC or tag does not verify, or the padding is wrong.
        """

    def retire(self, cipher: str, key: bytes) -> bytes:
        """Return the IV of an Opener that goes on under the same key; this one is spent.

        Call it between two packets, before ``packet_size`` is called for the second.

        :param cipher: the cipher's name, and ``key`` its key, which it was made of.
        """
        return b""


def length_error(length: int, limit: int) -> RemoteProtocolError:
    """Return the error to raise for a packet_length that is out of bounds."""
    if length > limit:
        return PacketTooLarge(f"Bad packet length {length}: it is above the bound of {limit}")
    return PacketCorrupt(
        f"Bad packet length {length}: it is too small or not a whole number of blocks"
    )


def payload(plain: bytes, start: int = 0) -> memoryview:
    """Return the payload in ``plain``: padding_length is at ``start``, the padding at the end.

    :raises PacketCorrupt: there are less than 4 bytes of padding, or there is no payload.
    """
    padding = plain[start]
    end = len(plain) - padding
    if padding < MINIMUM_PADDING or end < start + 2:
        raise PacketCorrupt(f"a packet of {len(plain)} bytes with a padding_length of {padding}")
    return memoryview(plain)[start + 1 : end]


class PlainSealer(Sealer):
    """Packets before the first key exchange: no encryption, no MAC, blocks of 8 bytes."""

    __slots__ = ()

    def __init__(self, random: Random) -> None:
        super().__init__(0, random, 8)

    def seal(self, head: bytes, body: Buffer, out: memoryview, at: int) -> int:
        """See :meth:`Sealer.seal`."""
        size = 1 + len(head) + len(body)
        padding = 8 - (size + 4) % 8
        if padding < MINIMUM_PADDING:
            padding += 8
        end = at + 4 + size + padding
        out[at:end] = b"".join(
            (
                LENGTH.pack(size + padding),
                PADDING_LENGTH[padding],
                head,
                body,
                self.padding[:padding],
            )
        )
        self.sequence = (self.sequence + 1) & SEQUENCE_MASK
        return end


class PlainOpener(Opener):
    """Packets before the first key exchange."""

    __slots__ = ()

    def __init__(self, packet_limit: int) -> None:
        super().__init__(0, packet_limit)

    def packet_size(self, header: Buffer) -> int:
        """See :meth:`Opener.packet_size`."""
        length: int = LENGTH.unpack_from(header)[0]
        if length > self.packet_limit or length < 12 or (length + 4) % 8:
            raise length_error(length, self.packet_limit)
        return length + 4

    def open(self, packet: Buffer) -> memoryview:
        """See :meth:`Opener.open`."""
        opened = payload(bytes(packet), 4)
        self.sequence = (self.sequence + 1) & SEQUENCE_MASK
        return opened


_SHORTEST_BARE = 5


class BareSealer(Sealer):
    """Packets without encryption and MAC (OpenSSH's PROTOCOL.mux, section 9).

    They have no padding, unless the payload has fewer than four bytes: OpenSSH's clients end the
    connection at a packet of fewer than five bytes, which a reply to a global request is.
    """

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(0, bytes, 0)

    def seal(self, head: bytes, body: Buffer, out: memoryview, at: int) -> int:
        """See :meth:`Sealer.seal`."""
        size = 1 + len(head) + len(body)
        padding = max(0, _SHORTEST_BARE - size)
        end = at + 4 + size + padding
        start = LENGTH.pack(size + padding), PADDING_LENGTH[padding]
        out[at:end] = b"".join((*start, head, body, bytes(padding)))
        self.sequence = (self.sequence + 1) & SEQUENCE_MASK
        return end


class BareOpener(Opener):
    """The packets of :class:`BareSealer`."""

    __slots__ = ()

    def __init__(self, packet_limit: int) -> None:
        super().__init__(0, packet_limit)

    def packet_size(self, header: Buffer) -> int:
        """See :meth:`Opener.packet_size`."""
        length: int = LENGTH.unpack_from(header)[0]
        if not 2 <= length <= self.packet_limit:
            raise length_error(length, self.packet_limit)
        return length + 4

    def open(self, packet: Buffer) -> memoryview:
        """See :meth:`Opener.open`."""
        end = len(packet) - packet[4]
        if end < 6:
            raise PacketCorrupt("a packet with nothing but padding")
        self.sequence = (self.sequence + 1) & SEQUENCE_MASK
        return memoryview(bytes(packet))[5:end]
