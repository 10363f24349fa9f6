"""The data types of RFC 4251 section 5, and the number of SSH-1, bounds-checked.

``WireReader`` takes values off the front of a buffer; the functions below encode one value each.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from struct import error as StructError
from typing import Any, TypeAlias

from nacre.errors import MalformedMessage

Buffer: TypeAlias = bytes | bytearray | memoryview

_U32 = Struct(">I")
_U64 = Struct(">Q")


def u8(value: int) -> bytes:
    """Return a ``byte``."""
    return bytes((value,))


def boolean(value: bool) -> bytes:
    """Return a ``boolean``."""
    return b"\x01" if value else b"\x00"


def u32(value: int) -> bytes:
    """Return a ``uint32``."""
    return _U32.pack(value)


def u64(value: int) -> bytes:
    """Return a ``uint64``."""
    return _U64.pack(value)


def string(value: Buffer) -> bytes:
    """Return a ``string``: its length as uint32, then its bytes."""
    return _U32.pack(len(value)) + bytes(value)


def text(value: str) -> bytes:
    """Return a ``string`` that holds UTF-8; surrogate escapes give back their bytes."""
    data = value.encode("utf-8", "surrogateescape")
    return _U32.pack(len(data)) + data


def mpint(value: int) -> bytes:
    """Return an ``mpint``: two's complement, most significant byte first, no needless bytes."""
    if value == 0:
        return b"\x00\x00\x00\x00"
    size = (value if value > 0 else ~value).bit_length() // 8 + 1
    return _U32.pack(size) + value.to_bytes(size, "big", signed=True)


def mpint1(value: int) -> bytes:
    """Return a number as SSH-1 has it: how many bits as uint16, then its bytes.

    :raises ValueError: it is negative, or has more than 65535 bits.
    """
    bits = value.bit_length()
    if value < 0 or bits > 0xFFFF:
        raise ValueError("a number that SSH-1 can't carry")
    return bits.to_bytes(2, "big") + value.to_bytes((bits + 7) // 8, "big")


def name_list(names: Iterable[str]) -> bytes:
    """Return a ``name-list``: US-ASCII names, joined by commas, as a string."""
    return string(",".join(names).encode("ascii"))


class WireReader:
    """Takes values off the front of ``data``.

    Every method raises :class:`~nacre.errors.MalformedMessage` when the value is not whole or
    not of its type. ``string`` returns bytes of its own, so nothing keeps the receive buffer alive.
    """

    __slots__ = ("_data", "_position")

    def __init__(self, data: Buffer, position: int = 0) -> None:
        self._data = data
        self._position = position

    def _cut_off(self, size: int) -> MalformedMessage:
        return MalformedMessage(f"a field of {size} bytes is cut off after {self.remaining}")

    def unpack(self, layout: Struct) -> tuple[Any, ...]:
        """Take the fields of ``layout``."""
        try:
            values = layout.unpack_from(self._data, self._position)
        except StructError:
            raise self._cut_off(layout.size) from None
        self._position += layout.size
        return values

    def u8(self) -> int:
        """Take a ``byte``."""
        return self.fixed(1)[0]

    def boolean(self) -> bool:
        """Take a ``boolean``: all non-zero values are true (RFC 4251 section 5)."""
        return self.fixed(1) != b"\x00"

    def u32(self) -> int:
        """Take a ``uint32``."""
        # Not by ``unpack``: no value is taken as often.
        try:
            value: int = _U32.unpack_from(self._data, self._position)[0]
        except StructError:
            raise self._cut_off(4) from None
        self._position += 4
        return value

    def u64(self) -> int:
        """Take a ``uint64``."""
        value: int = self.unpack(_U64)[0]
        return value

    def fixed(self, size: int) -> bytes:
        """Take ``size`` bytes that have no length of their own."""
        start = self._position
        end = start + size
        if end > len(self._data):
            raise self._cut_off(size)
        self._position = end
        return bytes(self._data[start:end])

    def string(self) -> bytes:
        """Take a ``string`` of any bytes."""
        # Not by ``u32`` and ``fixed``: a login has dozens of them.
        data, start = self._data, self._position + 4
        try:
            end: int = start + _U32.unpack_from(data, start - 4)[0]
        except StructError:
            raise self._cut_off(4) from None
        self._position = start
        if end > len(data):
            raise self._cut_off(end - start)
        self._position = end
        return bytes(data[start:end])

    def text(self) -> str:
        """Take a ``string`` of UTF-8.

        Bytes that are no UTF-8 become surrogate escapes, so that ``text`` gives them back: names
        of users and files are not always UTF-8, whatever the RFC says.
        """
        return self.string().decode("utf-8", "surrogateescape")

    def mpint(self) -> int:
        """Take an ``mpint``. Needless leading bytes are taken: old peers send them."""
        return int.from_bytes(self.string(), "big", signed=True)

    def mpint1(self) -> int:
        """Take a number of SSH-1. Peers round the count of bits up, so it may be too high."""
        bits = int.from_bytes(self.fixed(2), "big")
        return int.from_bytes(self.fixed((bits + 7) // 8), "big")

    def name_list(self) -> tuple[str, ...]:
        """Take a ``name-list``: empty names and control characters are malformed."""
        data = self.string()
        if not data:
            return ()
        if not data.isascii() or min(data) <= 0x20 or 0x7F in data:
            raise MalformedMessage("a name-list holds characters that are not printable US-ASCII")
        names = tuple(data.decode("ascii").split(","))
        if "" in names:
            raise MalformedMessage("a name-list holds an empty name")
        return names

    def rest(self) -> bytes:
        """Take all that is left."""
        start = self._position
        self._position = len(self._data)
        return bytes(self._data[start:])

    @property
    def remaining(self) -> int:
        """Bytes not yet taken."""
        return len(self._data) - self._position

    def end(self) -> None:
        """Check that nothing is left."""
        if self._position != len(self._data):
            raise MalformedMessage(f"{self.remaining} bytes follow the last field")
