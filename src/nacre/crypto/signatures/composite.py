"""Composite signatures of ML-DSA-44 and Ed25519 (draft-ietf-lamps-pq-composite-sigs).

Both halves sign one representative of the message, and a signature is valid only if both are. A
forger has to break both algorithms. Keys and signatures are the halves, that of ML-DSA first.
"""

from __future__ import annotations

import hashlib
from functools import cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from nacre.crypto.signatures.base import BAD_NUMBERS
from nacre.crypto.signatures.eddsa import ED25519, EdDSASigner, EdDSAVerifier
from nacre.errors import KeyFormatError

_PUBLIC, _SEED, _SIGNATURE = 1312, 32, 2420
"""Bytes of ML-DSA-44 (FIPS 204 section 4): a public key, a seed, a signature."""

PUBLIC_SIZE = _PUBLIC + ED25519.size
"""Bytes of a public key."""

SEED_SIZE = _SEED + ED25519.size
"""Bytes of the two seeds."""

SIGNATURE_SIZE = _SIGNATURE + 2 * ED25519.size
"""Bytes of a signature."""

_LABEL = b"COMPSIG-MLDSA44-Ed25519-SHA512"
"""Names the two algorithms and the hash; it is also the context of ML-DSA."""

_PREFIX = b"CompositeAlgorithmSignatures2025" + _LABEL + b"\0"
"""What precedes the hash. Its last byte is the length of the context, which SSH leaves empty."""


@cache
def _supported() -> bool:
    try:
        MLDSA44PrivateKey.from_seed_bytes(bytes(_SEED))
    except UnsupportedAlgorithm:
        return False
    return True


def _check(what: str, data: bytes, size: int) -> None:
    if not _supported():
        raise KeyFormatError(
            "the installed cryptography library was built without ML-DSA, which keys of ML-DSA-44 "
            "with Ed25519 need; its wheels have it"
        )
    if len(data) != size:
        raise KeyFormatError(
            f"{what} key of ML-DSA-44 with Ed25519 has {size} bytes, not {len(data)}"
        )


def _representative(data: bytes) -> bytes:
    """Return what both halves sign."""
    return _PREFIX + hashlib.sha512(data).digest()


class CompositeVerifier:
    """A public key, from the :data:`PUBLIC_SIZE` bytes of its halves."""

    __slots__ = ("_ed25519", "raw")

    def __init__(self, data: bytes) -> None:
        _check("a public", data, PUBLIC_SIZE)
        self.raw = data
        self._ed25519 = EdDSAVerifier(ED25519, data[_PUBLIC:])

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Return whether both halves of ``signature`` are this key's over ``data``."""
        if len(signature) != SIGNATURE_SIZE:
            return False
        message = _representative(data)
        try:
            public = MLDSA44PublicKey.from_public_bytes(self.raw[:_PUBLIC])
            public.verify(signature[:_SIGNATURE], message, _LABEL)
        except (InvalidSignature, *BAD_NUMBERS):
            return False
        return self._ed25519.verify(signature[_SIGNATURE:], message)


class CompositeSigner:
    """A private key, from the :data:`SEED_SIZE` bytes of its seeds."""

    __slots__ = ("_ed25519", "_mldsa", "seeds", "verifier")

    def __init__(self, seeds: bytes) -> None:
        _check("a private", seeds, SEED_SIZE)
        self.seeds = seeds
        self._mldsa = MLDSA44PrivateKey.from_seed_bytes(seeds[:_SEED])
        self._ed25519 = EdDSASigner(ED25519, seeds[_SEED:])
        public = self._mldsa.public_key().public_bytes_raw() + self._ed25519.verifier.raw
        self.verifier = CompositeVerifier(public)

    @classmethod
    def generate(cls) -> CompositeSigner:
        """Generate a key."""
        _check("a private", bytes(SEED_SIZE), SEED_SIZE)
        mldsa = MLDSA44PrivateKey.generate().private_bytes_raw()
        return cls(mldsa + EdDSASigner.generate(ED25519).seed)

    def sign(self, data: bytes) -> bytes:
        """Return the signature over ``data``, :data:`SIGNATURE_SIZE` bytes."""
        message = _representative(data)
        return self._mldsa.sign(message, _LABEL) + self._ed25519.sign(message)
