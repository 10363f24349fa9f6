"""RSA keys (RFC 4253 section 6.6; signatures with SHA-2: RFC 8332)."""

from __future__ import annotations

from nacre.crypto.signatures.rsa import RSA_BITS, RSANumbers, RSASigner, RSAVerifier
from nacre.errors import KeyFormatError
from nacre.keys.base import PrivateKey, PublicKey
from nacre.wire.codec import WireReader, mpint

RSA = "ssh-rsa"
DEFAULT_BITS = 3072

_HASHES = {"rsa-sha2-512": "sha512", "rsa-sha2-256": "sha256", "ssh-rsa": "sha1"}


class RSAPublicKey(PublicKey):
    """An RSA public key. ``ssh-rsa`` is the name of its type, and of its signatures with SHA-1."""

    rsa = True
    __slots__ = ("verifier",)

    def __init__(self, verifier: RSAVerifier) -> None:
        fields = mpint(verifier.e) + mpint(verifier.n)
        super().__init__(RSA, fields, tuple(_HASHES), verifier.n.bit_length())
        self.verifier = verifier

    @classmethod
    def decode(cls, type: str, reader: WireReader) -> RSAPublicKey:
        """Decode the fields behind the type's name."""
        e, n = reader.mpint(), reader.mpint()
        return cls(RSAVerifier(n, e))

    def _verify(self, made: bytes, data: bytes, algorithm: str) -> bool:
        return self.verifier.verify(made, data, _HASHES[algorithm])


class RSAPrivateKey(PrivateKey):
    """An RSA private key."""

    __slots__ = ("signer",)

    def __init__(self, signer: RSASigner, comment: str = "") -> None:
        super().__init__(RSAPublicKey(signer.verifier), comment)
        self.signer = signer

    @classmethod
    def generate(cls, type: str, bits: int | None) -> RSAPrivateKey:
        """Make a new key with a modulus of ``bits``, by default 3072."""
        bits = DEFAULT_BITS if bits is None else bits
        low, high = RSA_BITS
        if not low <= bits <= high:
            raise KeyFormatError(f"an RSA key has from {low} to {high} bits, not {bits}")
        return cls(RSASigner.generate(bits))

    @classmethod
    def decode(cls, type: str, reader: WireReader) -> RSAPrivateKey:
        """Decode the fields behind the type's name; see :meth:`secret_fields`."""
        n, e, d, iqmp, p, q = (reader.mpint() for _ in range(6))
        return cls(RSASigner(RSANumbers(n=n, e=e, d=d, p=p, q=q, iqmp=iqmp)))

    def secret_fields(self) -> bytes:
        key = self.signer.numbers
        return b"".join(map(mpint, (key.n, key.e, key.d, key.iqmp, key.p, key.q)))

    def _sign(self, data: bytes, algorithm: str) -> bytes:
        return self.signer.sign(data, _HASHES[algorithm])
