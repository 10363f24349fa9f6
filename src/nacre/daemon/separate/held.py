"""The host keys in a process that does not have them: the monitor signs."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from nacre.keys import PrivateKey, decode_public
from nacre.keys.base import RemoteKey
from nacre.keys.certificate import Certificate, CertifiedKey


def blobs_of(keys: Iterable[PrivateKey]) -> tuple[bytes, ...]:
    """Return the blobs of host keys and of their certificates, which :func:`held` takes."""
    return tuple(key.public.blob for key in keys)


@lru_cache(16)
def held(blob: bytes) -> PrivateKey:
    """Return a host key, or one with a certificate, that the monitor holds.

    :raises KeyFormatError: the blob is none.
    """
    key = decode_public(blob)
    if isinstance(key, Certificate):
        return CertifiedKey(key, RemoteKey(key.key))
    return RemoteKey(key)
