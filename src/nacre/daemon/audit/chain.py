"""The chain of hashes: what each event is hashed from, and what a break of the chain tells."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any, NamedTuple

BEGINNING = "0" * 64
"""What stands in for the hash of an event before the first one."""

_JSON = json.JSONEncoder(separators=(",", ":"))


class Kept(NamedTuple):
    """A row of the table of events.

    :ivar id: its number: they follow each other without a gap.
    :ivar time: microseconds since the epoch, by the server's clock.
    :ivar fields: an object of JSON.
    :ivar previous: the hash of the event before; ``hash`` its own, in hexadecimal.
    """

    id: int
    time: int
    connection: str
    user: str
    peer: str
    event: str
    outcome: str
    fields: str
    previous: str
    hash: str


def link(previous: str, *columns: Any) -> str:
    """Return the hash of an event: over the hash before it, and its columns from ``id`` on."""
    text = _JSON.encode(columns)
    return sha256(f"{previous}\n{text}".encode()).hexdigest()


class Position(NamedTuple):
    """A place in the chain: the number of an event, and its hash."""

    id: int
    hash: str

    def __str__(self) -> str:
        return f"{self.id}:{self.hash}"

    @classmethod
    def of(cls, text: str) -> Position:
        """Return the place that ``str`` has written.

        :raises ValueError: it is none.
        """
        number, _, digest = text.strip().partition(":")
        if not number.isdecimal() or len(digest) != len(BEGINNING):
            raise ValueError(f"{text!r} is no place in the chain, which is ID:HASH")
        return cls(int(number), digest.lower())


def faults(
    events: Iterable[Kept], anchor: Position, head: Position, pinned: Iterable[Position] = ()
) -> Iterator[str]:
    """Return what is wrong with a chain, a text for each place.

    :param anchor: the last event that was removed with leave, or the place before the first one.
    :param head: where the chain ends, as the table says.
    :param pinned: places that were noted elsewhere.
    """
    last, wanted = anchor, {one.id: one for one in pinned}
    for pin in wanted.values():
        if pin.id < anchor.id:
            yield f"event {pin.id} was removed as too old, so its noted hash can't be compared"
    known = wanted.pop(anchor.id, anchor)
    if known.hash != anchor.hash:
        yield f"event {anchor.id} is not the one that was noted: the hash differs"
    for event in events:
        if event.id != last.id + 1:
            yield _gap(last.id, event.id)
        elif event.previous != last.hash:
            yield f"event {last.id} or {event.id} was changed: {event.id} does not follow on it"
        if link(event.previous, *event[:8]) != event.hash:
            yield f"event {event.id} was changed"
        known = wanted.pop(event.id, Position(event.id, event.hash))
        if known.hash != event.hash:
            yield f"event {event.id} is not the one that was noted: the hash differs"
        last = Position(event.id, event.hash)
    if last != head:
        what = _gap(last.id, head.id + 1) if last.id < head.id else "the end was changed"
        yield f"{what}: the chain ends at {last.id}, and should at {head.id}"
    for pin in wanted.values():
        if pin.id > last.id:
            yield f"event {pin.id}, which was noted, is missing"


def _gap(before: int, after: int) -> str:
    if after <= before:
        return f"event {after} stands behind event {before}"
    first, final = before + 1, after - 1
    return (
        f"event {first} is missing" if first == final else f"events {first} to {final} are missing"
    )
