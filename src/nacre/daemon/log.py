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

_DETAILS = {"command": LogLevel.VERBOSE}
"""Fields that are shown from this level on: a command line may hold secrets."""

_LATER = 0.01
"""Seconds that a line may wait to be written together with others."""


def level_of(record: Mapping[str, object]) -> LogLevel:
    """Return the lowest level at which a record is shown."""
    event = record["event"]
    if event == "error":
        return LogLevel.ERROR
    if event == "file":
        return LogLevel.VERBOSE
    if event == "forward" and record.get("granted"):
        return LogLevel.VERBOSE
    # Clients use the method `none` to get the list of methods: that is no attempt to log in.
    if event == "rekey" or (event == "auth" and record.get("method") == "none"):
        return LogLevel.VERBOSE
    return LogLevel.INFO


class StderrLog:
    """Writes records up to a level.

    On an event loop, the lines of a hundredth of a second are one write: a write per line would
    cost more than everything else about it, and wake the log's reader each time. Errors are
    written immediately.
    """

    def __init__(self, level: LogLevel, **always: object) -> None:
        """Write records up to ``level``, each with the fields ``always`` in front."""
        self._level = level
        self._always = always
        self._lines: list[str] = []
        self._flushing: asyncio.TimerHandle | None = None
        self._second = (0, "")
        # This logger has the tracebacks of errors that are also records here.
        logging.getLogger("nacre.server").disabled = level < LogLevel.DEBUG1

    @property
    def detailed(self) -> bool:
        """Whether a record of each file operation is written."""
        return self._level >= LogLevel.VERBOSE

    def __call__(self, record: Mapping[str, object]) -> None:
        """Write a record, unless its level is above the limit."""
        level = level_of(record)
        if level > self._level:
            return
        hidden = _DETAILS.keys() & record.keys()
        if hidden and any(_DETAILS[name] > self._level for name in hidden):
            record = {name: value for name, value in record.items() if name not in hidden}
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
        """Write the lines that wait."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        lines, self._lines = self._lines, []
        for text in _portions(lines):
            with suppress(OSError):  # the reader is gone
                sys.stderr.write(text)
                sys.stderr.flush()


def _portions(lines: list[str]) -> Iterator[str]:
    """Join lines to portions that a pipe takes atomically: other processes may write to it too."""
    portion = ""
    for text in lines:
        if portion and len(portion) + len(text) >= select.PIPE_BUF:
            yield portion
            portion = ""
        portion += text + "\n"
    if portion:
        yield portion


def line(record: Mapping[str, object]) -> str:
    """Return a record as ``key=value`` words; other values than plain words are JSON."""
    texts = [str(value) for value in record.values()]
    # Most lines need no quotes, which one match of the whole line finds out.
    if not all(texts) or not _PLAIN.fullmatch("".join(texts)):
        texts = [text if _PLAIN.fullmatch(text) else _quoted(text) for text in texts]
    return " ".join(map("=".join, zip(record, texts, strict=True)))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=not text.isprintable())
