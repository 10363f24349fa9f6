"""How to recognise RSA1 keys in text, without loading :mod:`nacre.keys.families.rsa1`.

Such keys are rare, so that module and its cryptography are loaded only when one is found.
"""

from __future__ import annotations

RSA1 = "rsa1"
"""The type of SSH-1's keys."""

BEGIN = b"SSH PRIVATE KEY FILE FORMAT 1.1\n\0"
"""How a private file begins."""


def is_line(words: list[str]) -> bool:
    """Return whether ``words`` begin with bits, an exponent and a modulus."""
    return len(words) >= 3 and all(word.isascii() and word.isdigit() for word in words[:3])
