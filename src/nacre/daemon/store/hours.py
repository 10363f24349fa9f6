"""Times of the week at which a user may log in, such as ``Mon-Fri 08:00-18:00, Sat 09:00-12:00``.

Each part has days, a time, or both. Without days it holds every day, without a time all day. An end
before its beginning is on the next day: ``Fri 22:00-06:00`` ends on Saturday. Times are those of
the server's time zone.
"""

from __future__ import annotations

import re
import time
from functools import lru_cache

from nacre.errors import UserStoreError
from nacre.wire.text import safe

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY = "|".join(_DAYS)
_PART = re.compile(
    rf"(?:({_DAY})(?:-({_DAY}))?)?\s*(?:(\d\d?):(\d\d)-(\d\d?):(\d\d))?", re.IGNORECASE
)
_MINUTES = 24 * 60
_WEEK = 7 * _MINUTES


@lru_cache(256)
def parse_hours(text: str) -> tuple[tuple[int, int], ...]:
    """Return the spans, in minutes since the beginning of Monday; an end may be in the next week.

    :raises UserStoreError: the text is none of this form.
    """
    spans: list[tuple[int, int]] = []
    for part in text.split(","):
        found = _PART.fullmatch(part.strip())
        if found is None or not found[0]:
            raise UserStoreError(
                f"{safe(part.strip(), 64)!r} is not a time of the week; write for example "
                "Mon-Fri 08:00-18:00"
            )
        begin, end = _span(found)
        spans += [(day * _MINUTES + begin, day * _MINUTES + end) for day in _days(found)]
    return tuple(spans)


def _days(found: re.Match[str]) -> list[int]:
    if found[1] is None:
        return list(range(7))
    first = _DAYS.index(found[1].title())
    last = first if found[2] is None else _DAYS.index(found[2].title())
    return [(first + n) % 7 for n in range((last - first) % 7 + 1)]


def _span(found: re.Match[str]) -> tuple[int, int]:
    if found[3] is None:
        return 0, _MINUTES
    times = [(int(found[n]), int(found[n + 1])) for n in (3, 5)]
    begin, end = (hour * 60 + minute for hour, minute in times)
    if max(begin, end) > _MINUTES or any(minute > 59 for _, minute in times) or begin == _MINUTES:
        raise UserStoreError(f"{safe(found[0], 64)!r}: a day has the times 00:00 to 24:00")
    return begin, end if end > begin else end + _MINUTES


def in_hours(text: str, now: float) -> bool:
    """Tell whether ``now``, in seconds since the epoch, is in one of the spans.

    :raises UserStoreError: the text has another form.
    """
    local = time.localtime(now)
    minute = local.tm_wday * _MINUTES + local.tm_hour * 60 + local.tm_min
    return any(
        begin <= at < end for begin, end in parse_hours(text) for at in (minute, minute + _WEEK)
    )
