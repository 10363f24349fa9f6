"""What a file process writes to its standard error, taken into the server's log.

The process has the rights of the user's account, so what it says is checked like a client's: known
events and fields, texts made safe to print, lines of a bounded length.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from nacre.config.values import LogLevel
from nacre.limits import KIB
from nacre.sftp.server.journal import FIELDS
from nacre.sftp.server.transfer_log import level_of_operation
from nacre.wire.codec import Buffer
from nacre.wire.text import safe

_LINE = 64 * KIB
"""Bytes of a line: two paths of 4096 bytes, each byte of which may be six characters of JSON."""

_EVENTS = ("failed", "file", "lost", "refused", "sftp")


class FileProcessLog:
    """The end of a file process's standard error.

    A session whose restrictions have a log level has its operations logged by it: the records
    ``file`` get a ``level`` of their own (:func:`nacre.daemon.log.server_log.level_of`).

    :ivar failure: the last line that is no record: why the process could not serve; or empty.
    """

    def __init__(self, record: Callable[..., None], level: int = LogLevel.ERROR) -> None:
        """Write to ``record``, which takes the name of an event, and fields by their names.

        :param level: the level up to which the session logs its operations.
        """
        self._record = record
        self._level = level
        self._begun = bytearray()
        self.failure = ""

    async def write(self, data: Buffer) -> None:
        """Take what the process has written."""
        self._begun += data
        *lines, rest = self._begun.split(b"\n")
        self._begun = rest[:_LINE]
        for line in lines:
            self._take(bytes(line[:_LINE]))

    def _take(self, line: bytes) -> None:
        try:
            record = json.loads(line)
            event = record.pop("event")
        except (ValueError, LookupError, AttributeError, TypeError):
            self.failure = safe(line)
            return
        if event in _EVENTS:
            known = {name: record[name] for name in record if name in FIELDS}
            fields = {name: _shown(value) for name, value in known.items()}
            if event == "file" and level_of_operation(str(fields.get("op"))) <= self._level:
                fields["level"] = "info"
            self._record(event, **fields)


def _shown(value: object) -> object:
    if isinstance(value, int):
        return value
    text = str(value)[: 4 * KIB]
    return text if text.isprintable() else safe(text)  # the process has made it safe already
