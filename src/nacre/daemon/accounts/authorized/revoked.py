"""Keys that are refused: RevokedKeys in sshd_config(5)."""

from __future__ import annotations

from nacre.errors import AccountError
from nacre.keys import PublicKey
from nacre.keys.signed.revocation import MAXIMUM_SIZE, Revocations, load, unreadable


def refuse_revoked(key: PublicKey, path: str) -> None:
    """Check that the file revokes neither a key, nor a certificate or its authority. Blocks.

    :raises AccountError: it does, or it can't be read: then no key is accepted.
    """
    refusal = _read(path).refusal(key)
    if refusal is not None:
        raise AccountError(f"RevokedKeys {path}: {refusal}")


def _read(path: str) -> Revocations:
    try:
        with open(path, "rb") as file:
            data = file.read(MAXIMUM_SIZE + 1)
    except OSError as error:
        return unreadable(str(error.strerror))
    if len(data) > MAXIMUM_SIZE:
        return unreadable(f"it has more than {MAXIMUM_SIZE} bytes")
    return load(data)
