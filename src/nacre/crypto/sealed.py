"""Secrets at rest: sealed with AES-256-GCM for one purpose and one owner."""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from nacre.crypto.packets.seal import Random
from nacre.errors import UnusableKey

KEY_SIZE = 32
NONCE_SIZE = 12
_TAG_SIZE = 16


def seal(key: bytes, secret: bytes, owner: bytes, random: Random) -> bytes:
    """Return the nonce, the encrypted secret and the tag.

    :param key: 32 bytes, of which nothing else is made.
    :param owner: what the secret belongs to; it is authenticated, and not part of the result.
    """
    nonce = random(NONCE_SIZE)
    return nonce + AESGCM(key).encrypt(nonce, secret, owner)


def unseal(key: bytes, sealed: bytes, owner: bytes) -> bytes:
    """Return the secret.

    :raises UnusableKey: it was sealed with another key or for another owner, or was changed.
    """
    if len(sealed) < NONCE_SIZE + _TAG_SIZE:
        raise UnusableKey("a sealed secret is too short: it is damaged")
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_SIZE], sealed[NONCE_SIZE:], owner)
    except InvalidTag:
        raise UnusableKey(
            "a sealed secret can't be opened: it was made with another key, or for another owner"
        ) from None
