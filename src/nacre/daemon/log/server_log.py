"""The server's log: a line for each record.

The lines go to standard error, to the log of the system (:mod:`nacre.daemon.log.syslog`) or to the
journal (:mod:`nacre.daemon.log.journal`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Any, Protocol

from nacre.config.values import LogLevel
from nacre.daemon.log.form import FORMS, Form
from nacre.limits import MIB
from nacre.wire.text import safe

_NAMES = {level: level.name.lower() for level in LogLevel}

_DETAILS = {"command": LogLevel.VERBOSE}
"""Fields that are shown from this level on: a command line may hold secrets."""

_STDERR = 2
_MOST_WAITING = 1 * MIB
"""Bytes of lines that wait for a reader that has stalled."""

_PATIENCE = 1.0
"""Seconds that the end of the process waits for the last lines to be written."""

_LATER = 0.01
"""Seconds that a line may wait to be written together with others."""


def level_of(record: Mapping[str, object]) -> LogLevel:
    """Return the lowest level at which a record is shown."""
    event = record["event"]
    if event == "error":
        return LogLevel.ERROR
    if event == "file":
        # A session of internal-sftp may have a level of its own.
        return LogLevel.INFO if record.get("level") == "info" else LogLevel.VERBOSE
    if event == "forward" and record.get("granted"):
        return LogLevel.VERBOSE
    # Clients use the method `none` to get the list of methods: that is no attempt to log in.
    if event == "rekey" or (event == "auth" and record.get("method") == "none"):
        return LogLevel.VERBOSE
    return LogLevel.INFO


class LogDestination(Protocol):
    """Where lines are written to."""

    def line(self, level: LogLevel, record: Mapping[str, object]) -> str:
        """Return a record as a line of this log."""

    def part_of_traceback(self, text: str) -> str:
        """Return a line of a traceback as a line of this log."""

    def ready(self) -> bool:
        """Tell whether a line can be written without waiting."""

    def write(self, data: bytes) -> None:
        """Write whole lines; what can't be written is dropped."""

    def close(self) -> None:
        """Let go of what was opened."""


