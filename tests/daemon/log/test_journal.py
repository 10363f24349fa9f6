"""The journal, played by a socket."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from nacre.config.values import LogLevel
from nacre.daemon.log.journal import SystemJournal
from nacre.daemon.log.server_log import ServerLog


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "socket"


@pytest.fixture
def journal(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        sock.settimeout(30)
        yield sock


def fields(data: bytes) -> dict[str, str]:
    """Read a datagram as the journal does."""
    found = {}
    while data:
        head, _, rest = data.partition(b"\n")
        name, equals, value = head.partition(b"=")
        if equals:
            data = rest
        else:
            (size,) = struct.unpack("<Q", rest[:8])
            value, data = rest[8 : 8 + size], rest[9 + size :]
        found[name.decode()] = value.decode()
    return found


def test_each_value_of_a_record_is_a_field(path: Path, journal: socket.socket) -> None:
    log = ServerLog(LogLevel.INFO, SystemJournal("prog", str(path)), worker=2)
    log({"event": "auth", "name": "two words", "attempt": 1})
    log({"event": "error", "what": "a\nb"})
    first, second = (fields(journal.recv(65536)) for _ in range(2))
    log.close()
    assert first == {
        "MESSAGE": 'worker=2 event=auth name="two words" attempt=1',
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "prog",
        "SYSLOG_PID": str(os.getpid()),
        "NACRE_WORKER": "2",
        "NACRE_EVENT": "auth",
        "NACRE_NAME": "two words",
        "NACRE_ATTEMPT": "1",
    }
    assert (second["PRIORITY"], second["NACRE_WHAT"]) == ("3", "a\nb")
    assert second["MESSAGE"] == 'worker=2 event=error what="a\\nb"'


def test_a_record_that_is_too_long_is_cut_off(path: Path, journal: socket.socket) -> None:
    log = ServerLog(LogLevel.INFO, SystemJournal("prog", str(path)))
    log({"event": "error", "what": "x" * 65536})
    found = fields(journal.recv(1 << 20))
    log.close()
    assert found.keys() == {"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "SYSLOG_PID"}
    assert found["MESSAGE"].startswith("event=error what=xxx")


def test_without_a_journal_records_are_lost(path: Path) -> None:
    log = ServerLog(LogLevel.INFO, SystemJournal("prog", str(path)))
    log({"event": "error", "what": "x"})
    log.close()
