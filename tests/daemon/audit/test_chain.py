"""A chain of events tells what was changed in it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nacre.daemon.audit.chain import BEGINNING, Kept, Position, faults, link

START = Position(0, BEGINNING)


def chain(count: int) -> list[Kept]:
    events: list[Kept] = []
    previous = BEGINNING
    for number in range(1, count + 1):
        columns = (number, 1000 + number, "1.1", "alice", "192.0.2.1:7", "file", "success", "{}")
        digest = link(previous, *columns)
        events.append(Kept(*columns, previous, digest))
        previous = digest
    return events


def head(events: list[Kept]) -> Position:
    return Position(events[-1].id, events[-1].hash)


def test_a_whole_chain_has_no_faults() -> None:
    events = chain(5)
    pinned = [Position(3, events[2].hash), head(events)]
    assert list(faults(events, START, head(events), pinned)) == []
    assert list(faults([], START, START)) == []


def change(events: list[Kept]) -> None:
    events[2] = events[2]._replace(user="bob")


def change_and_hash(events: list[Kept]) -> None:
    changed = events[2]._replace(user="bob")
    events[2] = changed._replace(hash=link(changed.previous, *changed[:8]))


def remove(events: list[Kept]) -> None:
    del events[2]


def remove_some(events: list[Kept]) -> None:
    del events[1:3]


def cut(events: list[Kept]) -> None:
    del events[3:]


def swap(events: list[Kept]) -> None:
    events[2], events[3] = events[3]._replace(id=3), events[2]._replace(id=4)


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        (change, ["event 3 was changed"]),
        (change_and_hash, ["event 3 or 4 was changed: 4 does not follow on it"]),
        (remove, ["event 3 is missing"]),
        (remove_some, ["events 2 to 3 are missing"]),
        (cut, ["events 4 to 5 are missing: the chain ends at 3, and should at 5"]),
    ],
)
def test_what_was_changed_or_removed_is_named(
    tamper: Callable[[list[Kept]], None], told: list[str]
) -> None:
    events = chain(5)
    end = head(events)
    tamper(events)
    assert list(faults(events, START, end)) == told


def test_events_that_changed_places_are_noticed() -> None:
    events = chain(5)
    end = head(events)
    swap(events)
    found = list(faults(events, START, end))
    assert "event 3 was changed" in found
    assert "event 4 was changed" in found


def test_a_chain_that_was_made_anew_is_noticed_by_a_noted_place_alone() -> None:
    noted = head(chain(4))
    anew = [one._replace(user="bob") for one in chain(5)]
    previous = BEGINNING
    for at, one in enumerate(anew):
        digest = link(previous, *one[:8])
        anew[at] = one._replace(previous=previous, hash=digest)
        previous = digest
    assert list(faults(anew, START, head(anew))) == []
    assert list(faults(anew, START, head(anew), [noted])) == [
        "event 4 is not the one that was noted: the hash differs"
    ]
    cut_off = anew[:3]
    assert list(faults(cut_off, START, head(cut_off), [noted])) == [
        "event 4, which was noted, is missing"
    ]


def test_a_chain_begins_at_its_anchor() -> None:
    events = chain(6)
    anchor = Position(3, events[2].hash)
    kept = events[3:]
    old, same = Position(2, events[1].hash), Position(3, events[2].hash)
    assert list(faults(kept, anchor, head(events), [same])) == []
    assert list(faults(kept, anchor, head(events), [old])) == [
        "event 2 was removed as too old, so its noted hash can't be compared"
    ]
    assert list(faults(kept, anchor, head(events), [Position(3, "f" * 64)])) == [
        "event 3 is not the one that was noted: the hash differs"
    ]
    assert list(faults(kept[1:], anchor, head(events))) == ["event 4 is missing"]


@pytest.mark.parametrize("text", ["", "7", "7:", "x:" + "0" * 64, "7:" + "0" * 63])
def test_a_place_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="ID:HASH"):
        Position.of(text)
    place = Position(7, "a" * 64)
    assert Position.of(f" {place}\n") == place
