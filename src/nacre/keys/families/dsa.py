"""DSA keys (RFC 4253 section 6.6), for peers without newer ones."""

from __future__ import annotations

from nacre.crypto.signatures.dsa import DSAParameters, DSASigner, DSAVerifier
from nacre.errors import KeyFormatError
from nacre.keys.base import PrivateKey, PublicKey
from nacre.wire.codec import WireReader, mpint

DSA = "ssh-dss"
DEFAULT_BITS = 1024
_HALF = 20  # bytes of r and of s in a signature: 160 bits each


class DSAPublicKey(PublicKey):
    """A DSA public key."""

    __slots__ = ("verifier",)

    def __init__(self, verifier: DSAVerifier) -> None:
        group = verifier.parameters
        fields = b"".join(map(mpint, (group.p, group.q, group.g, verifier.y)))
        super().__init__(DSA, fields, (DSA,), group.p.bit_length())
        self.verifier = verifier

    @classmethod
    def decode(cls, type: str, reader: WireReader) -> DSAPublicKey:
        """Decode the fields behind the type's name."""
        p, q, g, y = (reader.mpint() for _ in range(4))
        return cls(DSAVerifier(DSAParameters(p, q, g), y))

    def _verify(self, made: bytes, data: bytes, algorithm: str) -> bool:
        if len(made) != 2 * _HALF:
            return False
        r, s = int.from_bytes(made[:_HALF], "big"), int.from_bytes(made[_HALF:], "big")
        return self.verifier.verify(r, s, data)


class DSAPrivateKey(PrivateKey):
    """A DSA private key."""

    __slots__ = ("signer",)

    def __init__(self, signer: DSASigner, comment: str = "") -> None:
        super().__init__(DSAPublicKey(signer.verifier), comment)
        self.signer = signer

    @classmethod
    def generate(cls, type: str, bits: int | None) -> DSAPrivateKey:
        """Make a new key of 1024 bits."""
        if bits not in (None, DEFAULT_BITS):
            raise KeyFormatError(
                f"a new DSA key has {DEFAULT_BITS} bits, the only size that all peers accept"
            )
        return cls(DSASigner.generate(DEFAULT_BITS))

    @classmethod
    def decode(cls, type: str, reader: WireReader) -> DSAPrivateKey:
        """Decode the fields behind the type's name; see :meth:`secret_fields`."""
        p, q, g, y, x = (reader.mpint() for _ in range(5))
        return cls(DSASigner(DSAParameters(p, q, g), y, x))

    def secret_fields(self) -> bytes:
        public = self.signer.verifier
        group = public.parameters
        return b"".join(map(mpint, (group.p, group.q, group.g, public.y, self.signer.x)))

    def _sign(self, data: bytes, algorithm: str) -> bytes:
        r, s = self.signer.sign(data)
        return r.to_bytes(_HALF, "big") + s.to_bytes(_HALF, "big")
