"""Key derivation from a key exchange (RFC 4253 section 7.2)."""

from __future__ import annotations

import hashlib


def derive(
    hash_name: str, k: bytes, exchange_hash: bytes, letter: bytes, session_id: bytes, size: int
) -> bytes:
    """Return ``size`` bytes of key material.

    :param hash_name: the kex method's hash, as ``hashlib`` names it.
    :param k: the shared secret as it is hashed: an mpint or string with its length.
    :param letter: ``A`` and ``B`` for the IVs, ``C`` and ``D`` for the cipher keys, ``E`` and ``F``
        for the MAC keys, client to server first.
    """
    if not size:
        return b""
    new, start = getattr(hashlib, hash_name), k + exchange_hash
    key: bytes = new(start + letter + session_id).digest()
    while len(key) < size:
        key += new(start + key).digest()
    return key[:size]
