"""A file of revoked host keys (RevokedHostKeys): a KRL, or public keys, one a line."""

from __future__ import annotations

from pathlib import Path

from nacre.keys.base import PublicKey
from nacre.keys.signed.revocation import MAXIMUM_SIZE, Revocations, load, unreadable


def refusal(path: Path, key: PublicKey) -> str | None:
    """Return why a host's key or certificate counts as revoked, or None.

    A file that can't be read revokes every key: one that is revoked must not pass.
    """
    return _read(path).refusal(key)


def _read(path: Path) -> Revocations:
    try:
        with path.open("rb") as file:
            data = file.read(MAXIMUM_SIZE + 1)
    except OSError as error:
        return unreadable(error.strerror or str(error))
    if len(data) > MAXIMUM_SIZE:
        return unreadable(f"the file has more than {MAXIMUM_SIZE} bytes")
    return load(data)
