"""Password hashes: Argon2id (RFC 9106) in the PHC string format.

Those of bcrypt, which other servers store, are verified and never made.
"""

from __future__ import annotations

import re

import bcrypt
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from nacre.crypto.packets.seal import Random

# OWASP's recommendation for Argon2id: 19 MiB, 2 passes, 1 lane. About 20 ms of one core.
MEMORY_KIB = 19 * 1024
ITERATIONS = 2
LANES = 1
SALT_SIZE = 16
HASH_SIZE = 32

_BCRYPT = ("$2a$", "$2b$", "$2y$")
_BCRYPT_BYTES = 72
"""How many bytes of a password bcrypt looks at."""

_PARAMETERS = re.compile(r"\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$")


def hash_password(password: bytes, random: Random) -> str:
    """Return the hash to store for ``password``: ``$argon2id$v=19$m=…,t=…,p=…$salt$hash``."""
    return _argon2id(random(SALT_SIZE)).derive_phc_encoded(password)


def verify_password(stored: str, password: bytes) -> bool:
    """Return whether ``stored`` is a hash of ``password``.

    A hash that is damaged or of another kind matches no password.
    """
    try:
        if stored.startswith(_BCRYPT):
            return bcrypt.checkpw(password[:_BCRYPT_BYTES], stored.encode())
        Argon2id.verify_phc_encoded(password, stored)
    except (InvalidKey, ValueError):
        return False
    return True


def verify_unknown(password: bytes) -> bool:
    """Return False after as much time as :func:`verify_password` takes, for an unknown user."""
    _argon2id(bytes(SALT_SIZE)).derive(password)
    return False


def needs_rehash(stored: str) -> bool:
    """Return whether ``stored`` has other parameters than a new hash would have."""
    match = _PARAMETERS.match(stored)
    return match is None or tuple(map(int, match.groups())) != (MEMORY_KIB, ITERATIONS, LANES)


def _argon2id(salt: bytes) -> Argon2id:
    return Argon2id(
        salt=salt, length=HASH_SIZE, iterations=ITERATIONS, lanes=LANES, memory_cost=MEMORY_KIB
    )
