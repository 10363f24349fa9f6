"""The data types of RFC 4251 section 5, and the integer of SSH-1, with checked bounds.

``WireReader`` decodes values one after another; the functions below encode one value each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from struct import Struct
from struct import error as StructError
from typing import Any, TypeAlias

from nacre.errors import MalformedMessage

Buffer: TypeAlias = bytes | bytearray | memoryview

_U32 = Struct(">I")
_U64 = Struct(">Q")
_NAME = re.compile("[!-~]+")


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
    """Return a ``string`` of UTF-8; surrogate escapes become the bytes they stand for."""
    data = value.encode("utf-8", "surrogateescape")
    return _U32.pack(len(data)) + data


def mpint(value: int) -> bytes:
    """Return an ``mpint``: two's complement, most significant byte first, in minimal length."""
    if value == 0:
        return b"\x00\x00\x00\x00"
    size = (value if value > 0 else ~value).bit_length() // 8 + 1
    return _U32.pack(size) + value.to_bytes(size, "big", signed=True)


def mpint1(value: int) -> bytes:
    """Return a multiple-precision integer of SSH-1: its number of bits as uint16, then its bytes.

    :raises ValueError: it is negative, or has more than 65535 bits.
    """
    bits = value.bit_length()
    if value < 0 or bits > 0xFFFF:
        raise ValueError("an integer of SSH-1 must be positive and have at most 65535 bits")
    return bits.to_bytes(2, "big") + value.to_bytes((bits + 7) // 8, "big")


def name_list(names: Iterable[str]) -> bytes:
    """Return a ``name-list``: US-ASCII names, joined by commas, as a string."""
    return string(",".join(names).encode("ascii"))


def names(data: bytes) -> tuple[str, ...]:
    """Return the names in the content of a ``name-list``.

    Empty names, and names that are not printable US-ASCII (RFC 4251 section 6), are left out: they
    name nothing. Some peers end their lists with a comma.
    """
    return tuple(filter(_NAME.fullmatch, data.decode("latin-1").split(",")))


class WireReader:
    """Decodes the values in ``data`` one after another.

    Every method raises :class:`~nacre.errors.MalformedMessage` if the value is cut off or not of
    its type. Bytes are returned as copies, so that they do not keep the receive buffer alive.
    """

    __slots__ = ("_data", "_position")

    def __init__(self, data: Buffer, position: int = 0) -> None:
        self._data = data
        self._position = position

    def _cut_off(self, size: int) -> MalformedMessage:
        return MalformedMessage(f"a field of {size} bytes is cut off after {self.remaining}")

    def unpack(self, layout: Struct) -> tuple[Any, ...]:
        """Return the fields of ``layout``."""
        try:
            values = layout.unpack_from(self._data, self._position)
        except StructError:
            raise self._cut_off(layout.size) from None
        self._position += layout.size
        return values

    def u8(self) -> int:
        """Return a ``byte``."""
        return self.fixed(1)[0]

    def boolean(self) -> bool:
        """Return a ``boolean``: all non-zero values are true (RFC 4251 section 5)."""
        return self.fixed(1) != b"\x00"

    def u32(self) -> int:
        """Return a ``uint32``."""
        # Without ``unpack``: this is the most frequent value.
        try:
            value: int = _U32.unpack_from(self._data, self._position)[0]
        except StructError:
            raise self._cut_off(4) from None
        self._position += 4
        return value

    def u64(self) -> int:
        """Return a ``uint64``."""
        value: int = self.unpack(_U64)[0]
        return value

    def fixed(self, size: int) -> bytes:
        """Return ``size`` bytes, which have no length field."""
        start = self._position
        end = start + size
        if end > len(self._data):
            raise self._cut_off(size)
        self._position = end
        return bytes(self._data[start:end])

    def string(self) -> bytes:
        """Return a ``string`` of arbitrary bytes."""
        # Without ``u32`` and ``fixed``: a login has dozens of strings.
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
        """Return a ``string`` of UTF-8.

        Bytes that are not UTF-8 become surrogate escapes, which the function ``text`` turns back
        into them: names of users and files are not always UTF-8, though the RFC requires it.
        """
        return self.string().decode("utf-8", "surrogateescape")

    def mpint(self) -> int:
        """Return an ``mpint``. Needless leading bytes are accepted: old peers send them."""
        return int.from_bytes(self.string(), "big", signed=True)

    def mpint1(self) -> int:
        """Return an integer of SSH-1. Its count of bits may be too high: some peers round it up."""
        bits = int.from_bytes(self.fixed(2), "big")
        return int.from_bytes(self.fixed((bits + 7) // 8), "big")

    def name_list(self) -> tuple[str, ...]:
        """Return a ``name-list``, without what is not a name: see :func:`names`."""
        return names(self.string())

    def rest(self) -> bytes:
        """Return all bytes that are left."""
        start = self._position
        self._position = len(self._data)
        return bytes(self._data[start:])

    @property
    def remaining(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self._position

    def end(self) -> None:
        """Check that no bytes are left."""
        if self._position != len(self._data):
            raise MalformedMessage(f"{self.remaining} bytes follow the last field")
