"""Ed25519 and Ed448 keys (RFC 8709)."""

from __future__ import annotations

from nacre.crypto.signatures.eddsa import ED448, ED25519, EdDSASigner, EdDSAVerifier
from nacre.errors import KeyFormatError
from nacre.keys.base import PrivateKey, PublicKey
from nacre.wire.codec import WireReader, string

_CURVES = {"ssh-ed25519": ED25519, "ssh-ed448": ED448}
_TYPES = {curve.name: type for type, curve in _CURVES.items()}


class EdDSAPublicKey(PublicKey):
    """An Ed25519 or Ed448 public key."""

    __slots__ = ("verifier",)

    def __init__(self, verifier: EdDSAVerifier) -> None:
        type = _TYPES[verifier.curve.name]
        super().__init__(type, string(verifier.raw), (type,), verifier.curve.bits)
        self.verifier = verifier

    @classmethod
    def decode(cls, type: str, reader: WireReader) -> EdDSAPublicKey:
        """Decode the fields behind the type's name (RFC 8709 section 4)."""
        return cls(EdDSAVerifier(_CURVES[type], reader.string()))

    def _verify(self, made: bytes, data: bytes, algorithm: str) -> bool:
        return self.verifier.verify(made, data)


class EdDSAPrivateKey(PrivateKey):
    """An Ed25519 or Ed448 private key."""

    __slots__ = ("signer",)

    def __init__(self, signer: EdDSASigner, comment: str = "") -> None:
        super().__init__(EdDSAPublicKey(signer.verifier), comment)
        self.signer = signer

    @classmethod
    def generate(cls, type: str, bits: int | None) -> EdDSAPrivateKey:
        """Make a new key."""
        curve = _CURVES[type]
        if bits not in (None, curve.bits):
            raise KeyFormatError(f"an {curve.name} key always has {curve.bits} bits")
        return cls(EdDSASigner.generate(curve))

    @classmethod
    def decode(cls, type: str, reader: WireReader) -> EdDSAPrivateKey:
        """Decode the fields behind the type's name; see :meth:`secret_fields`."""
        curve = _CURVES[type]
        public, secret = reader.string(), reader.string()
        signer = EdDSASigner(curve, secret[: curve.size])
        if public != signer.verifier.raw or secret[curve.size :] != public:
            raise KeyFormatError(
                f"the public and the private half of the {curve.name} key do not match"
            )
        return cls(signer)

    def secret_fields(self) -> bytes:
        public = self.signer.verifier.raw
        return string(public) + string(self.signer.seed + public)

    def _sign(self, data: bytes, algorithm: str) -> bytes:
        return self.signer.sign(data)
