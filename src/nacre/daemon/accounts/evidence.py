"""The file that tells a session how its user logged in (ExposeAuthInfo in sshd_config(5))."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress

from nacre.daemon.accounts.accounts import Login


def expose(login: Login) -> str:
    """Write how the user logged in to a file of the user's account; return its path. Blocks.

    :raises OSError: it can't be made.
    """
    number, path = tempfile.mkstemp(prefix="nacre-auth.")
    try:
        os.write(number, login.evidence.encode())
        if login.account.credentials is not None:
            os.fchown(number, login.account.uid, login.account.gid)
    finally:
        os.close(number)
    return path


def conceal(path: str) -> None:
    """Remove the file at the end of the session."""
    with suppress(OSError):
        os.unlink(path)
