"""Messages of the client programs, by level: on standard error, or in the file of ``-E``."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

from nacre.config.values import LogLevel
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.config.client.config import ClientConfig

_PREFIXES = {level: f"{level.name.lower()}: " for level in LogLevel if level >= LogLevel.DEBUG1}


def open_log(path: str | None = None) -> BinaryIO:
    """Return an unbuffered file to log to: ``path``, appended to, or standard error.

    :raises OSError: ``path`` can't be opened.
    """
    if path is None:
        return open(2, "wb", buffering=0, closefd=False)
    return open(path, "ab", buffering=0)


def _append(file: BinaryIO, text: str) -> None:
    # In a terminal in raw mode, LF alone does not return to the first column.
    line_end = b"\r\n" if os.isatty(file.fileno()) else b"\n"
    lines = text.encode("utf-8", "surrogateescape").split(b"\n")
    # A disk that is full, or a reader that is gone, does not end the connection.
    with suppress(OSError):
        file.write(b"".join(line + line_end for line in lines))


class Log:
    """Writes messages whose level is at most the chosen one.

    :param file: see :func:`open_log`.
    :param facility: the facility of the system's log to which the messages go in place of ``file``,
        such as ``USER``; None for none.
    """

    def __init__(self, level: LogLevel, file: BinaryIO, facility: str | None = None) -> None:
        self.level = level
        self._priority = 0
        if facility is not None:
            import syslog

            self._priority = getattr(syslog, f"LOG_{facility}")
            syslog.openlog("nacre-ssh", syslog.LOG_PID, self._priority)
        self._file = file

    @property
    def on_stderr(self) -> bool:
        """Whether messages go to standard error."""
        return not self._priority and self._file.fileno() == 2

    def write(self, level: LogLevel, text: str) -> None:
        """Write ``text``, which may have several lines, if the chosen level includes ``level``."""
        if level <= self.level and self._priority:
            self._write_to_system(level, text)
        elif level <= self.level:
            _append(self._file, text)

    def banner(self, text: str) -> None:
        """Show the server's text to the user: on standard error, wherever the messages go."""
        if self.level >= LogLevel.INFO:
            with open_log() as shown:
                _append(shown, text.removesuffix("\n"))

    def _write_to_system(self, level: LogLevel, text: str) -> None:
        import syslog

        urgency = syslog.LOG_DEBUG
        if level <= LogLevel.VERBOSE:
            urgency = syslog.LOG_ERR if level <= LogLevel.ERROR else syslog.LOG_INFO
        for line in text.split("\n"):
            syslog.syslog(self._priority | urgency, safe(line, 1000))

    def fatal(self, text: str) -> None:
        """Report why the program ends."""
        self.write(LogLevel.FATAL, text)

    def error(self, text: str) -> None:
        """Report an error after which the program continues."""
        self.write(LogLevel.ERROR, text)

    def info(self, text: str) -> None:
        """Write what a user should know."""
        self.write(LogLevel.INFO, text)

    def verbose(self, text: str) -> None:
        """Write what a user may want to know."""
        self.write(LogLevel.VERBOSE, text)

    def debug(self, text: str) -> None:
        """Write what helps to find a fault."""
        self.tell(LogLevel.DEBUG1, text)

    def tell(self, level: LogLevel, text: str) -> None:
        """Write ``text`` at a level from VERBOSE on, with the name of a debugging level before."""
        prefix = _PREFIXES.get(level, "")
        self.write(level, f"{prefix}{text}")

    def describe(self, config: ClientConfig) -> None:
        """Tell the settings of the configuration, and where they were written."""
        for level, text in config.described():
            self.tell(level, text)
