"""The database that last(1) reads on newer systems, such as Debian 13: wtmpdb(8).

It takes the place of wtmp(5), whose times end in 2038. A system whose sshd writes it has its
library. Its module of PAM writes the logins of other programs, and leaves sshd's service out.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

DATABASE: bytes | None = None
"""The file; None for the system's."""

_USER_PROCESS = 3
_SERVICE = b"nacre"

_Error = ctypes.POINTER(ctypes.c_void_p)


@cache
def _libraries() -> tuple[Any, Any] | None:
    """Return libwtmpdb and libc, or None where there is no such database."""
    try:
        library, libc = ctypes.CDLL("libwtmpdb.so.0"), ctypes.CDLL(None)
    except OSError:
        return None
    text, number, time = ctypes.c_char_p, ctypes.c_int64, ctypes.c_uint64
    library.wtmpdb_login.argtypes = (text, ctypes.c_int, text, time, text, text, text, _Error)
    library.wtmpdb_get_id.argtypes = (text, text, _Error)
    library.wtmpdb_login.restype = library.wtmpdb_get_id.restype = number
    library.wtmpdb_logout.argtypes = (text, number, time, _Error)
    libc.free.argtypes = (ctypes.c_void_p,)
    return library, libc


def available() -> bool:
    """Tell whether this system has the database."""
    return _libraries() is not None


def note_login(user: bytes, line: bytes, host: bytes, now: float) -> None:
    """Write a login, if there is the database. Blocks.

    :param line: the terminal, without ``/dev/``.
    :param now: the time, in seconds.
    """
    _call("wtmpdb_login", _USER_PROCESS, user, _microseconds(now), line, host, _SERVICE)


def note_logout(line: bytes, now: float) -> None:
    """Write the end of the latest login at a terminal. Blocks."""
    number = _call("wtmpdb_get_id", line)
    if number >= 0:
        _call("wtmpdb_logout", number, _microseconds(now))


def _call(name: str, *arguments: object) -> int:
    """Return what a function returns: a negative number if it fails, or is not there."""
    libraries = _libraries()
    if libraries is None:
        return -1
    library, libc = libraries
    error = ctypes.c_void_p()
    result: int = getattr(library, name)(DATABASE, *arguments, ctypes.byref(error))
    libc.free(error)
    return result


def _microseconds(now: float) -> int:
    return int(now * 1_000_000)
