"""Sets of certificates' serial numbers, and the sections of a KRL that hold them.

The sections are those of OpenSSH's ``PROTOCOL.krl``: a list of numbers, one range, or a bitmap.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from enum import IntEnum

from nacre.errors import KeyFormatError
from nacre.wire.codec import Buffer, WireReader, mpint, string, u8, u64

MOST_SERIAL = (1 << 64) - 1
"""The largest serial number."""

MOST_RANGES = 1 << 19
"""Ranges of numbers that do not touch, in one set."""

MOST_ENTRIES = 1 << 20
"""What a list of revoked keys may name, and its sections: reading so many takes some seconds."""

_READ_BITS = 1 << 24
_WRITTEN_BITS = 1 << 14
"""Bits of a bitmap. OpenSSH reads none that is larger, whatever it writes."""

_ONES = re.compile("1+")

Range = tuple[int, int]


class EntryBudget:
    """What may still be read of one list. A short file can name very many serial numbers."""

    def __init__(self) -> None:
        self._left = MOST_ENTRIES

    def take(self, count: int = 1) -> None:
        """Count entries or sections before they are read.

        :raises KeyFormatError: they are too many.
        """
        self._left -= count
        if self._left < 0:
            raise KeyFormatError(f"the list has more than {MOST_ENTRIES} entries")


class SerialSection(IntEnum):
    """The types of sections with serial numbers."""

    LIST = 0x20
    RANGE = 0x21
    BITMAP = 0x22


SERIAL_SECTIONS = frozenset(SerialSection)


class Serials:
    """A set of serial numbers. Memory grows with the ranges in it, not with the numbers."""

    def __init__(self) -> None:
        self._ranges: list[Range] = []
        self._in_order = True

    def add(self, low: int, high: int) -> None:
        """Add the numbers from ``low`` to ``high``.

        :raises KeyFormatError: they are out of bounds, or the set is full. 0 is not a number: it is
            what certificates have that were not given one.
        """
        if not 0 < low <= high <= MOST_SERIAL:
            raise KeyFormatError(
                f"serial numbers are from 1 to {MOST_SERIAL}, in ascending order: "
                f"not {low} to {high}"
            )
        # Joining takes time: it is done once for as many additions.
        if len(self._ranges) >= 2 * MOST_RANGES and len(self.ranges) > MOST_RANGES:
            raise KeyFormatError(f"more than {MOST_RANGES} separate ranges of serial numbers")
        self._in_order = self._in_order and (not self._ranges or self._ranges[-1][1] + 1 < low)
        self._ranges.append((low, high))

    @property
    def ranges(self) -> list[Range]:
        """The ranges in ascending order; none touches another."""
        if not self._in_order:
            joined: list[Range] = []
            for low, high in sorted(self._ranges):
                if joined and low <= joined[-1][1] + 1:
                    joined[-1] = joined[-1][0], max(high, joined[-1][1])
                else:
                    joined.append((low, high))
            self._ranges, self._in_order = joined, True
        return self._ranges

    def __contains__(self, serial: int) -> bool:
        ranges = self.ranges
        at = bisect_right(ranges, (serial, MOST_SERIAL)) - 1
        return at >= 0 and serial <= ranges[at][1]

    def __bool__(self) -> bool:
        return bool(self._ranges)

    def decode(self, kind: int, body: Buffer, budget: EntryBudget) -> None:
        """Add the numbers of a section.

        :raises KeyFormatError: they are out of bounds, or too many.
        :raises MalformedMessage: a field is cut off.
        """
        _READERS[SerialSection(kind)](self, WireReader(body), budget)

    def _decode_list(self, reader: WireReader, budget: EntryBudget) -> None:
        budget.take(reader.remaining // 8)
        while reader.remaining:
            serial = reader.u64()
            self.add(serial, serial)

    def _decode_range(self, reader: WireReader, budget: EntryBudget) -> None:
        budget.take()
        low, high = reader.u64(), reader.u64()
        reader.end()
        self.add(low, high)

    def _decode_bitmap(self, reader: WireReader, budget: EntryBudget) -> None:
        first, bitmap = reader.u64(), reader.string()
        reader.end()
        if len(bitmap) * 8 > _READ_BITS + 8 or bitmap[:1] >= b"\x80":
            raise KeyFormatError(f"a bitmap of serial numbers has at most {_READ_BITS} bits")
        bits = bin(int.from_bytes(bitmap, "big"))[:1:-1]  # the lowest first
        budget.take(bits.count("01") + bits.startswith("1"))
        for run in _ONES.finditer(bits):
            self.add(first + run.start(), first + run.end() - 1)

    def encode(self) -> bytes:
        """Return the sections that hold the numbers; each is as short as can be told beforehand."""
        writer = _SectionWriter()
        ranges = self.ranges
        for i, (low, high) in enumerate(ranges):
            writer.add(low, high, ranges[i + 1][0] - high if i + 1 < len(ranges) else None)
        return writer.end()


_READERS: dict[SerialSection, Callable[[Serials, WireReader, EntryBudget], None]] = {
    SerialSection.LIST: Serials._decode_list,
    SerialSection.RANGE: Serials._decode_range,
    SerialSection.BITMAP: Serials._decode_bitmap,
}

_HEADER = 8 + 64
"""Bits of a bitmap's type and first number; in front of the next section they are counted too."""


