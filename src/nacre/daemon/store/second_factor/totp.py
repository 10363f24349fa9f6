"""Codes of a second factor (RFC 6238): six digits, a new one every 30 seconds, by HMAC-SHA-1.

These are what every authenticator app takes without further settings.
"""

from __future__ import annotations

import base64
import hmac
import os
from itertools import zip_longest
from urllib.parse import quote

from nacre.errors import ConfigurationError

INTERVAL = 30
"""Seconds for which a code is shown."""

DIGITS = 6
WINDOW = 1
"""By how many intervals the clock of the user's device may differ."""

SECRET_SIZE = 20
"""The bytes of a secret: those of the hash (RFC 4226 section 4, requirement 6)."""

RECOVERY_CODES = 10
_RECOVERY_BYTES = 10
"""80 random bits: guessing is hopeless, also for whoever has their hashes."""

_BORDER = 2
_HALVES = {(1, 1): " ", (0, 1): "▀", (1, 0): "▄", (0, 0): "█"}
"""Two modules, one above the other, where 1 is dark: terminals have a dark background."""


def new_secret() -> bytes:
    """Return a random secret."""
    return os.urandom(SECRET_SIZE)


def written(secret: bytes) -> str:
    """Return a secret as people type it: base32."""
    return base64.b32encode(secret).decode()


def code_at(secret: bytes, counter: int) -> str:
    """Return the code of an interval.

    :param counter: the number of the interval since the epoch.
    :raises ConfigurationError: the package pyotp is not installed.
    """
    try:
        from pyotp import TOTP
    except ImportError:
        raise _missing("pyotp") from None
    return TOTP(written(secret), digits=DIGITS, interval=INTERVAL).generate_otp(counter)


def matching(secret: bytes, code: str, now: float) -> int | None:
    """Return the interval whose code this is, or None: it is near ``now``.

    :param now: seconds since the epoch.
    :raises ConfigurationError: the package pyotp is not installed.
    """
    found = None
    middle = int(now) // INTERVAL
    # All are compared, and each in constant time. Of two that are equal the later one counts.
    for counter in range(max(middle - WINDOW, 0), middle + WINDOW + 1):
        if hmac.compare_digest(code_at(secret, counter).encode(), code.encode(errors="replace")):
            found = counter
    return found


def recovery_codes() -> tuple[str, ...]:
    """Return new recovery codes: four groups of four letters and digits."""
    found = []
    for _ in range(RECOVERY_CODES):
        text = written(os.urandom(_RECOVERY_BYTES))
        found.append("-".join(text[at : at + 4] for at in range(0, len(text), 4)))
    return tuple(found)


def provisioning_uri(secret: bytes, name: str, issuer: str) -> str:
    """Return what an authenticator app reads: an ``otpauth`` URI."""
    issuer = quote(issuer, safe="")
    return (
        f"otpauth://totp/{issuer}:{quote(name, safe='@')}?secret={written(secret)}&issuer={issuer}"
    )


def qr_code(text: str) -> str:
    """Return the lines of a QR code for a terminal with a dark background.

    :raises ConfigurationError: the package segno is not installed.
    """
    try:
        import segno
    except ImportError:
        raise _missing("segno") from None
    # The least error correction gives the smallest picture: 24 lines are a small terminal.
    code = segno.make(text, error="l", micro=False, boost_error=False)
    rows = [[int(module) for module in row] for row in code.matrix_iter(border=_BORDER)]
    light = [0] * len(rows[0])
    return "\n".join(
        "".join(_HALVES[pair] for pair in zip(upper, lower, strict=True))
        for upper, lower in zip_longest(rows[::2], rows[1::2], fillvalue=light)
    )


def _missing(package: str) -> ConfigurationError:
    return ConfigurationError(
        f"a second factor needs the package {package}: pip install 'nacre[server]'"
    )
