"""ECDSA keys on the three NIST curves (RFC 5656 section 3)."""

from __future__ import annotations

from nacre.crypto.signatures.ecdsa import ECDSASigner, ECDSAVerifier
from nacre.errors import KeyFormatError
from nacre.keys.base import PrivateKey, PublicKey
from nacre.wire.codec import WireReader, mpint, string
from nacre.wire.text import safe_name

_PREFIX = "ecdsa-sha2-"
_BITS = {"nistp256": 256, "nistp384": 384, "nistp521": 521}


def _take_curve(type: str, reader: WireReader) -> str:
    curve = type.removeprefix(_PREFIX)
    named = reader.string()
    if named != curve.encode("ascii"):
        # Damage can put a piece of the private key in its place.
        shown = safe_name(named.decode("latin-1"))
        raise KeyFormatError(f"a key of type {type} names the curve {shown}")
    return curve


class ECDSAPublicKey(PublicKey):
    """An ECDSA public key."""

    __slots__ = ("verifier",)

    def __init__(self, verifier: ECDSAVerifier) -> None:
        type = _PREFIX + verifier.curve
        fields = string(verifier.curve.encode("ascii")) + string(verifier.point)
        super().__init__(type, fields, (type,), _BITS[verifier.curve])
        self.verifier = verifier

    @classmethod
    def decode(cls, type: str, reader: WireReader) -> ECDSAPublicKey:
        """Decode the fields behind the type's name (RFC 5656 section 3.1)."""
        return cls(ECDSAVerifier(_take_curve(type, reader), reader.string()))

    def _verify(self, made: bytes, data: bytes, algorithm: str) -> bool:
        reader = WireReader(made)
        r, s = reader.mpint(), reader.mpint()
        reader.end()
        return self.verifier.verify(r, s, data)


class ECDSAPrivateKey(PrivateKey):
    """An ECDSA private key."""

    __slots__ = ("signer",)

    def __init__(self, signer: ECDSASigner, comment: str = "") -> None:
        super().__init__(ECDSAPublicKey(signer.verifier), comment)
        self.signer = signer

    @classmethod
    def generate(cls, type: str, bits: int | None) -> ECDSAPrivateKey:
        """Make a new key on the curve that ``type`` names."""
        curve = type.removeprefix(_PREFIX)
        if bits not in (None, _BITS[curve]):
            raise KeyFormatError(f"a key of type {type} always has {_BITS[curve]} bits")
        return cls(ECDSASigner.generate(curve))

    @classmethod
    def decode(cls, type: str, reader: WireReader) -> ECDSAPrivateKey:
        """Decode the fields behind the type's name; see :meth:`secret_fields`."""
        curve = _take_curve(type, reader)
        point, secret = reader.string(), reader.mpint()
        signer = ECDSASigner(curve, secret)
        if point != signer.verifier.point:
            raise KeyFormatError("the public and the private half of the ECDSA key do not match")
        return cls(signer)

    def secret_fields(self) -> bytes:
        public = self.signer.verifier
        curve = string(public.curve.encode("ascii"))
        return curve + string(public.point) + mpint(self.signer.secret)

    def _sign(self, data: bytes, algorithm: str) -> bytes:
        r, s = self.signer.sign(data)
        return mpint(r) + mpint(s)
