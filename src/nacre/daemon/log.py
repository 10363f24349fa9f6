"""The server's log: one line of ``key=value`` words on standard error for each record."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import select
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime

from nacre.config.values import LogLevel

_PLAIN = re.compile(r"[!#-<>-~]+")  # visible US-ASCII without the quote and the equals sign

_NAMES = {level: level.name.lower() for level in LogLevel}

_LATER = 0.01
"""Seconds that a line may wait for others."""


def level_of(record: Mapping[str, object]) -> LogLevel:
    """Return from which level on a record is shown."""
    event = record["event"]
    if event == "error":
        return LogLevel.ERROR
    if event == "forward" and record.get("granted"):
        return LogLevel.VERBOSE
    # A client asks with `none` for the methods there are: that is no attempt.
    if event == "rekey" or (event == "auth" and record.get("method") == "none"):
        return LogLevel.VERBOSE
    return LogLevel.INFO


class StderrLog:
    """Writes records up to a level.

    On an event loop, what a hundredth of a second has to say is one write: to write each line would
    cost more than all the rest of it, and wake who reads the log. Errors are written at once.
    """

    def __init__(self, level: LogLevel, **always: object) -> None:
        """Write what is at most of ``level``; ``always`` is part of each record."""
        self._level = level
        self._always = always
        self._lines: list[str] = []
        self._flushing: asyncio.TimerHandle | None = None
        self._second = (0, "")
        # Where the records of errors come from, with stack traces.
        logging.getLogger("nacre.server").disabled = level < LogLevel.DEBUG1

    def __call__(self, record: Mapping[str, object]) -> None:
        """Write a record, unless it is beyond the level."""
        level = level_of(record)
        if level > self._level:
            return
        head = {"time": self._now(), "level": _NAMES[level]}
        self._lines.append(line({**head, **self._always, **record}))
        if level is LogLevel.ERROR:
            self.flush()
        elif self._flushing is None:
            try:
                self._flushing = asyncio.get_running_loop().call_later(_LATER, self.flush)
            except RuntimeError:
                self.flush()

    def _now(self) -> str:
        seconds, milliseconds = divmod(time.time_ns() // 1_000_000, 1000)
        if self._second[0] != seconds:
            text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self._second = seconds, text
        return f"{self._second[1]}.{milliseconds:03}+00:00"

    def flush(self) -> None:
        """Write what was not written yet."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        lines, self._lines = self._lines, []
        for text in _portions(lines):
            with suppress(OSError):  # nobody reads it any more
                sys.stderr.write(text)
                sys.stderr.flush()


def _portions(lines: list[str]) -> Iterator[str]:
    """Join lines to what a pipe takes in one piece: other processes may write into it too."""
    portion = ""
    for text in lines:
        if portion and len(portion) + len(text) >= select.PIPE_BUF:
            yield portion
            portion = ""
        portion += text + "\n"
    if portion:
        yield portion


def line(record: Mapping[str, object]) -> str:
    """Return a record as words; a value of more than one word is quoted as in JSON."""
    texts = [str(value) for value in record.values()]
    # Most lines need no quotes, and one look shows that.
    if not all(texts) or not _PLAIN.fullmatch("".join(texts)):
        texts = [text if _PLAIN.fullmatch(text) else _quoted(text) for text in texts]
    return " ".join(map("=".join, zip(record, texts, strict=True)))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=not text.isprintable())
