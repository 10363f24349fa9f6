"""Ed448 signatures (RFC 8032 section 5.2); see :mod:`nacre.crypto.sign`."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed448

from nacre.crypto.sign import BAD_NUMBERS
from nacre.errors import KeyFormatError


class Ed448Verifier:
    """An Ed448 public key (RFC 8032 section 5.2), from its 57 bytes."""

    __slots__ = ("key", "raw")

    def __init__(self, data: bytes) -> None:
        if len(data) != 57:
            raise KeyFormatError(f"an Ed448 public key has 57 bytes, not {len(data)}")
        try:
            self.key = ed448.Ed448PublicKey.from_public_bytes(data)
        except BAD_NUMBERS:
            raise KeyFormatError("the Ed448 public key is not valid") from None
        self.raw = data

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Return whether ``signature``, 114 bytes, is this key's over ``data``."""
        try:
            self.key.verify(signature, data)
        except (InvalidSignature, ValueError):
            return False
        return True


class Ed448Signer:
    """An Ed448 private key, from its seed of 57 bytes."""

    __slots__ = ("key", "seed", "verifier")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != 57:
            raise KeyFormatError(f"an Ed448 private key has 57 bytes, not {len(seed)}")
        self.key = ed448.Ed448PrivateKey.from_private_bytes(seed)
        self.seed = seed
        self.verifier = Ed448Verifier(self.key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> Ed448Signer:
        """Generate a key."""
        return cls(ed448.Ed448PrivateKey.generate().private_bytes_raw())

    def sign(self, data: bytes) -> bytes:
        """Return the signature over ``data``, 114 bytes."""
        return self.key.sign(data)
