from __future__ import annotations

import random
import tracemalloc

import pytest

from nacre.errors import KeyFormatError, MalformedMessage
from nacre.keys.signed import serials
from nacre.keys.signed.serials import MOST_SERIAL, EntryBudget, Serials, SerialSection
from nacre.limits import MIB
from nacre.wire.codec import WireReader, mpint, string, u64


def of(*ranges: tuple[int, int]) -> Serials:
    made = Serials()
    for low, high in ranges:
        made.add(low, high)
    return made


def sections(made: Serials) -> list[tuple[int, bytes]]:
    reader = WireReader(made.encode())
    found = []
    while reader.remaining:
        found.append((reader.u8(), reader.string()))
    return found


def test_ranges_that_overlap_or_touch_become_one() -> None:
    assert of((5, 9), (1, 2), (10, 12), (8, 20), (22, 22)).ranges == [(1, 2), (5, 20), (22, 22)]


def test_a_set_knows_its_numbers() -> None:
    made = of((5, 9), (100, MOST_SERIAL), (1, 2))
    inside = [1, 2, 5, 7, 9, 100, 1 << 40, MOST_SERIAL]
    assert all(serial in made for serial in inside)
    assert not any(serial in made for serial in (0, 3, 4, 10, 99))
    assert made
    assert not Serials()
    assert 1 not in Serials()


@pytest.mark.parametrize(("low", "high"), [(0, 1), (2, 1), (1, MOST_SERIAL + 1), (-1, 1)])
def test_numbers_out_of_bounds_are_refused(low: int, high: int) -> None:
    with pytest.raises(KeyFormatError, match="serial numbers are from 1"):
        Serials().add(low, high)


@pytest.mark.parametrize(
    ("ranges", "kinds"),
    [
        ([(7, 7)], [SerialSection.LIST]),
        ([(7, 9), (12, 12), (14, 20)], [SerialSection.BITMAP]),
        ([(7, 1 << 60)], [SerialSection.RANGE]),
        ([(7, 7), (1 << 40, 1 << 40), (1 << 50, 1 << 50)], [SerialSection.LIST]),
        (
            [(1, 1), (3, 9), (100, 100_000)],
            [SerialSection.BITMAP, SerialSection.RANGE],
        ),
    ],
)
def test_the_section_is_the_shortest(ranges, kinds) -> None:
    made = of(*ranges)
    assert [kind for kind, _ in sections(made)] == kinds
    again = Serials()
    for kind, body in sections(made):
        again.decode(kind, body, EntryBudget())
    assert again.ranges == ranges


@pytest.mark.parametrize("seed", range(20))
def test_sets_come_back_from_their_sections(seed: int) -> None:
    draw = random.Random(seed)
    made, at = Serials(), 0
    for _ in range(300):
        at += draw.choice((1, 2, 60, 64, 72, 100, 5000, 1 << 33))
        end = at + draw.choice((0, 0, 1, 3, 64, 1000))
        made.add(at, end)
        at = end
    again = Serials()
    for kind, body in sections(made):
        again.decode(kind, body, EntryBudget())
    assert again.ranges == made.ranges


def test_a_bitmap_is_no_larger_than_openssh_reads() -> None:
    made = of(*((serial, serial) for serial in range(1, 60_000, 2)))
    kinds = sections(made)
    assert {kind for kind, _ in kinds} == {SerialSection.BITMAP}
    assert all(len(body) <= 8 + 4 + 2049 for _, body in kinds)


def test_a_set_needs_no_memory_for_the_numbers_in_a_range() -> None:
    tracemalloc.start()
    try:
        made = Serials()
        made.decode(SerialSection.RANGE, u64(1) + u64(MOST_SERIAL), EntryBudget())
        made.decode(SerialSection.BITMAP, u64(1) + string(b"\x7f" + b"\xff" * 1000), EntryBudget())
        assert made.ranges == [(1, MOST_SERIAL)]
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (SerialSection.LIST, u64(0)),
        (SerialSection.RANGE, u64(0) + u64(4)),
        (SerialSection.RANGE, u64(5) + u64(4)),
        (SerialSection.BITMAP, u64(0) + mpint(1)),
        (SerialSection.BITMAP, u64(MOST_SERIAL) + mpint(2)),
        (SerialSection.BITMAP, u64(1) + mpint(-2)),
        (SerialSection.BITMAP, u64(1) + string(b"\1" * (2 * MIB + 2))),
    ],
)
def test_sections_out_of_bounds_are_refused(kind: SerialSection, body: bytes) -> None:
    with pytest.raises(KeyFormatError):
        Serials().decode(kind, body, EntryBudget())


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (SerialSection.LIST, u64(1) + b"\0"),
        (SerialSection.RANGE, u64(1)),
        (SerialSection.RANGE, u64(1) + u64(4) + b"\0"),
        (SerialSection.BITMAP, u64(1) + mpint(4) + b"\0"),
    ],
)
def test_sections_that_are_cut_off_are_refused(kind: SerialSection, body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        Serials().decode(kind, body, EntryBudget())


def test_separate_ranges_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serials, "MOST_RANGES", 10)
    full = of(*((serial, serial) for serial in range(1, 41, 2)))
    with pytest.raises(KeyFormatError, match="more than 10 separate ranges"):
        full.add(100, 100)
    # What touches what is there needs no room.
    joined = of(*((serial, serial) for serial in range(1, 21)))
    joined.add(100, 100)
    assert joined.ranges == [(1, 20), (100, 100)]
