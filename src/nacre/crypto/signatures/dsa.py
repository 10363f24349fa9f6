"""DSA signatures (FIPS 186-4); see :mod:`nacre.crypto.signatures.base`."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from nacre.crypto.signatures.base import BAD_NUMBERS
from nacre.errors import KeyFormatError
from nacre.value import value

DSA_BITS = (1024, 2048, 3072)
"""The bits that ``p`` of a DSA key may have (FIPS 186-4 section 4.2)."""

_SHA1 = hashes.SHA1()


@value
class DSAParameters:
    """A DSA group (FIPS 186-4): primes ``p`` and ``q``, generator ``g``."""

    p: int
    q: int
    g: int


class DSAVerifier:
    """A DSA public key ``y``, used with SHA-1 and a ``q`` of 160 bits (RFC 4253 section 6.6)."""

    __slots__ = ("key", "parameters", "y")

    def __init__(self, parameters: DSAParameters, y: int) -> None:
        p, q, g = parameters.p, parameters.q, parameters.g
        if p.bit_length() not in DSA_BITS or q.bit_length() != 160 or p < 0 or q < 0:
            raise KeyFormatError(
                f"a DSA key of {p.bit_length()} bits in a group of {q.bit_length()}; "
                f"SSH allows {' or '.join(map(str, DSA_BITS))} in a group of 160"
            )
        if not 1 < g < p or not 1 < y < p or (p - 1) % q or pow(g, q, p) != 1 or pow(y, q, p) != 1:
            raise KeyFormatError("the numbers of the DSA key do not match")
        try:
            self.key = dsa.DSAPublicNumbers(y, dsa.DSAParameterNumbers(p, q, g)).public_key()
        except BAD_NUMBERS:
            raise KeyFormatError("the DSA public key is not valid") from None
        self.parameters = parameters
        self.y = y

    @classmethod
    def from_key(cls, key: dsa.DSAPublicKey) -> DSAVerifier:
        """Return the verifier for a key of the ``cryptography`` package."""
        numbers = key.public_numbers()
        group = numbers.parameter_numbers
        return cls(DSAParameters(group.p, group.q, group.g), numbers.y)

    def verify(self, r: int, s: int, data: bytes) -> bool:
        """Return whether ``(r, s)`` is this key's signature over ``data``."""
        try:
            self.key.verify(encode_dss_signature(r, s), data, _SHA1)
        except (InvalidSignature, ValueError, UnsupportedAlgorithm):
            return False
        return True


class DSASigner:
    """A DSA private key ``x``."""

    __slots__ = ("key", "verifier", "x")

    def __init__(self, parameters: DSAParameters, y: int, x: int) -> None:
        self.verifier = DSAVerifier(parameters, y)
        p, q, g = parameters.p, parameters.q, parameters.g
        if not 0 < x < q or pow(g, x, p) != y:
            raise KeyFormatError("the public and the private half of the DSA key do not match")
        public = dsa.DSAPublicNumbers(y, dsa.DSAParameterNumbers(p, q, g))
        try:
            self.key = dsa.DSAPrivateNumbers(x, public).private_key()
        except BAD_NUMBERS:
            raise KeyFormatError("the DSA private key is not valid") from None
        self.x = x

    @classmethod
    def from_key(cls, key: dsa.DSAPrivateKey) -> DSASigner:
        """Return the signer for a key of the ``cryptography`` package."""
        private = key.private_numbers()
        public = private.public_numbers
        group = public.parameter_numbers
        return cls(DSAParameters(group.p, group.q, group.g), public.y, private.x)

    @classmethod
    def generate(cls, bits: int) -> DSASigner:
        """Generate a key with a ``p`` of ``bits``."""
        return cls.from_key(dsa.generate_private_key(bits))

    def sign(self, data: bytes) -> tuple[int, int]:
        """Return the signature over ``data`` as ``(r, s)``."""
        return decode_dss_signature(self.key.sign(data, _SHA1))
