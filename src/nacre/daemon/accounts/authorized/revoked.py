"""Keys that are refused: RevokedKeys in sshd_config(5)."""

from __future__ import annotations

from nacre.config import revoked
from nacre.errors import AccountError
from nacre.keys import PublicKey


def refuse_revoked(key: PublicKey, path: str) -> None:
    """Check that the file revokes neither a key, nor a certificate or its authority. Blocks.

    :raises AccountError: it does, or it can't be read: then no key is accepted.
    """
    refusal = revoked.refusal(path, key)
    if refusal is not None:
        raise AccountError(f"RevokedKeys {path}: {refusal}")
