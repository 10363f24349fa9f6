"""The journal of systemd as the place for a server's log (systemd.journal-fields(7)).

A record is a datagram with a field for each of its values, so that ``journalctl NACRE_USER=alice``
finds them: https://systemd.io/JOURNAL_NATIVE_PROTOCOL.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping

from nacre.config.values import LogLevel
from nacre.daemon.log.datagrams import SEVERITIES, Datagrams
from nacre.daemon.log.form import line

PATH = "/run/systemd/journal/socket"

_MOST = 64 * 1024
"""Bytes of a datagram; of a longer one the journal gets the message alone, cut off."""

_LENGTH = struct.Struct("<Q")


class SystemJournal(Datagrams):
    """Writes records to the journal; they are lost while there is none.

    :param program: the name that the journal shows.
    """

    def __init__(self, program: str, path: str = PATH) -> None:
        super().__init__(path)
        self._program = program

    def line(self, level: LogLevel, record: Mapping[str, object]) -> str:
        """Return the fields of a record as an object of JSON."""
        fields = {
            "MESSAGE": line(record),
            "PRIORITY": str(SEVERITIES.get(level, 7)),
            "SYSLOG_IDENTIFIER": self._program,
            "SYSLOG_PID": str(os.getpid()),
        }
        for name, value in record.items():
            fields[f"NACRE_{name.upper()}"] = str(value)
        return json.dumps(fields)

    def datagram(self, text: bytes) -> bytes:
        """Return what the journal takes."""
        fields = json.loads(text)
        data = b"".join(_field(name, value) for name, value in fields.items())
        if len(data) <= _MOST:
            return data
        first = ("PRIORITY", "SYSLOG_IDENTIFIER", "SYSLOG_PID")
        short = {"MESSAGE": fields["MESSAGE"][: _MOST // 8], **{n: fields[n] for n in first}}
        return b"".join(_field(name, value) for name, value in short.items())


def _field(name: str, value: str) -> bytes:
    data = value.encode(errors="backslashreplace")
    if b"\n" in data:
        return name.encode() + b"\n" + _LENGTH.pack(len(data)) + data + b"\n"
    return name.encode() + b"=" + data + b"\n"
