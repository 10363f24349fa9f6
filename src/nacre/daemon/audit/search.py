"""Which events of the table are wanted, and how they are shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network, ip_address
from itertools import islice

from sqlalchemy import Select, func, or_, select

from nacre.daemon.audit.chain import Kept
from nacre.daemon.audit.table import EVENTS, AuditTable

Network = IPv4Network | IPv6Network


def shown_time(microseconds: int) -> str:
    """Return a time in UTC as of RFC 3339."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:06}Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is wanted of an event; None for anything.

    :ivar since: the first moment, ``until`` the one after the last, in microseconds.
    :ivar path: a pattern of SQLite's GLOB for one of the paths: ``*`` matches slashes, too.
    :ivar network: what the client's address lies in.
    """

    user: str | None = None
    since: int | None = None
    until: int | None = None
    event: str | None = None
    outcome: str | None = None
    path: str | None = None
    network: Network | None = None

    def _statement(self, after: int) -> Select[tuple[object, ...]]:
        found: Select[tuple[object, ...]] = select(EVENTS)
        if after:
            found = found.where(EVENTS.c.id > after)
        for name in ("user", "event", "outcome"):
            if (wanted := getattr(self, name)) is not None:
                found = found.where(EVENTS.c[name] == wanted)
        if self.since is not None:
            found = found.where(EVENTS.c.time >= self.since)
        if self.until is not None:
            found = found.where(EVENTS.c.time < self.until)
        if self.path is not None:
            paths = [func.json_extract(EVENTS.c.fields, f"$.{name}") for name in ("path", "to")]
            found = found.where(or_(*(one.op("GLOB")(self.path) for one in paths)))
        return found

    def counts(self, step: int) -> Select[tuple[object, ...]]:
        """Return the statement that counts events by span of time and outcome.

        :param step: microseconds of a span.
        """
        spans = EVENTS.c.time.op("/")(step)
        columns = spans, EVENTS.c.outcome, func.count()
        found: Select[tuple[object, ...]] = self._statement(0).with_only_columns(*columns)
        return found.group_by(spans, EVENTS.c.outcome).order_by(spans, EVENTS.c.outcome)

    def events(self, table: AuditTable, limit: int | None = None, after: int = 0) -> Iterator[Kept]:
        """Return what is found, oldest first.

        :param limit: how many of the newest; None for all.
        :param after: only events with a greater number.
        :raises StateError: the table can't be read.
        """
        statement = self._statement(after)
        if limit is None:
            yield from filter(self.fits_network, table.read(statement.order_by(EVENTS.c.id)))
            return
        newest = filter(self.fits_network, table.read(statement.order_by(EVENTS.c.id.desc())))
        yield from reversed(list(islice(newest, limit)))

    def fits_network(self, event: Kept) -> bool:
        """Tell whether the client's address lies in the network."""
        if self.network is None:
            return True
        host = event.peer.rpartition(":")[0].partition("%")[0]
        with suppress(ValueError):
            return ip_address(host) in self.network
        return False


MOST_COUNTED = 3000
"""Spans of time that one count may have."""


def counted(table: AuditTable, search: Search, step: int) -> list[dict[str, object]]:
    """Return how many events there are of each outcome in each span of time, the oldest first.

    :param search: ``path`` and ``network`` are not asked for.
    :param step: seconds of a span; its time is seconds since the epoch.
    :raises StateError: the table can't be read.
    """
    return [
        {"time": at * step, "outcome": outcome, "count": count}
        for at, outcome, count in table.rows(search.counts(step * 1_000_000))
    ]


def as_record(event: Kept) -> dict[str, object]:
    """Return an event as a line of the log would have it."""
    record: dict[str, object] = {"time": shown_time(event.time), "id": event.id}
    for name in ("connection", "user", "peer", "event", "outcome"):
        if text := getattr(event, name):
            record[name] = text
    return record | {k: v for k, v in json.loads(event.fields).items() if v not in ("", None)}


def as_object(event: Kept) -> dict[str, object]:
    """Return all of an event, with the microseconds that its hash covers."""
    whole = event._asdict()
    return {**whole, "time": shown_time(event.time), "fields": json.loads(event.fields)}
