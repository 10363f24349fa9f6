"""Ed25519 signatures (RFC 8032); see :mod:`nacre.crypto.sign`."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519

from nacre.crypto.sign import BAD_NUMBERS
from nacre.errors import KeyFormatError


class Ed25519Verifier:
    """An Ed25519 public key (RFC 8032), from its 32 bytes."""

    __slots__ = ("key", "raw")

    def __init__(self, data: bytes) -> None:
        if len(data) != 32:
            raise KeyFormatError(f"an Ed25519 public key has 32 bytes, not {len(data)}")
        try:
            self.key = ed25519.Ed25519PublicKey.from_public_bytes(data)
        except BAD_NUMBERS:
            raise KeyFormatError("the Ed25519 public key is not valid") from None
        self.raw = data

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Return whether ``signature``, 64 bytes, is this key's over ``data``."""
        try:
            self.key.verify(signature, data)
        except (InvalidSignature, ValueError):
            return False
        return True


class Ed25519Signer:
    """An Ed25519 private key, from its seed of 32 bytes."""

    __slots__ = ("key", "seed", "verifier")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != 32:
            raise KeyFormatError(f"an Ed25519 private key has 32 bytes, not {len(seed)}")
        self.key = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
        self.seed = seed
        self.verifier = Ed25519Verifier(self.key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> Ed25519Signer:
        """Generate a key."""
        return cls(ed25519.Ed25519PrivateKey.generate().private_bytes_raw())

    def sign(self, data: bytes) -> bytes:
        """Return the signature over ``data``, 64 bytes."""
        return self.key.sign(data)
