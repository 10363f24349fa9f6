"""Templates to pages. Whatever is put into one is text, never markup (autoescape)."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")

STATIC: Mapping[str, tuple[bytes, str]] = {
    name: (files("nacre.console").joinpath("static", name).read_bytes(), kind)
    for name, kind in {
        "console.css": "text/css; charset=utf-8",
        "console.js": "text/javascript; charset=utf-8",
        "files.js": "text/javascript; charset=utf-8",
        "join.js": "text/javascript; charset=utf-8",
        "replay.js": "text/javascript; charset=utf-8",
        "watch.js": "text/javascript; charset=utf-8",
        "terminal.js": "text/javascript; charset=utf-8",
        "shell.js": "text/javascript; charset=utf-8",
        "xterm.css": "text/css; charset=utf-8",
        "xterm.js": "text/javascript; charset=utf-8",
        "xterm-addon-fit.js": "text/javascript; charset=utf-8",
        "webauthn.js": "text/javascript; charset=utf-8",
        "asciinema-player.css": "text/css; charset=utf-8",
        "asciinema-player.min.js": "text/javascript; charset=utf-8",
    }.items()
}
"""The files that pages load, with their media types. Nothing else is served."""


def size(number: float | None) -> str:
    """Return bytes as people read them."""
    if number is None:
        return "–"
    unit = 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number, unit = number / 1024, unit + 1
    return f"{number:.0f} {_UNITS[unit]}" if unit == 0 else f"{number:.1f} {_UNITS[unit]}"


def moment(seconds: float | None) -> str:
    """Return a time, in seconds since the epoch, in UTC."""
    if not seconds:
        return "–"
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"
    except (OverflowError, ValueError, OSError):
        return str(seconds)


def span(seconds: float) -> str:
    """Return a number of seconds as people read it."""
    whole = max(0, int(seconds))
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if whole >= length:
            return f"{whole // length} {unit}"
    return f"{whole} s"


def since(seconds: float) -> str:
    """Return how long ago a time was, in seconds since the epoch."""
    return span(time.time() - seconds)


def clock(minute: float) -> str:
    """Return a minute of a day as a time."""
    whole = max(0, int(minute))
    return f"{whole // 60:02}:{whole % 60:02}"


def elapsed(seconds: float) -> str:
    """Return a time of a recording: minutes and seconds."""
    sign, whole = ("-" if seconds < 0 else ""), abs(seconds)
    return f"{sign}{int(whole // 60)}:{whole % 60:04.1f}"


def words(name: str) -> str:
    """Return the name of a setting as words."""
    return name.replace("_", " ")


def said(value: Any) -> str:
    """Return the value of a setting as people write it."""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


class Templates:
    """The templates of the console."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=PackageLoader("nacre.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "size": size,
            "moment": moment,
            "span": span,
            "since": since,
            "clock": clock,
            "elapsed": elapsed,
            "words": words,
            "said": said,
        }
        self._environment.globals["static"] = {
            name: f"/static/{name}?{hashlib.sha256(data).hexdigest()[:12]}"
            for name, (data, _) in STATIC.items()
        }

    def render(self, name: str, context: Mapping[str, Any]) -> str:
        """Return a template with what it is about put in."""
        return self._environment.get_template(name).render(context)
