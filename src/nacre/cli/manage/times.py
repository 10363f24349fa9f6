"""Times and spans of time, as people write them: ``90d``, ``2030-12-31``, ``2030-12-31T18:00``."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from datetime import datetime, timedelta

from nacre.config.values import seconds
from nacre.errors import ConfigurationError

_SPAN = re.compile(r"(\d{1,6})([mhdw])")
_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_LONGEST = 99_999 * _SECONDS["w"]
"""A time this long from now has a year of four digits."""

_DAY = "%Y-%m-%d"
_FORMS = (_DAY, "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S")


def span(text: str, units: str = "mhdw") -> int | None:
    """Return the seconds of a span such as ``90d``; None if the text is none.

    :param units: the letters that it may end with.
    """
    found = _SPAN.fullmatch(text)
    if found is None or found[2] not in units:
        return None
    total = int(found[1]) * _SECONDS[found[2]]
    return total if total <= _LONGEST else None


def written(text: str, *, end: bool = False) -> datetime | None:
    """Return the time that is written so, in the zone of this host; None if the text is none.

    :param end: a day counts to its end.
    """
    for form in _FORMS:
        with suppress(ValueError, OverflowError):
            whole = timedelta(days=1 if end and form == _DAY else 0)
            return datetime.strptime(text, form) + whole
    return None


def write(when: float) -> str:
    """Return what :func:`written` reads as this time, in seconds since the epoch."""
    return datetime.fromtimestamp(when).strftime(_FORMS[-1])


def moment(text: str, *, end: bool = False) -> int:
    """Return a time in microseconds since the epoch: ``2d`` ago, or a date and perhaps a time.

    A time without a zone is one of this host's.

    :param end: a day counts to its end.
    :raises ValueError: the text is none.
    """
    if (found := written(text, end=end)) is not None:
        return int(found.timestamp() * 1_000_000)
    with suppress(ValueError):
        return int(datetime.fromisoformat(text).timestamp() * 1_000_000)
    with suppress(ConfigurationError):
        return time.time_ns() // 1000 - seconds("", text) * 1_000_000
    raise ValueError(f"{text!r} is no time: write for example 2d, 2030-12-31 or 2030-12-31T18:00")
