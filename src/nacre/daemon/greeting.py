"""What a login shell at a terminal shows first: the last login and the message of the day.

The words are PrintLastLog and PrintMotd of sshd_config(5); a file ``~/.hushlogin`` keeps both away.
"""

from __future__ import annotations

import os
import struct
import time
from contextlib import suppress
from pathlib import Path

from nacre.daemon.accounts.accounts import Login
from nacre.wire.text import safe

LASTLOG = Path("/var/log/lastlog")
"""The last login of each account, by uid (lastlog(8)). Newer systems have no such file."""

MOTD = Path("/etc/motd")

_RECORD = struct.Struct("=i32s256s")
_MOTD_BYTES = 1 << 20
_LINE = b"ssh"


def greeting(login: Login) -> str:
    """Return the text for a login shell, to be called before :func:`note_login`. Blocks."""
    if os.path.exists(os.path.join(login.home, ".hushlogin")):
        return ""
    text = _last_login(login.account.uid) if login.config.print_last_log else ""
    if login.config.print_motd:
        with suppress(OSError), MOTD.open(errors="surrogateescape") as file:
            text += file.read(_MOTD_BYTES)
    return text


def _last_login(uid: int) -> str:
    with suppress(OSError), LASTLOG.open("rb") as file:
        found = os.pread(file.fileno(), _RECORD.size, uid * _RECORD.size)
        if len(found) == _RECORD.size:
            seconds, _, host = _RECORD.unpack(found)
            if seconds:
                source = safe(host.rstrip(b"\0"))
                return f"Last login: {time.ctime(seconds)}{source and f' from {source}'}\n"
    return ""


def note_login(uid: int, address: str) -> None:
    """Write a login at a terminal into the system's file, if it has one. Blocks."""
    record = _RECORD.pack(int(time.time()), _LINE, address.encode("utf-8", "surrogateescape"))
    with suppress(OSError), LASTLOG.open("r+b") as file:
        os.pwrite(file.fileno(), record, uid * _RECORD.size)
