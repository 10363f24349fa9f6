"""What a login shell at a terminal shows first: texts of PAM, the last login, the day's message.

The words are PrintLastLog and PrintMotd of sshd_config(5); a file ``~/.hushlogin`` keeps both away.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from nacre.daemon.accounts.accounts import Login
from nacre.daemon.processes.login_records import LAST, LASTLOG
from nacre.wire.text import safe

MOTD = Path("/etc/motd")

_MOTD_BYTES = 1 << 20


def greeting(login: Login) -> str:
    """Return the text for a login shell, to be called before the login is recorded. Blocks."""
    if os.path.exists(os.path.join(login.home, ".hushlogin")):
        return ""
    said = "".join(f"{text}\n" for text in login.texts)
    text = said + (_last_login(login.account.uid) if login.config.print_last_log else "")
    if login.config.print_motd:
        with suppress(OSError), MOTD.open(errors="surrogateescape") as file:
            motd = file.read(_MOTD_BYTES)
            # A module of PAM may have shown it already (pam_motd(8)).
            text += motd if motd.strip() not in said else ""
    return text


def _last_login(uid: int) -> str:
    with suppress(OSError), LASTLOG.open("rb") as file:
        found = os.pread(file.fileno(), LAST.size, uid * LAST.size)
        if len(found) == LAST.size:
            seconds, _, host = LAST.unpack(found)
            if seconds:
                source = safe(host.rstrip(b"\0"))
                return f"Last login: {time.ctime(seconds)}{source and f' from {source}'}\n"
    return ""
