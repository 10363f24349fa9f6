"""The log of the system, played by a socket."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from nacre.config.values import LogLevel
from nacre.daemon.log.server_log import ServerLog
from nacre.daemon.log.syslog import Syslog


def listen(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(str(path))
    sock.settimeout(30)
    return sock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def system_log(path: Path) -> Iterator[socket.socket]:
    with listen(path) as sock:
        yield sock


@pytest.mark.parametrize(
    ("facility", "level", "priority"),
    [
        ("AUTH", LogLevel.INFO, 4 * 8 + 6),
        ("AUTHPRIV", LogLevel.ERROR, 10 * 8 + 3),
        ("LOCAL7", LogLevel.VERBOSE, 23 * 8 + 6),
        ("DAEMON", LogLevel.DEBUG2, 3 * 8 + 7),
        ("USER", LogLevel.FATAL, 1 * 8 + 2),
    ],
)
def test_the_priority_is_facility_and_severity(
    path: Path, facility: str, level: LogLevel, priority: int
) -> None:
    line = Syslog(facility, "prog", path=str(path)).line(level, {"event": "x"})
    pattern = rf"<{priority}>[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d prog\[{os.getpid()}\]: event=x"
    assert re.fullmatch(pattern, line)


def test_each_record_is_a_datagram(path: Path, system_log: socket.socket) -> None:
    log = ServerLog(LogLevel.INFO, Syslog("AUTH", "prog", path=str(path)), worker=2)
    log({"event": "error", "what": "one"})
    log({"event": "accepted"})
    log({"event": "rekey"})
    log({"event": "error", "what": "two"})
    received = [system_log.recv(4096).decode().partition(": ")[2] for _ in range(3)]
    log.close()
    assert received == [
        "worker=2 event=error what=one",
        "worker=2 event=accepted",
        "worker=2 event=error what=two",
    ]


def test_a_system_log_that_restarts_gets_the_next_line(path: Path) -> None:
    syslog = Syslog("AUTH", "prog", path=str(path))
    syslog.write(b"lost: there is none yet\n")
    with listen(path) as first:
        syslog.write(b"one\n")
        assert first.recv(99) == b"one"
    path.unlink()
    with listen(path) as second:
        syslog.write(b"two\nthree\n")
        assert (second.recv(99), second.recv(99)) == (b"two", b"three")
    syslog.close()


def test_a_long_line_is_cut(path: Path, system_log: socket.socket) -> None:
    syslog = Syslog("AUTH", "prog", path=str(path))
    syslog.write(b"x" * 5000 + b"\n")
    assert system_log.recv(9999) == b"x" * 2048
    syslog.close()


async def test_a_stalled_system_log_does_not_stop_the_loop(
    path: Path, system_log: socket.socket
) -> None:
    syslog = Syslog("AUTH", "prog", path=str(path))
    log = ServerLog(LogLevel.INFO, syslog)
    for _ in range(2000):  # more than the socket's buffer takes
        log({"event": "error", "what": "x" * 500})
        if not syslog.ready():
            break
    assert not syslog.ready()
    syslog.close()
