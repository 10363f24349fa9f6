"""ECDSA signatures on the NIST curves (RFC 5656); see :mod:`nacre.crypto.signatures.base`."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from nacre.crypto.kex.curves import CURVES, uncompressed_point
from nacre.crypto.signatures.base import BAD_NUMBERS
from nacre.errors import KeyFormatError

_ALGORITHMS = {
    "nistp256": ec.ECDSA(hashes.SHA256()),
    "nistp384": ec.ECDSA(hashes.SHA384()),
    "nistp521": ec.ECDSA(hashes.SHA512()),
}
_NAMES = {curve.name: name for name, curve in CURVES.items()}


def _curve(curve: ec.EllipticCurve) -> str:
    name = _NAMES.get(curve.name)
    if name is None:
        raise KeyFormatError(f"SSH does not use the curve {curve.name}")
    return name


def from_der(signature: bytes) -> tuple[int, int]:
    """Return ``(r, s)`` of a signature in DER (RFC 3279 section 2.2.3).

    :raises ValueError: it is malformed.
    """
    return decode_dss_signature(signature)


class ECDSAVerifier:
    """An ECDSA public key on ``curve`` (``nistp256``, ``nistp384``, ``nistp521``).

    ``point`` is uncompressed (SEC 1 section 2.3.3): RFC 5656 allows to refuse other forms.
    """

    __slots__ = ("_algorithm", "curve", "key", "point")

    def __init__(self, curve: str, point: bytes) -> None:
        if point[:1] != b"\x04":
            raise KeyFormatError("the point of the ECDSA public key is not uncompressed")
        try:
            self.key = ec.EllipticCurvePublicKey.from_encoded_point(CURVES[curve], point)
        except BAD_NUMBERS:
            raise KeyFormatError(f"the ECDSA public key is not a point of {curve}") from None
        self._algorithm = _ALGORITHMS[curve]
        self.curve = curve
        self.point = point

    @classmethod
    def from_key(cls, key: ec.EllipticCurvePublicKey) -> ECDSAVerifier:
        """Return the verifier for a key of the ``cryptography`` package."""
        return cls(_curve(key.curve), uncompressed_point(key))

    def verify(self, r: int, s: int, data: bytes) -> bool:
        """Return whether ``(r, s)`` is this key's signature over ``data``."""
        if r <= 0 or s <= 0:
            return False
        try:
            self.key.verify(encode_dss_signature(r, s), data, self._algorithm)
        except (InvalidSignature, ValueError):
            return False
        return True


class ECDSASigner:
    """An ECDSA private key: ``secret`` on ``curve``."""

    __slots__ = ("_algorithm", "key", "secret", "verifier")

    def __init__(self, curve: str, secret: int) -> None:
        try:
            self.key = ec.derive_private_key(secret, CURVES[curve])
        except BAD_NUMBERS:
            raise KeyFormatError(f"the ECDSA private key is not in the range of {curve}") from None
        self._algorithm = _ALGORITHMS[curve]
        self.secret = secret
        self.verifier = ECDSAVerifier(curve, uncompressed_point(self.key.public_key()))

    @classmethod
    def from_key(cls, key: ec.EllipticCurvePrivateKey) -> ECDSASigner:
        """Return the signer for a key of the ``cryptography`` package."""
        return cls(_curve(key.curve), key.private_numbers().private_value)

    @classmethod
    def generate(cls, curve: str) -> ECDSASigner:
        """Generate a key."""
        return cls.from_key(ec.generate_private_key(CURVES[curve]))

    def sign(self, data: bytes) -> tuple[int, int]:
        """Return the signature over ``data`` as ``(r, s)``."""
        return decode_dss_signature(self.key.sign(data, self._algorithm))
