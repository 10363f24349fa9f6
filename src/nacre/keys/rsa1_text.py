"""What tells texts of RSA1 keys from others; the keys are in :mod:`nacre.keys.rsa1`.

Few have such keys, and what they are made of is loaded for those who do.
"""

from __future__ import annotations

RSA1 = "rsa1"
"""The type of SSH-1's keys."""

BEGIN = b"SSH PRIVATE KEY FILE FORMAT 1.1\n\0"


def is_line(words: list[str]) -> bool:
    """Tell whether words begin with bits, an exponent and a modulus."""
    return len(words) >= 3 and all(word.isascii() and word.isdigit() for word in words[:3])
