"""Passwords of system accounts on systems without PAM: shadow(5) and crypt(3). Calls block."""

from __future__ import annotations

import ctypes
import hmac
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path("/etc/shadow")
_UNKNOWN = "$6$rounds=5000$unknown-user$"
_DAY = 86400
# crypt(3) returns its result in memory that all threads share.
_crypt_lock = threading.Lock()


@cache
def _library() -> Any:
    for name in ("libcrypt.so.2", "libcrypt.so.1"):
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        library.crypt.restype = ctypes.c_char_p
        library.crypt.argtypes = (ctypes.c_char_p, ctypes.c_char_p)
        return library
    return None


def refusal(user: str, password: str | None, *, empty: bool = False) -> str | None:
    """Return why ``user`` may not log in; None if the password is right and the account is valid.

    :param password: None to check the account alone, after a login with a key.
    :param empty: whether an account without a password may log in with an empty one.
    """
    lines = _lines()
    fields = next((one for one in lines if one[0] == user), None)
    without = empty and password == "" and fields is not None and not fields[1]
    if password is not None and not without and not _matches(password, fields, lines):
        return "wrong password"
    return _closed(fields, with_password=password is not None)


def _lines() -> list[list[str]]:
    try:
        lines = _FILE.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return []
    return [fields for line in lines if len(fields := line.split(":")) >= 8]


def _setting(lines: list[list[str]]) -> str:
    """Return how the first password of the file was hashed, without the hash.

    A hash takes as long with it as with that password, and is never equal to it.
    """
    hashed = next((fields[1] for fields in lines if fields[1].startswith("$")), _UNKNOWN)
    return hashed.rpartition("$")[0] + "$"


def _matches(password: str, fields: list[str] | None, lines: list[list[str]]) -> bool:
    library = _library()
    # A locked account, an unknown one and one without a password take equally long.
    known = fields is not None and fields[1].startswith("$")
    stored = fields[1] if fields is not None and known else _setting(lines)
    secret = password.encode("utf-8", "surrogateescape")
    if library is None or b"\0" in secret:
        return False
    with _crypt_lock:
        made = library.crypt(secret, stored.encode())
    return made is not None and hmac.compare_digest(made, stored.encode())


def _closed(fields: list[str] | None, *, with_password: bool) -> str | None:
    if fields is None:
        return "unknown"
    if fields[1].startswith("!"):
        return "the account is locked"
    today = int(time.time()) // _DAY
    changed, maximum, expires = (_number(fields[i]) for i in (2, 4, 7))
    if expires is not None and today >= expires:
        return "the account has expired"
    if not with_password or changed is None:
        return None
    if changed == 0 or (maximum is not None and today > changed + maximum):
        return "the password has expired"
    return None


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None
