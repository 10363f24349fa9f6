"""Ed25519 keys (RFC 8709)."""

from __future__ import annotations

from nacre.crypto.sign_ed25519 import Ed25519Signer, Ed25519Verifier
from nacre.errors import KeyFormatError
from nacre.keys.base import PrivateKey, PublicKey
from nacre.wire.codec import WireReader, string

ED25519 = "ssh-ed25519"


class Ed25519PublicKey(PublicKey):
    """An Ed25519 public key."""

    __slots__ = ("verifier",)

    def __init__(self, verifier: Ed25519Verifier) -> None:
        super().__init__(ED25519, string(verifier.raw), (ED25519,), 256)
        self.verifier = verifier

    @classmethod
    def decode(cls, type: str, reader: WireReader) -> Ed25519PublicKey:
        """Decode the fields behind the type's name (RFC 8709 section 4)."""
        return cls(Ed25519Verifier(reader.string()))

    def _verify(self, made: bytes, data: bytes, algorithm: str) -> bool:
        return self.verifier.verify(made, data)


class Ed25519PrivateKey(PrivateKey):
    """An Ed25519 private key."""

    __slots__ = ("signer",)

    def __init__(self, signer: Ed25519Signer, comment: str = "") -> None:
        super().__init__(Ed25519PublicKey(signer.verifier), comment)
        self.signer = signer

    @classmethod
    def generate(cls, type: str, bits: int | None) -> Ed25519PrivateKey:
        """Make a new key."""
        if bits not in (None, 256):
            raise KeyFormatError("an Ed25519 key always has 256 bits")
        return cls(Ed25519Signer.generate())

    @classmethod
    def decode(cls, type: str, reader: WireReader) -> Ed25519PrivateKey:
        """Decode the fields behind the type's name; see :meth:`secret_fields`."""
        public, secret = reader.string(), reader.string()
        signer = Ed25519Signer(secret[:32])
        if public != signer.verifier.raw or secret[32:] != public:
            raise KeyFormatError("the public and the private half of the Ed25519 key do not match")
        return cls(signer)

    def secret_fields(self) -> bytes:
        public = self.signer.verifier.raw
        return string(public) + string(self.signer.seed + public)

    def _sign(self, data: bytes, algorithm: str) -> bytes:
        return self.signer.sign(data)
