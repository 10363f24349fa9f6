"""Who is logged in at which terminal, for who(1), last(1) and lastlog(8): utmp(5) and its like.

A file that the system does not have is not made. On newer systems last(1) reads the database of
:mod:`~nacre.daemon.processes.wtmpdb`, and who(1) asks logind, which a module of PAM tells.
"""

from __future__ import annotations

import fcntl
import os
import platform
import struct
import time
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from time import monotonic, sleep
from typing import Protocol

from nacre.daemon.processes import wtmpdb
from nacre.value import value

UTMP = Path("/run/utmp")
"""Who is logged in now."""

WTMP = Path("/var/log/wtmp")
"""Who was when."""

LASTLOG = Path("/var/log/lastlog")
"""The last login of each account, by uid."""

LAST = struct.Struct("=i32s256s")
"""A record of :data:`LASTLOG`: the time in seconds, the terminal, the host."""

_PATIENCE, _PAUSE = 1.0, 0.01
"""Seconds to wait for the lock of :data:`UTMP`, without which nothing is written there."""

_USER, _DEAD = 7, 8
_IN_USE = range(5, 9)
"""Types of the records of a terminal, INIT_PROCESS to DEAD_PROCESS."""

# On some systems the times have 32 bits though their programs have 64.
_SHORT = platform.machine() in ("x86_64", "ppc64le", "riscv64")
_TIMES = "iii" if _SHORT else "lll"
_RECORD = struct.Struct(f"@hi32s4s32s256shh{_TIMES}16s20s0l")


class LoginRecord(Protocol):
    """Records a login at a terminal."""

    def begin(self, terminal: str) -> None:
        """Record the login. Blocks.

        :param terminal: the path of the terminal.
        """

    def end(self, terminal: str) -> None:
        """Record its end. Blocks."""


@value
class TerminalLogin:
    """A user who logs in at a terminal: a :class:`LoginRecord` in the files of this system.

    :ivar pid: the process that holds the session open, or 0; killing it ends the session.
    :ivar host: the name of the client's host, or its address.
    :ivar address: its address.
    """

    user: str
    uid: int
    pid: int
    host: str
    address: str

    def begin(self, terminal: str) -> None:
        """Record the login."""
        note_login(self, terminal)

    def end(self, terminal: str) -> None:
        """Record its end."""
        note_logout(self, terminal)


def note_login(login: TerminalLogin, terminal: str) -> None:
    """Write a login into the files that the system has. Blocks.

    :param terminal: the path of the terminal.
    """
    now = time.time()
    address = b""
    with suppress(ValueError):  # the path of a socket
        address = ip_address(login.address.partition("%")[0]).packed
    names = _bytes(login.user), _bytes(login.host)
    _note(_record(_USER, login.pid, terminal, now, *names, address))
    wtmpdb.note_login(names[0], _line(terminal), names[1], now)
    last = LAST.pack(int(now), _line(terminal), _bytes(login.host))
    with suppress(OSError), LASTLOG.open("r+b") as file:
        os.pwrite(file.fileno(), last, login.uid * LAST.size)


def note_logout(login: TerminalLogin, terminal: str) -> None:
    """Write the end of a login; the parameters are those of :func:`note_login`. Blocks."""
    now = time.time()
    _note(_record(_DEAD, login.pid, terminal, now))
    wtmpdb.note_logout(_line(terminal), now)


def _note(record: bytes) -> None:
    with suppress(OSError), UTMP.open("r+b") as file:
        _lock(file.fileno())
        os.pwrite(file.fileno(), record, _place(file.read(), record))
    with suppress(OSError):
        number = os.open(WTMP, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        os.write(number, record)
        os.close(number)


def _lock(number: int) -> None:
    """Lock the file; everybody who can read it can keep it locked, but nobody a login.

    :raises BlockingIOError: it is locked for too long.
    """
    deadline = monotonic() + _PATIENCE
    while True:
        try:
            fcntl.lockf(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if monotonic() > deadline:
                raise
        sleep(_PAUSE)


def _place(records: bytes, record: bytes) -> int:
    """Return where a record belongs: in place of another one of its terminal, or at the end."""
    names = _names(record, 0)
    end = len(records) - len(records) % _RECORD.size
    for offset in range(0, end, _RECORD.size):
        if _RECORD.unpack_from(records, offset)[0] in _IN_USE and _names(records, offset) == names:
            return offset
    return end


def _names(records: bytes, offset: int) -> bytes:
    """Return the name of the terminal in a record."""
    name: bytes = _RECORD.unpack_from(records, offset)[3]
    return name


def _record(
    kind: int,
    pid: int,
    terminal: str,
    now: float,
    user: bytes = b"",
    host: bytes = b"",
    address: bytes = b"",
) -> bytes:
    line = _line(terminal)
    times = 0, int(now), int(now % 1 * 1e6)
    return _RECORD.pack(kind, pid, line, line[-4:], user, host, 0, 0, *times, address, b"")


def _line(terminal: str) -> bytes:
    return _bytes(terminal.removeprefix("/dev/"))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
