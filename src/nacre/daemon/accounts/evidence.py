"""Files of one session: how its user logged in (ExposeAuthInfo), and the tickets that came along.

Each is the user's own, and nobody else can read it.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress

from nacre.daemon.accounts.accounts import Account, Login


def expose(login: Login) -> str:
    """Write how the user logged in to a file of the user's account; return its path. Blocks.

    :raises OSError: it can't be made.
    """
    return _write("nacre-auth.", login.evidence.encode(), login.account)


def keep_tickets(login: Login) -> str | None:
    """Write the tickets that the client has delegated to a credential cache; return its path.

    None if there are none. Blocks.

    :raises OSError: it can't be made.
    """
    tickets = None if login.security is None else login.security.tickets()
    if tickets is None:
        return None
    return _write(f"krb5cc_{login.account.uid}_", tickets, login.account)


def _write(prefix: str, content: bytes, account: Account) -> str:
    number, path = tempfile.mkstemp(prefix=prefix)
    try:
        os.write(number, content)
        if account.credentials is not None:
            os.fchown(number, account.uid, account.gid)
    except OSError:
        conceal(path)
        raise
    finally:
        os.close(number)
    return path


def conceal(path: str) -> None:
    """Remove the file at the end of the session."""
    with suppress(OSError):
        os.unlink(path)
