"""Packets in a stream: a uint32 length, then as many octets (draft-ietf-secsh-filexfer-02, 3)."""

from __future__ import annotations

from struct import Struct

from nacre.errors import LocalProtocolError, MalformedMessage, PacketTooLarge
from nacre.wire.codec import Buffer

_LENGTH = Struct(">I")


class Inbox:
    """Cuts a stream that comes in any portions into packets.

    A packet that lies whole in one portion is handed out where it lies; one that is split is put
    together in memory of its own. So a portion's memory must not be used again by the caller.
    """

    __slots__ = ("_at", "_bound", "_gathered", "_head", "_parts", "_size", "_view")

    def __init__(self, bound: int) -> None:
        """Take packets of at most ``bound`` octets, their length field not counted."""
        self._bound = bound
        self._view = memoryview(b"")
        self._at = 0
        self._head = bytearray()
        self._parts: list[memoryview] = []
        self._gathered = 0
        self._size = -1

    @property
    def hungry(self) -> bool:
        """Whether every octet that was fed has been looked at."""
        return self._at == len(self._view)

    @property
    def partial(self) -> bool:
        """Whether the stream is in the middle of a packet."""
        return self._size >= 0 or len(self._head) > 0 or not self.hungry

    def feed(self, data: Buffer) -> None:
        """Take the next portion; then call ``next`` until it returns None.

        :raises LocalProtocolError: when the portion before still holds whole packets.
        """
        if not self.hungry:
            raise LocalProtocolError("packets of the portion before are still waiting")
        self._view = memoryview(data)
        self._at = 0

    def next(self) -> memoryview | None:
        """Return the next packet without its length, or None when no whole one is there.

        :raises MalformedMessage: the packet is empty.
        :raises PacketTooLarge: its length is above the bound.
        """
        if self._size < 0:
            if not self._take_length():
                return None
            end = self._at + self._size
            if end <= len(self._view):
                packet = self._view[self._at : end]
                self._at = end
                self._size = -1
                return packet
        part = self._take(self._size - self._gathered)
        self._parts.append(part)
        self._gathered += len(part)
        if self._gathered < self._size:
            return None
        packet = memoryview(b"".join(self._parts))
        self._parts.clear()
        self._gathered = 0
        self._size = -1
        return packet

    def _take_length(self) -> bool:
        if not self._head and len(self._view) - self._at >= 4:
            size = _LENGTH.unpack_from(self._view, self._at)[0]
            self._at += 4
        else:
            self._head += self._take(4 - len(self._head))
            if len(self._head) < 4:
                return False
            size = _LENGTH.unpack(self._head)[0]
            self._head.clear()
        if size > self._bound:
            raise PacketTooLarge(f"a packet of {size} bytes: at most {self._bound} are taken")
        if not size:
            raise MalformedMessage("a packet of no bytes")
        self._size = size
        return True

    def _take(self, size: int) -> memoryview:
        part = self._view[self._at : self._at + size]
        self._at += len(part)
        return part
