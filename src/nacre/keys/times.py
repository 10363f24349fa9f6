"""Points in time as OpenSSH's files and options write them: ``YYYYMMDD[HHMM[SS]][Z]``."""

from __future__ import annotations

from datetime import UTC, datetime

_FORMS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


def parse_time(text: str) -> int:
    """Return the seconds since the epoch at the date, or date and time, in ``text``.

    With ``Z`` or ``UTC`` behind it that is a time of UTC, otherwise one of the local time zone.

    :raises ValueError: it has another form, or is before the epoch.
    """
    digits = text.removesuffix("UTC").removesuffix("Z")
    form = _FORMS.get(len(digits))
    try:
        if form is None or not (digits.isascii() and digits.isdigit()):
            raise ValueError
        moment = datetime.strptime(digits, form)
        seconds = (moment if digits == text else moment.replace(tzinfo=UTC)).timestamp()
        if seconds < 0:
            raise ValueError
    except (ValueError, OverflowError):
        raise ValueError("a time is written YYYYMMDD[HHMM[SS]][Z], and is after 1970") from None
    return int(seconds)


_CYCLE = 146_097 * 86_400
"""Seconds of 400 years, after which the Gregorian calendar repeats itself."""


def show_time(seconds: int) -> str:
    """Return a time of the local time zone, as ``ssh-keygen -L`` shows it."""
    # datetime ends with the year 9999.
    cycles = max(0, seconds // _CYCLE - 19)
    moment = datetime.fromtimestamp(seconds - cycles * _CYCLE)
    return f"{moment.year + 400 * cycles:04}{moment:-%m-%dT%H:%M:%S}"
