"""How the connections of a server are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nacre.cli.user.listing import shown_time

if TYPE_CHECKING:
    from nacre.daemon.control.values import Connected, Details, Running

NAMES = ("id", "user", "from", "since", "methods", "process", "idle", "sessions", "forwards")
"""The columns of a table of connections."""

_STEP = 1000
_UNITS = ("B", "kB", "MB", "GB", "TB")

_MINUTE, _HOUR, _DAY = 60, 3600, 86400

_LINES = 60
"""Characters of a command line in a table."""


def row(one: Connected) -> Sequence[str]:
    """Return a connection as the cells of :data:`NAMES`."""
    details = one.details
    return (
        one.id,
        one.user or "-",
        one.peer,
        shown_time(int(one.since)),
        ",".join(one.methods) or "-",
        "-" if one.process is None else str(one.process),
        "-" if details is None else span(details.idle),
        doing(one),
        "-" if details is None else forwards(details),
    )


def doing(one: Connected) -> str:
    """Return in words what a connection does."""
    if one.state == "login":
        return "logs in"
    if one.state == "rest":
        return "at rest"
    if one.details is None:
        return "?"
    parts = [_running(running) for running in one.details.running]
    if (more := one.details.sessions - len(parts)) > 0:
        parts.append(f"{more} more")
    return "; ".join(parts) or "none"


def _running(one: Running) -> str:
    what = one.what if len(one.what) <= _LINES else one.what[: _LINES - 1] + "…"
    text = {"shell": "shell", "": "begins"}.get(one.request, what)
    return f"{text} (tty)" if one.terminal else text


def forwards(details: Details) -> str:
    """Return the numbers of forwarded channels and of places that are listened on."""
    listens = f" + {details.listens} listening" if details.listens else ""
    return f"{details.forwards}{listens}"


def span(seconds: float) -> str:
    """Return a span of time in its largest unit, such as ``5m``."""
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"


def size(number: float) -> str:
    """Return a number of bytes with its unit, such as ``1.5 MB``."""
    for unit in _UNITS[:-1]:
        if number < _STEP:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= _STEP
    return f"{number:.1f} {_UNITS[-1]}"
