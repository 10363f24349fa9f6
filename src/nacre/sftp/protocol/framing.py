"""Packets in a stream: a uint32 length, then as many bytes (draft-ietf-secsh-filexfer-02, 3)."""

from __future__ import annotations

from struct import Struct

from nacre.errors import LocalProtocolError, MalformedMessage, PacketTooLarge
from nacre.wire.codec import Buffer

_LENGTH = Struct(">I")

_PARTS = 64
"""Parts of a packet that are kept apart; more are joined, so that tiny portions cost no memory."""


class SFTPInbox:
    """Cuts a stream, which arrives in portions of any size, into packets.

    Packets are not copied: each is returned as views of the portions it arrived in. So the caller
    must not reuse a portion's memory.

    :ivar left: bytes of the last portion that are not yet part of a packet.
    """

    __slots__ = ("_at", "_bound", "_head", "_missing", "_parts", "_view", "left")

    def __init__(self, bound: int) -> None:
        """Take packets of at most ``bound`` bytes, their length field not counted."""
        self.left = 0
        self._bound = bound
        self._view = memoryview(b"")
        self._at = 0
        self._head = bytearray()
        self._parts: list[memoryview] = []
        self._missing = 0

    @property
    def partial(self) -> bool:
        """Whether the stream is in the middle of a packet."""
        return self._missing > 0 or len(self._head) > 0 or self.left > 0

    def feed(self, data: Buffer) -> None:
        """Take the next portion; then call :meth:`next_parts` until nothing is ``left``.

        :raises LocalProtocolError: bytes of the portion before are ``left``.
        """
        if self.left:
            raise LocalProtocolError("packets of the portion before are still waiting")
        self._view = memoryview(data)
        self._at = 0
        self.left = len(self._view)

    def next_parts(self) -> list[memoryview] | None:
        """Return the next packet without its length, in parts; None when it is not complete.

        :raises MalformedMessage: the packet is empty.
        :raises PacketTooLarge: its length is above the bound.
        """
        if not self._missing:
            if not self._head and self.left >= 4:
                start = self._at + 4
                size = _LENGTH.unpack_from(self._view, self._at)[0]
                # The usual case: the packet is in one portion.
                if size < self.left - 3 and 0 < size <= self._bound:
                    self._at = end = start + size
                    self.left -= 4 + size
                    return [self._view[start:end]]
            if not self._take_length():
                return None
        left, at = self.left, self._at
        size = self._missing if self._missing < left else left
        if size:
            self._parts.append(self._view[at : at + size])
            self._at = at + size
            self.left = left - size
            self._missing -= size
        if self._missing:
            if len(self._parts) == _PARTS:
                self._parts = [joined(self._parts)]
            return None
        parts, self._parts = self._parts, []
        return parts

    def _take_length(self) -> bool:
        if not self._head and self.left >= 4:
            size = _LENGTH.unpack_from(self._view, self._at)[0]
            self._at += 4
            self.left -= 4
        else:
            part = self._view[self._at : self._at + 4 - len(self._head)]
            self._head += part
            self._at += len(part)
            self.left -= len(part)
            if len(self._head) < 4:
                return False
            size = _LENGTH.unpack(self._head)[0]
            self._head.clear()
        if size > self._bound:
            raise PacketTooLarge(f"a packet of {size} bytes: at most {self._bound} are taken")
        if not size:
            raise MalformedMessage("a packet of no bytes")
        self._missing = size
        return True


def joined(parts: list[memoryview]) -> memoryview:
    """Return the bytes of several parts as one."""
    return parts[0] if len(parts) == 1 else memoryview(b"".join(parts))
