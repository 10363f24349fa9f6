"""Places for a log that take each line as a datagram."""

from __future__ import annotations

import select
import socket
from collections.abc import Mapping
from contextlib import suppress

from nacre.config.values import LogLevel

SEVERITIES = {
    LogLevel.QUIET: 2,
    LogLevel.FATAL: 2,
    LogLevel.ERROR: 3,
    LogLevel.INFO: 6,
    LogLevel.VERBOSE: 6,
}
"""The severity of each level (RFC 5424 section 6.2.1); of those below it is *debug*, 7."""

_PATIENCE = 1.0
"""Seconds to wait for a reader that has stalled."""


class Datagrams:
    """The base of such a place: a socket at ``path``; lines are lost while there is none."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket: socket.socket | None = None

    def line(self, level: LogLevel, record: Mapping[str, object]) -> str:
        """Return a record as a line."""
        raise NotImplementedError

    def datagram(self, text: bytes) -> bytes:
        """Return what is sent of a line."""
        raise NotImplementedError

    def part_of_traceback(self, text: str) -> str:
        """Return a line of a traceback as a line of the log."""
        return self.line(LogLevel.ERROR, {"event": "traceback", "text": text})

    def ready(self) -> bool:
        """Tell whether a line can be written without waiting."""
        if self._socket is None:
            return True
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT)
        return bool(poll.poll(0))

    def write(self, data: bytes) -> None:
        """Write lines, each as a datagram; connect again when the reader has restarted."""
        for one in data.splitlines():
            datagram = self.datagram(one)
            with suppress(OSError):
                try:
                    self._send(datagram)
                except ConnectionError:
                    self.close()
                    self._send(datagram)

    def _send(self, datagram: bytes) -> None:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                self._socket.settimeout(_PATIENCE)
                self._socket.connect(self._path)
            except OSError:
                self.close()
                raise
        self._socket.send(datagram)

    def close(self) -> None:
        """Close the socket; the next line opens it again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
