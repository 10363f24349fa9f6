"""Keys of ML-DSA-44 with Ed25519 (draft-miller-sshm-mldsa44-ed25519-composite-sigs)."""

from __future__ import annotations

from nacre.crypto.signatures.composite import CompositeSigner, CompositeVerifier
from nacre.errors import KeyFormatError
from nacre.keys.base import PrivateKey, PublicKey
from nacre.wire.codec import WireReader, string

_TYPE = "ssh-mldsa44-ed25519@openssh.com"
_BITS = 256


class CompositePublicKey(PublicKey):
    """A public key of ML-DSA-44 with Ed25519."""

    __slots__ = ("verifier",)

    def __init__(self, verifier: CompositeVerifier) -> None:
        super().__init__(_TYPE, string(verifier.raw), (_TYPE,), _BITS)
        self.verifier = verifier

    @classmethod
    def decode(cls, type: str, reader: WireReader) -> CompositePublicKey:
        """Decode the field behind the type's name: both public keys in one string."""
        return cls(CompositeVerifier(reader.string()))

    def _verify(self, made: bytes, data: bytes, algorithm: str) -> bool:
        return self.verifier.verify(made, data)


class CompositePrivateKey(PrivateKey):
    """A private key of ML-DSA-44 with Ed25519."""

    __slots__ = ("signer",)

    def __init__(self, signer: CompositeSigner, comment: str = "") -> None:
        super().__init__(CompositePublicKey(signer.verifier), comment)
        self.signer = signer

    @classmethod
    def generate(cls, type: str, bits: int | None) -> CompositePrivateKey:
        """Make a new key."""
        if bits not in (None, _BITS):
            raise KeyFormatError(f"a key of ML-DSA-44 with Ed25519 always has {_BITS} bits")
        return cls(CompositeSigner.generate())

    @classmethod
    def decode(cls, type: str, reader: WireReader) -> CompositePrivateKey:
        """Decode the fields behind the type's name; see :meth:`secret_fields`."""
        public, seeds = reader.string(), reader.string()
        signer = CompositeSigner(seeds)
        if public != signer.verifier.raw:
            raise KeyFormatError(
                "the public and the private half of the key of ML-DSA-44 with Ed25519 do not match"
            )
        return cls(signer)

    def secret_fields(self) -> bytes:
        return string(self.signer.verifier.raw) + string(self.signer.seeds)

    def _sign(self, data: bytes, algorithm: str) -> bytes:
        return self.signer.sign(data)
