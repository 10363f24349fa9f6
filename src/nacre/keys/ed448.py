"""Ed448 keys (RFC 8709)."""

from __future__ import annotations

from nacre.crypto.sign_ed448 import Ed448Signer, Ed448Verifier
from nacre.errors import KeyFormatError
from nacre.keys.base import PrivateKey, PublicKey
from nacre.wire.codec import WireReader, string

ED448 = "ssh-ed448"
SECRET = 57
"""Bytes of the private half; those of the public half follow it in the files."""


class Ed448PublicKey(PublicKey):
    """An Ed448 public key."""

    __slots__ = ("verifier",)

    def __init__(self, verifier: Ed448Verifier) -> None:
        super().__init__(ED448, string(verifier.raw), (ED448,), 448)
        self.verifier = verifier

    @classmethod
    def decode(cls, type: str, reader: WireReader) -> Ed448PublicKey:
        """Decode the fields behind the type's name (RFC 8709 section 4)."""
        return cls(Ed448Verifier(reader.string()))

    def _verify(self, made: bytes, data: bytes, algorithm: str) -> bool:
        return self.verifier.verify(made, data)


class Ed448PrivateKey(PrivateKey):
    """An Ed448 private key."""

    __slots__ = ("signer",)

    def __init__(self, signer: Ed448Signer, comment: str = "") -> None:
        super().__init__(Ed448PublicKey(signer.verifier), comment)
        self.signer = signer

    @classmethod
    def generate(cls, type: str, bits: int | None) -> Ed448PrivateKey:
        """Make a new key."""
        if bits not in (None, 448):
            raise KeyFormatError("an Ed448 key always has 448 bits")
        return cls(Ed448Signer.generate())

    @classmethod
    def decode(cls, type: str, reader: WireReader) -> Ed448PrivateKey:
        """Decode the fields behind the type's name; see :meth:`secret_fields`."""
        public, secret = reader.string(), reader.string()
        signer = Ed448Signer(secret[:SECRET])
        if public != signer.verifier.raw or secret[SECRET:] != public:
            raise KeyFormatError("the public and the private half of the Ed448 key do not match")
        return cls(signer)

    def secret_fields(self) -> bytes:
        public = self.signer.verifier.raw
        return string(public) + string(self.signer.seed + public)

    def _sign(self, data: bytes, algorithm: str) -> bytes:
        return self.signer.sign(data)
