"""Ed25519 signatures (RFC 8032); see :mod:`nacre.crypto.sign`."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519

from nacre.crypto.sign import BAD_NUMBERS
from nacre.errors import KeyFormatError


class Ed25519Verifier:
    """An Ed25519 public key (RFC 8032), from its 32 octets."""

    __slots__ = ("_key", "octets")

    def __init__(self, octets: bytes) -> None:
        if len(octets) != 32:
            raise KeyFormatError(f"an Ed25519 public key has 32 octets, not {len(octets)}")
        try:
            self._key = ed25519.Ed25519PublicKey.from_public_bytes(octets)
        except BAD_NUMBERS as error:
            raise KeyFormatError("the Ed25519 public key is not valid") from error
        self.octets = octets

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Tell whether ``signature``, 64 octets, is this key's over ``data``."""
        try:
            self._key.verify(signature, data)
        except (InvalidSignature, ValueError):
            return False
        return True


class Ed25519Signer:
    """An Ed25519 private key, from its seed of 32 octets."""

    __slots__ = ("_key", "seed", "verifier")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != 32:
            raise KeyFormatError(f"an Ed25519 private key has 32 octets, not {len(seed)}")
        self._key = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
        self.seed = seed
        self.verifier = Ed25519Verifier(self._key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> Ed25519Signer:
        """Make a new key."""
        return cls(ed25519.Ed25519PrivateKey.generate().private_bytes_raw())

    def sign(self, data: bytes) -> bytes:
        """Return the signature over ``data``, 64 octets."""
        return self._key.sign(data)
