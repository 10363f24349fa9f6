"""The binary packet (RFC 4253 section 6): a Sealer makes packets, an Opener takes them apart.

One Sealer serves one outgoing direction under one key, one Opener one incoming direction. This
module has the interface and the packets before the first key exchange; ``gcm``, ``chacha`` and
``stream`` have the encrypted ones, and ``registry`` picks.

A packet on the wire is ``uint32 packet_length``, ``byte padding_length``, payload, padding, MAC or
tag. packet_length counts neither itself nor the MAC.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from struct import Struct
from typing import TypeAlias

from nacre.errors import PacketCorrupt, PacketTooLarge, RemoteProtocolError
from nacre.wire.codec import Buffer

Random: TypeAlias = Callable[[int], bytes]
"""A source of randomness, handed in: n -> n random bytes."""

LENGTH = Struct(">I")
PADDING_LENGTH = tuple(bytes((n,)) for n in range(256))
SEQUENCE_MASK = 0xFFFFFFFF
MINIMUM_PADDING = 4

OVERHEAD = 128
"""Bytes that a Sealer may write beside a payload: length, padding, a MAC of 64, and a block more
that some ciphers want to see."""


class Sealer(ABC):
    """Makes the packets of one outgoing direction under one key.

    :ivar sequence: the number of the next packet, modulo 2**32.
    """

    __slots__ = ("padding", "sequence")

    def __init__(self, sequence: int, random: Random, block: int) -> None:
        self.sequence = sequence
        # Drawn once: the padding only has to be unknown to who reads the wire, not to be fresh.
        self.padding = random(block + MINIMUM_PADDING)

    @abstractmethod
    def seal(self, head: bytes, body: Buffer, out: memoryview, at: int) -> int:
        """Write the whole packet whose payload is ``head`` followed by ``body``.

        ``sequence`` goes up by one.

        :param out: has room for the payload and ``OVERHEAD`` from ``at`` on.
        :returns: where in ``out`` the packet ends.
        """


class Opener(ABC):
    """Takes apart the packets of one incoming direction under one key.

    :ivar sequence: the number of the next packet, modulo 2**32.
    :ivar header_size: bytes of a packet that ``packet_size`` needs to see.
    """

    __slots__ = ("header_size", "packet_limit", "sequence")

    def __init__(self, sequence: int, packet_limit: int, header_size: int = 4) -> None:
        self.sequence = sequence
        self.packet_limit = packet_limit
        self.header_size = header_size

    @abstractmethod
    def packet_size(self, header: Buffer) -> int:
        """Return the bytes of the whole packet on the wire, from its length to its MAC or tag.

        :param header: the packet's first ``header_size`` bytes; more may follow. Asking again for
            the same packet gives the same answer.
        :raises PacketTooLarge: packet_length is above ``packet_limit``.
        :raises PacketCorrupt: it is too small, or does not fill whole blocks.
        """

    @abstractmethod
    def open(self, packet: Buffer) -> memoryview:
        """Return the payload of a packet of ``packet_size`` bytes; ``sequence`` goes up by one.

        The payload has memory of its own: it is never a view of ``packet``. It is not empty.

        :raises PacketCorrupt: the MAC or tag does not verify, or the padding is wrong.
        """


def length_error(length: int, limit: int) -> RemoteProtocolError:
    """Return what to raise for a packet_length that is out of bounds."""
    if length > limit:
        return PacketTooLarge(f"a packet_length of {length} is above the bound of {limit}")
    return PacketCorrupt(f"a packet_length of {length} is too small or fills no whole blocks")


def payload(plain: bytes, start: int = 0) -> memoryview:
    """Return the payload of ``plain``, whose padding_length is at ``start`` and padding at its end.

    :raises PacketCorrupt: less than 4 bytes of padding, or no payload before it.
    """
    padding = plain[start]
    end = len(plain) - padding
    if padding < MINIMUM_PADDING or end < start + 2:
        raise PacketCorrupt(f"a packet of {len(plain)} bytes says that {padding} are padding")
    return memoryview(plain)[start + 1 : end]


class PlainSealer(Sealer):
    """Packets before the first key exchange: no encryption, no MAC, blocks of 8."""

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