class StandardError:
    """Standard error as the destination: each record begins with a time and a level.

    :param form: the form of the lines.
    """

    def __init__(self, form: Form = "text") -> None:
        self._second = (0, "")
        self._form = form
        self._line = FORMS[form]

    def line(self, level: LogLevel, record: Mapping[str, object]) -> str:
        """Return a record as a line."""
        return self._line({"time": self._now(), "level": _NAMES[level], **record})

    def _now(self) -> str:
        seconds, milliseconds = divmod(time.time_ns() // 1_000_000, 1000)
        if self._second[0] != seconds:
            text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self._second = seconds, text
        return f"{self._second[1]}.{milliseconds:03}+00:00"

    def part_of_traceback(self, text: str) -> str:
        """Return the line as it is, or as an object of JSON where all lines are."""
        if self._form == "text":
            return text
        return self.line(LogLevel.ERROR, {"event": "traceback", "text": text})

    def ready(self) -> bool:
        """Tell whether the reader takes more."""
        poll = select.poll()
        poll.register(_STDERR, select.POLLOUT)
        return bool(poll.poll(0))

    def write(self, data: bytes) -> None:
        """Write; a reader that is gone is ignored."""
        _write(data)

    def close(self) -> None:
        """Do nothing: standard error stays open."""


class ServerLog:
    """Writes records up to a level.

    On an event loop, the lines of a hundredth of a second are one write: a write per line would
    cost more than everything else about it, and wake the log's reader each time. Errors are
    written immediately. A thread writes, so a reader that has stalled does not stop the loop; what
    does not fit into :data:`_MOST_WAITING` bytes is dropped and counted.

    :ivar follow: gets each record that is written, with its level, in any thread; None for nobody.
    :ivar observers: get each record, also those above the limit.
    """

    def __init__(self, level: LogLevel, to: LogDestination | None = None, **always: object) -> None:
        """Write records up to ``level``, each with the fields ``always`` in front.

        :param to: where to write; standard error if None.
        """
        self._level = level
        self._to = to or StandardError()
        self.follow: Callable[[Mapping[str, object]], None] | None = None
        self._always = always
        self._lines: list[str] = []
        self._flushing: asyncio.TimerHandle | None = None
        self._writer: _Writer | None = None
        self._dropped = 0
        self._tracebacks = _Tracebacks(self)
        self._attends = False
        self.observers: list[Callable[[Mapping[str, object]], None]] = []

    def change(self, level: LogLevel) -> None:
        """Write records up to another level from now on."""
        self._level = level
        self._show_tracebacks()

    def _show_tracebacks(self) -> None:
        # This logger has the tracebacks of errors that are also records here.
        hidden = self._attends and self._level < LogLevel.DEBUG1
        logging.getLogger("nacre.server").disabled = hidden

    def send_to(self, destination: LogDestination) -> None:
        """Write to another place from now on."""
        self.flush()
        self._to = destination

    @property
    def detailed(self) -> bool:
        """Whether a record of each file operation is written."""
        return self._level >= LogLevel.VERBOSE

    def __call__(self, record: Mapping[str, object]) -> None:
        """Write a record, unless its level is above the limit."""
        for observe in self.observers:
            observe(record)
        level = level_of(record)
        if level > self._level:
            return
        hidden = _DETAILS.keys() & record.keys()
        if hidden and any(_DETAILS[name] > self._level for name in hidden):
            record = {name: value for name, value in record.items() if name not in hidden}
        self._lines.append(self._line(level, record))
        if self.follow is not None:
            self.follow({"level": _NAMES[level], **self._always, **record})
        if level is LogLevel.ERROR:
            self.flush()
        elif self._flushing is None:
            try:
                self._flushing = asyncio.get_running_loop().call_later(_LATER, self.flush)
            except RuntimeError:
                self.flush()

    def _line(self, level: LogLevel, record: Mapping[str, object]) -> str:
        return self._to.line(level, {**self._always, **record})

    def attend(self, loop: asyncio.AbstractEventLoop) -> None:
        """Write in a thread from now on, and log what asyncio and ``logging`` report, too."""
        with suppress(RuntimeError):  # no thread can be started: then as without a loop
            self._writer = _Writer(lambda data: self._to.write(data))
        loop.set_exception_handler(self._on_loop_error)
        logging.getLogger("nacre.server").addHandler(self._tracebacks)
        self._attends = True
        self._show_tracebacks()

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log what asyncio reports, such as a lack of descriptors for a new connection."""
        error, what = context.get("exception"), context.get("message", "an error on the loop")
        self({"event": "error", "what": what, "error": safe(str(error))})
        if error is not None:
            logging.getLogger("nacre.server").error("%s", what, exc_info=error)

    def flush(self) -> None:
        """Write the lines that wait, or hand them to the thread that writes."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        lines, self._lines = self._lines, []
        self.write(lines)

    def write(self, lines: list[str]) -> None:
        """Write lines as they are; drop and count them if the log's reader has stalled."""
        take = self._write_now if self._writer is None else self._writer.take
        if self._dropped:
            what = "log lines were dropped: nobody has read the log"
            notice = {"event": "error", "what": what, "lines": self._dropped}
            if take(f"{self._line(LogLevel.ERROR, notice)}\n".encode()):
                self._dropped = 0
        for text in _portions(lines):
            if not take(text.encode(errors="backslashreplace")):
                self._dropped += text.count("\n")

    def write_traceback(self, text: str) -> None:
        """Write a traceback."""
        self.write([self._to.part_of_traceback(one) for one in text.splitlines()])

    def _write_now(self, data: bytes) -> bool:
        """Write ``data`` unless that would block; tell whether it was written."""
        if not self._to.ready():
            return False
        self._to.write(data)
        return True

    def close(self) -> None:
        """Write what waits, for at most :data:`_PATIENCE` seconds, and end the thread."""
        logging.getLogger("nacre.server").removeHandler(self._tracebacks)
        self._attends = False
        self._show_tracebacks()
        self.flush()
        if self._writer is not None:
            self._writer.end()
            self._writer = None
        self._to.close()


class _Tracebacks(logging.Handler):
    """Hands what was logged with a traceback to the server's log."""

    def __init__(self, log: ServerLog) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.write_traceback(self.format(record))


class _Writer:
    """A thread that writes."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        """Start the thread.

        :param write: writes whole lines, and may block.
        :raises RuntimeError: the system has no thread for it.
        """
        self._write = write
        self._waiting: SimpleQueue[bytes | None] = SimpleQueue()
        # Each is changed by one thread only, so no lock is needed.
        self._taken = self._written = 0
        # A daemon: a write that never returns must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def take(self, data: bytes) -> bool:
        """Have ``data`` written, unless too much waits already; tell whether it will be."""
        if self._taken + len(data) - self._written > _MOST_WAITING:
            return False
        self._taken += len(data)
        self._waiting.put(data)
        return True

    def _run(self) -> None:
        while (data := self._waiting.get()) is not None:
            self._write(data)
            self._written += len(data)

    def end(self) -> None:
        self._waiting.put(None)
        self._thread.join(_PATIENCE)


def _write(data: bytes) -> None:
    # Not through sys.stderr, whose lock a blocked thread would hold when the process ends.
    with suppress(OSError):  # the reader is gone
        while data:
            data = data[os.write(_STDERR, data) :]


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