class _SectionWriter:
    """Chooses sections as OpenSSH does: for each range the type that needs the fewest bytes."""

    def __init__(self) -> None:
        self._done: list[bytes] = []
        self._kind: SerialSection | None = None
        self._ranges: list[Range] = []

    def add(self, low: int, high: int, gap: int | None) -> None:
        """Write a range.

        :param gap: the distance to the next range; None if there is none.
        """
        kind, anew = self._choose(low, 1 + high - low, gap)
        if anew or kind != self._kind or kind is SerialSection.RANGE:
            self._finish()
        self._kind = kind
        self._ranges.append((low, high))

    def end(self) -> bytes:
        """Return the sections."""
        self._finish()
        return b"".join(self._done)

    def _choose(self, low: int, size: int, gap: int | None) -> tuple[SerialSection, bool]:
        """Return the type of section for a range, and whether a bitmap begins anew."""
        in_list, in_bitmap = self._kind is SerialSection.LIST, self._kind is SerialSection.BITMAP
        since = low - self._ranges[-1][1] if self._ranges else 0
        next_whole = 0 if gap is None else _HEADER
        next_bits = 0 if gap is None else min(gap, _HEADER)
        as_bitmap = size + next_bits
        costs = [  # in bits; of equal ones the first wins
            (SerialSection.BITMAP, False, (0 if in_bitmap else _HEADER) + since + as_bitmap),
            (SerialSection.RANGE, False, 8 + 2 * 64 + next_whole),
            (SerialSection.LIST, False, (0 if in_list else 8) + 64 * size + next_whole),
            (SerialSection.BITMAP, True, _HEADER + as_bitmap),
        ]
        kind, anew, _ = min(costs, key=lambda one: (one[2] + 7) // 8)
        if in_bitmap and low + size - self._ranges[0][0] > _WRITTEN_BITS:
            anew = True
        return kind, anew

    def _finish(self) -> None:
        if self._kind is not None:
            body = _WRITERS[self._kind](self._ranges)
            self._done.append(u8(self._kind) + string(body))
            self._ranges = []


def _numbers(ranges: list[Range]) -> Iterator[int]:
    for low, high in ranges:
        yield from range(low, high + 1)


def _list(ranges: list[Range]) -> bytes:
    return b"".join(map(u64, _numbers(ranges)))


def _range(ranges: list[Range]) -> bytes:
    ((low, high),) = ranges
    return u64(low) + u64(high)


def _bitmap(ranges: list[Range]) -> bytes:
    first = ranges[0][0]
    bits = 0
    for low, high in ranges:
        bits |= ((1 << (1 + high - low)) - 1) << (low - first)
    return u64(first) + mpint(bits)


_WRITERS: dict[SerialSection, Callable[[list[Range]], bytes]] = {
    SerialSection.LIST: _list,
    SerialSection.RANGE: _range,
    SerialSection.BITMAP: _bitmap,
}
