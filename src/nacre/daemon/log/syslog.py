"""The system's log as the place for a server's log: datagrams to ``/dev/log`` (RFC 3164)."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from nacre.config.values import LogLevel
from nacre.daemon.log.datagrams import SEVERITIES, Datagrams
from nacre.daemon.log.form import FORMS, Form

PATH = "/dev/log"

_FACILITIES = {"USER": 1, "DAEMON": 3, "AUTH": 4, "AUTHPRIV": 10} | {
    f"LOCAL{number}": 16 + number for number in range(8)
}

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MOST = 2048
"""Bytes of a line; the rest is cut off, because a system's log may drop a longer datagram."""


class Syslog(Datagrams):
    """Writes lines to the system's log; they are lost while there is none.

    :param facility: as SyslogFacility names it.
    :param program: the name in front of each line.
    :param form: the form of what comes behind.
    :param path: the socket of the system's log.
    """

    def __init__(self, facility: str, program: str, form: Form = "text", path: str = PATH) -> None:
        super().__init__(path)
        self._facility = _FACILITIES[facility]
        self._program = program
        self._line = FORMS[form]

    def line(self, level: LogLevel, record: Mapping[str, object]) -> str:
        """Return a record as a line: priority, local time, program and process in front."""
        return self._marked(level, self._line(record))

    def part_of_traceback(self, text: str) -> str:
        """Return a line of a traceback as a line of the log."""
        return self._marked(LogLevel.ERROR, text)

    def _marked(self, level: LogLevel, text: str) -> str:
        now = time.localtime()
        stamp = f"{_MONTHS[now.tm_mon - 1]} {now.tm_mday:2} {time.strftime('%H:%M:%S', now)}"
        priority = self._facility << 3 | SEVERITIES.get(level, 7)
        return f"<{priority}>{stamp} {self._program}[{os.getpid()}]: {text}"

    def datagram(self, text: bytes) -> bytes:
        """Return a line, cut off."""
        return text[:_MOST]
