"""EdDSA signatures on both curves (RFC 8032); see :mod:`nacre.crypto.signatures.base`."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519

from nacre.crypto.signatures.base import BAD_NUMBERS
from nacre.errors import KeyFormatError
from nacre.value import value


@value
class Curve:
    """A curve of EdDSA, with the library's classes.

    :ivar name: its name, such as ``Ed25519``.
    :ivar size: bytes of a public key and of a seed; a signature has twice as many.
    :ivar bits: its size, as ``ssh-keygen -l`` shows it.
    """

    name: str
    size: int
    bits: int
    public: type[ed25519.Ed25519PublicKey | ed448.Ed448PublicKey]
    private: type[ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey]


ED25519 = Curve("Ed25519", 32, 256, ed25519.Ed25519PublicKey, ed25519.Ed25519PrivateKey)
ED448 = Curve("Ed448", 57, 448, ed448.Ed448PublicKey, ed448.Ed448PrivateKey)


class EdDSAVerifier:
    """A public key, from its bytes. Bytes that are no point of the curve verify nothing."""

    __slots__ = ("curve", "raw")

    def __init__(self, curve: Curve, data: bytes) -> None:
        if len(data) != curve.size:
            raise KeyFormatError(
                f"an {curve.name} public key has {curve.size} bytes, not {len(data)}"
            )
        self.curve = curve
        self.raw = data

    @property
    def key(self) -> ed25519.Ed25519PublicKey | ed448.Ed448PublicKey:
        """The library's key; lists of thousands of keys need none."""
        return self.curve.public.from_public_bytes(self.raw)

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Return whether ``signature``, twice ``curve.size`` bytes, is this key's over ``data``."""
        try:
            self.key.verify(signature, data)
        except (InvalidSignature, *BAD_NUMBERS):
            return False
        return True


class EdDSASigner:
    """A private key, from its seed."""

    __slots__ = ("curve", "key", "seed", "verifier")

    def __init__(self, curve: Curve, seed: bytes) -> None:
        if len(seed) != curve.size:
            raise KeyFormatError(
                f"an {curve.name} private key has {curve.size} bytes, not {len(seed)}"
            )
        self.key = curve.private.from_private_bytes(seed)
        self.curve = curve
        self.seed = seed
        self.verifier = EdDSAVerifier(curve, self.key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, curve: Curve) -> EdDSASigner:
        """Generate a key."""
        return cls(curve, curve.private.generate().private_bytes_raw())

    def sign(self, data: bytes) -> bytes:
        """Return the signature over ``data``, twice ``curve.size`` bytes."""
        return self.key.sign(data)
