"""The system's log as the place for a server's log: datagrams to ``/dev/log`` (RFC 3164)."""

from __future__ import annotations

import os
import select
import socket
import time
from contextlib import suppress

from nacre.config.values import LogLevel

PATH = "/dev/log"

_FACILITIES = {"USER": 1, "DAEMON": 3, "AUTH": 4, "AUTHPRIV": 10} | {
    f"LOCAL{number}": 16 + number for number in range(8)
}

_SEVERITIES = {
    LogLevel.QUIET: 2,
    LogLevel.FATAL: 2,
    LogLevel.ERROR: 3,
    LogLevel.INFO: 6,
    LogLevel.VERBOSE: 6,
}
"""The severity of each level; that of the levels below is *debug*, 7."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MOST = 2048
"""Bytes of a line; the rest is cut off, because a system's log may drop a longer datagram."""

_PATIENCE = 1.0
"""Seconds to wait for a system's log that has stalled."""


class Syslog:
    """Writes lines to the system's log; they are lost while there is none.

    :param facility: as SyslogFacility names it.
    :param program: the name in front of each line.
    :param path: the socket of the system's log.
    """

    def __init__(self, facility: str, program: str, path: str = PATH) -> None:
        self._facility = _FACILITIES[facility]
        self._program = program
        self._path = path
        self._socket: socket.socket | None = None

    def line(self, level: LogLevel, text: str) -> str:
        """Return a record as a line: priority, local time, program and process in front."""
        now = time.localtime()
        stamp = f"{_MONTHS[now.tm_mon - 1]} {now.tm_mday:2} {time.strftime('%H:%M:%S', now)}"
        priority = self._facility << 3 | _SEVERITIES.get(level, 7)
        return f"<{priority}>{stamp} {self._program}[{os.getpid()}]: {text}"

    def part_of_traceback(self, text: str) -> str:
        """Return a line of a traceback as a line of the log."""
        return self.line(LogLevel.ERROR, text)

    def ready(self) -> bool:
        """Tell whether a line can be written without waiting."""
        if self._socket is None:
            return True
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT)
        return bool(poll.poll(0))

    def write(self, data: bytes) -> None:
        """Write lines, each as a datagram; connect again when the system's log has restarted."""
        for one in data.splitlines():
            with suppress(OSError):
                try:
                    self._send(one[:_MOST])
                except ConnectionError:
                    self.close()
                    self._send(one[:_MOST])

    def _send(self, line: bytes) -> None:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                self._socket.settimeout(_PATIENCE)
                self._socket.connect(self._path)
            except OSError:
                self.close()
                raise
        self._socket.send(line)

    def close(self) -> None:
        """Close the socket; the next line opens it again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
