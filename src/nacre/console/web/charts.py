"""Small charts of the page Now: logins, refused logins and throughput, each with a text."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nacre.console.web.rendering import size

MINUTES = 60
"""What the charts of logins show."""

KEPT = 150
"""Samples of the throughput: one every two seconds, so five minutes."""

_STEP = 60
_LEAST_BETWEEN = 1.0
"""Seconds between two samples: what comes sooner is the same one, of another user's feed."""

_LONGEST = 300.0
"""Seconds after which a sample is old."""

_SET_BACK = 10.0
"""Seconds by which a sample is before the last one where the clock was set back: feeds of several
users are not in order."""

WIDTH, HEIGHT = 300, 48
"""Of a chart, in its own units."""

BAD = ("failure", "refused")
"""The outcomes of what was not let in."""

NO_AUDIT = "the server keeps no audit"

COUNTS = "/v1/audit/counts"
COUNTED: Mapping[str, Any] = {"event": "login", "since": f"{MINUTES}m", "step": _STEP}
"""The path and the parameters of the counts of logins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleChart:
    """A chart of bars.

    :ivar told: the same in words.
    :ivar bars: place, width and height of each, and its class in the style sheet.
    """

    title: str
    told: str
    bars: Sequence[tuple[float, float, float, float, str]]


class Throughput:
    """The bytes per second of all connections, in and out, over the last minutes."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float, float]] = deque(maxlen=KEPT)

    def add(self, at: float, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take the rates of connections.

        :param at: seconds since the epoch.
        """
        if self._samples and at <= self._samples[-1][0] - _SET_BACK:
            self._samples.clear()  # the clock was set back
        if self._samples and at - self._samples[-1][0] < _LEAST_BETWEEN:
            return
        rates = [row["rate"] for row in rows if row["rate"] is not None]
        if rows and not rates:
            return  # the first of a feed, which has no rates
        while self._samples and at - self._samples[0][0] >= _LONGEST:
            self._samples.popleft()
        self._samples.append((at, sum(one[0] for one in rates), sum(one[1] for one in rates)))

    def chart(self) -> ConsoleChart:
        """Return the chart; the newest sample is at the right."""
        samples = list(self._samples)
        most = max((into + out for _, into, out in samples), default=0.0)
        pairs = [(into, out) for _, into, out in samples]
        told = "No traffic was measured yet."
        if samples:
            _, into, out = samples[-1]
            told = f"{size(into)}/s in, {size(out)}/s out; at most {size(most)}/s in five minutes"
        return ConsoleChart(title="Throughput", told=told, bars=_bars(pairs, KEPT, most, "in out"))


def login_charts(
    counts: Sequence[Mapping[str, Any]] | None, missing: str = NO_AUDIT
) -> list[ConsoleChart]:
    """Return the charts of logins and of refused ones.

    :param counts: what the API has counted; None for nothing.
    :param missing: why that is nothing.
    """
    if counts is None:
        told = f"Not counted: {missing}."
        return [ConsoleChart(title=one, told=told, bars=()) for one in ("Logins", "Refused logins")]
    first = int(time.time()) // _STEP - MINUTES + 1
    done, refused = [0] * MINUTES, [0] * MINUTES
    for one in counts:
        place = one["time"] // _STEP - first
        if 0 <= place < MINUTES:
            if one["outcome"] == "success":
                done[place] += one["count"]
            elif one["outcome"] in BAD:  # and not a part of a login
                refused[place] += one["count"]
    return [_counted("Logins", done, "in"), _counted("Refused logins", refused, "bad")]


def _counted(title: str, numbers: Sequence[int], kind: str) -> ConsoleChart:
    most = max(numbers)
    told = f"{sum(numbers)} in the last hour, at most {most} in a minute"
    bars = _bars([(one, 0) for one in numbers], MINUTES, most, f"{kind} {kind}")
    return ConsoleChart(title=title, told=told, bars=bars)


def _bars(
    pairs: Sequence[tuple[float, float]], places: int, most: float, kinds: str
) -> list[tuple[float, float, float, float, str]]:
    """Return the bars of pairs, which stand on each other; the last pair is at the right.

    :param kinds: of the lower ones, and of the upper ones.
    """
    width, found = WIDTH / places, []
    if most <= 0:
        return []
    for place, (lower, upper) in enumerate(pairs, places - len(pairs)):
        top = float(HEIGHT)
        for number, kind in zip((lower, upper), kinds.split(), strict=True):
            height = HEIGHT * number / most
            if height > 0:
                top -= height
                x, y = round(place * width, 2), round(top, 2)
                found.append((x, y, round(width * 0.8, 2), round(height, 2), kind))
    return found
