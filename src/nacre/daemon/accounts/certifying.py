"""A session that gets its user a certificate: the command ``nacre-certificate``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nacre.daemon.accounts.policy import CERTIFY, AccountPolicy
from nacre.errors import KeyFormatError, NacreError
from nacre.keys import PublicKey, load_public
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.daemon.accounts.accounts import Login
    from nacre.server.session import Session

LONGEST_KEY = 16 * 1024
"""Bytes of a public key that is to be certified, on its line or in wire form."""

_PATIENCE = 60.0
"""Seconds for which standard input is waited for."""

_FAILED = 1


def gets_certificate(login: Login, session: Session) -> bool:
    """Tell whether a session is one that gets a certificate, and no other command is forced."""
    return session.command == CERTIFY and session.subsystem is None and login.forced is None


async def serve_certificate(session: Session, policy: AccountPolicy) -> int:
    """Answer with a certificate for the key on standard input; return the exit status."""
    session.terminal = None
    try:
        key, comment = _read(await _line(session))
        made = await policy.certify(session.user, session.connection, key)
    except (NacreError, TimeoutError, RuntimeError, ValueError) as error:
        if isinstance(error, ConnectionError):
            raise  # of the client
        await session.stderr.write(f"nacre: no certificate: {safe(str(error), 1000)}\n".encode())
        return _FAILED
    line = " ".join(filter(None, (str(made), comment)))
    await session.stdout.write(f"{line}\n".encode("utf-8", "surrogateescape"))
    return 0


async def _line(session: Session) -> bytes:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await session.stdin.readline(LONGEST_KEY)
    except TimeoutError:
        raise TimeoutError(
            "no public key on standard input: give a file, or none at all with ssh -n"
        ) from None


def _read(line: bytes) -> tuple[PublicKey | None, str]:
    """Return the key on a line, and its comment; None for a line without anything.

    :raises KeyFormatError: it is no public key.
    """
    if not line.strip():
        return None, ""
    try:
        key, comment = load_public(line)
    except KeyFormatError as error:
        raise KeyFormatError(f"standard input has no public key: {error}") from None
    return key, safe(comment, 256)
