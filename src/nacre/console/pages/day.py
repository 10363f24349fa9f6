"""One person's day: what the audit has of a user, on a line of time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from starlette.responses import Response

from nacre.console.web.calls import APIRefused
from nacre.console.web.charts import BAD
from nacre.console.web.visit import SEES, BrowserVisit, ConsolePage

MOST = 5000
"""Events of a day that are shown."""

_AT_ONCE = 500
_MOST_LANES = 60
"""Connections that are drawn; the table has all."""

_MINUTES = 1440
_NEEDED = ("time", "connection", "peer", "event", "outcome")
"""What is kept of an event: the fields may be long."""


@dataclass(slots=True, kw_only=True)
class DayLane:
    """A connection, on a line of its own.

    :ivar begins: minutes of the day; ``ends`` likewise.
    :ivar marks: the minute, the kind and the text of each event that is drawn.
    :ivar counts: how many events there are of each kind.
    """

    connection: str
    peer: str
    begins: float
    ends: float
    closed: bool = False
    logged_in: bool = False
    refused: int = 0
    marks: list[tuple[float, str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def told(self) -> str:
        """What it did, in words."""
        said = ", ".join(f"{event} {count}" for event, count in self.counts.items())
        return f"{said}; {self.refused} refused or failed" if self.refused else said


def lanes_of(events: Iterable[Mapping[str, Any]], day: date, now: datetime) -> list[DayLane]:
    """Return the connections that events of a day are of.

    :param events: the oldest first.
    :param now: until then connections that are not closed go on.
    """
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    passed = max(0, min(_MINUTES, int((now - midnight).total_seconds() / 60)))
    found: dict[str, DayLane] = {}
    for one in events:
        at = datetime.fromisoformat(str(one["time"]))
        minute = round((at - midnight).total_seconds() / 60, 2)
        name = one["connection"] or "–"
        lane = found.get(name)
        if lane is None:
            lane = found[name] = DayLane(
                connection=name, peer=one["peer"], begins=minute, ends=minute
            )
        bad = one["outcome"] in BAD
        lane.ends = minute
        lane.closed = lane.closed or one["event"] == "closed"
        lane.logged_in = lane.logged_in or (one["event"], one["outcome"]) == ("login", "success")
        lane.refused += bad
        lane.counts[one["event"]] += 1
        if not lane.marks or minute - lane.marks[-1][0] >= 1 or bad:
            text = f"{at:%H:%M:%S} {one['event']} {one['outcome']}"
            lane.marks.append((minute, "bad" if bad else "in", text))
    for lane in found.values():
        # What is a connection and has logged in is open until it is closed.
        if not lane.closed and lane.connection != "–" and lane.logged_in:
            lane.ends = max(lane.ends, passed)
    return list(found.values())


async def _show(visit: BrowserVisit) -> Response:
    user, now = visit.asked("user").strip(), datetime.now(UTC)
    try:
        day = date.fromisoformat(visit.asked("day") or now.date().isoformat())
        before, after = day - timedelta(days=1), day + timedelta(days=1)
    except (ValueError, OverflowError):
        day, before, after = now.date(), now.date() - timedelta(days=1), now.date()
        return _shown(visit, user, day, before, after, problem="This is no day: write 2030-12-31.")
    problem, events = "", []
    if user:
        try:
            events = await _events(visit, user, day, after)
        except APIRefused as error:
            if error.status not in (409, 422):
                raise
            problem = error.detail
    lanes = lanes_of(events, day, now)
    full = len(events) >= MOST
    return _shown(visit, user, day, before, after, problem=problem, lanes=lanes, full=full)


def _shown(
    visit: BrowserVisit,
    user: str,
    day: date,
    before: date,
    after: date,
    *,
    problem: str = "",
    lanes: list[DayLane] | None = None,
    full: bool = False,
) -> Response:
    lanes = lanes or []
    return visit.show(
        "day.html",
        user=user,
        day=day.isoformat(),
        before=before.isoformat(),
        after=after.isoformat(),
        problem=problem,
        lanes=lanes,
        drawn=lanes[:_MOST_LANES],
        full=full,
        most=MOST,
    )


async def _events(visit: BrowserVisit, user: str, day: date, after: date) -> list[Any]:
    """Return the events of a user on a day, the oldest first."""
    times = {"since": f"{day}T00:00:00Z", "until": f"{after}T00:00:00Z"}
    found: list[Any] = []
    last = 0
    while len(found) < MOST:
        query = {"user": user, **times, "limit": _AT_ONCE, "after": last}
        page = await visit.get("audit", query=query)
        found += ({name: one[name] for name in _NEEDED} for one in page["events"])
        last = page["last"]
        if len(page["events"]) < _AT_ONCE:
            break
    return found


PAGES = (ConsolePage(method="GET", path="/audit/day", roles=SEES, answer=_show),)
