"""The server's log: one line of ``key=value`` words on standard error for each record."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime

from nacre.config.server import LogLevel

_PLAIN = re.compile(r"[!#-<>-~]+")  # visible US-ASCII without the quote and the equals sign


def level_of(record: Mapping[str, object]) -> LogLevel:
    """Return from which level on a record is shown."""
    event = record["event"]
    if event == "error":
        return LogLevel.ERROR
    # A client asks with `none` for the methods there are: that is no attempt.
    if event == "rekey" or (event == "auth" and record.get("method") == "none"):
        return LogLevel.VERBOSE
    return LogLevel.INFO


class StderrLog:
    """Writes records up to a level."""

    def __init__(self, level: LogLevel) -> None:
        self._level = level
        # Where the records of errors come from, with stack traces.
        logging.getLogger("nacre.server").disabled = level < LogLevel.DEBUG1

    def __call__(self, record: Mapping[str, object]) -> None:
        """Write a record, unless it is beyond the level."""
        level = level_of(record)
        if level <= self._level:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            text = line({"time": now, "level": level.name.lower(), **record})
            with suppress(OSError):  # nobody reads it any more
                print(text, file=sys.stderr)


def line(record: Mapping[str, object]) -> str:
    """Return a record as words; a value of more than one word is quoted as in JSON."""
    return " ".join(f"{key}={_value(value)}" for key, value in record.items())


def _value(value: object) -> str:
    text = str(value)
    if _PLAIN.fullmatch(text):
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())
