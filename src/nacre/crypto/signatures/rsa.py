"""RSA signatures (RFC 8017); see :mod:`nacre.crypto.signatures.base`."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from nacre.crypto.signatures.base import BAD_NUMBERS
from nacre.errors import KeyFormatError
from nacre.value import value

RSA_BITS = (1024, 16384)
"""The least and the most bits of an RSA modulus: smaller is broken, larger takes seconds."""

RSA_EXPONENT_BITS = 64
"""The most bits of an RSA public exponent: OpenSSL's bound for a modulus above 3072 bits."""

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha1": hashes.SHA1(),
    "sha256": hashes.SHA256(),
    "sha512": hashes.SHA512(),
}
_PADDING = padding.PKCS1v15()


@value(repr=False)
class RSANumbers:
    """An RSA private key's numbers (RFC 8017 section 3.2), under their usual letters."""

    n: int
    e: int
    d: int
    p: int
    q: int
    iqmp: int

    def check(self) -> None:
        """Check that the numbers match.

        It is not tested that ``p`` and ``q`` are prime: that takes a tenth of a second, and damage
        shows in the products.

        :raises KeyFormatError: they do not match.
        """
        p, q = self.p, self.q
        if (
            p < 3
            or q < 3
            or p * q != self.n
            or not 0 < self.d < self.n
            or (self.d * self.e) % (p - 1) != 1
            or (self.d * self.e) % (q - 1) != 1
            or not 0 < self.iqmp < p
            or (self.iqmp * q) % p != 1
        ):
            raise KeyFormatError("the numbers of the RSA private key do not match")


class RSAVerifier:
    """An RSA public key: modulus ``n`` and exponent ``e``."""

    __slots__ = ("_size", "e", "key", "n")

    def __init__(self, n: int, e: int) -> None:
        low, high = RSA_BITS
        if not low <= n.bit_length() <= high or n < 0:
            raise KeyFormatError(
                f"an RSA key of {n.bit_length()} bits; accepted are {low} to {high}"
            )
        if not 3 <= e < 1 << RSA_EXPONENT_BITS or not e % 2 or not n % 2:
            raise KeyFormatError("the RSA public key is not valid")
        try:
            self.key = rsa.RSAPublicNumbers(e, n).public_key()
        except BAD_NUMBERS:
            raise KeyFormatError("the RSA public key is not valid") from None
        self.n = n
        self.e = e
        self._size = (n.bit_length() + 7) // 8

    def verify(self, signature: bytes, data: bytes, hash_name: str) -> bool:
        """Return whether ``signature`` (RSASSA-PKCS1-v1_5) is this key's over ``data``.

        Some peers omit leading zeros of a signature; they are restored.
        """
        if not signature or len(signature) > self._size:
            return False
        try:
            self.key.verify(signature.rjust(self._size, b"\0"), data, _PADDING, _HASHES[hash_name])
        except (InvalidSignature, ValueError, UnsupportedAlgorithm):
            return False
        return True


class RSASigner:
    """An RSA private key."""

    __slots__ = ("key", "numbers", "verifier")

    def __init__(self, numbers: RSANumbers) -> None:
        self.verifier = RSAVerifier(numbers.n, numbers.e)
        numbers.check()
        self.numbers = numbers
        private = rsa.RSAPrivateNumbers(
            p=numbers.p,
            q=numbers.q,
            d=numbers.d,
            dmp1=numbers.d % (numbers.p - 1),
            dmq1=numbers.d % (numbers.q - 1),
            iqmp=numbers.iqmp,
            public_numbers=rsa.RSAPublicNumbers(numbers.e, numbers.n),
        )
        try:
            self.key = private.private_key(unsafe_skip_rsa_key_validation=True)
        except BAD_NUMBERS:
            raise KeyFormatError("the RSA private key is not valid") from None

    @classmethod
    def from_key(cls, key: rsa.RSAPrivateKey) -> RSASigner:
        """Return the signer for a key of the ``cryptography`` package."""
        private = key.private_numbers()
        public = private.public_numbers
        return cls(RSANumbers(public.n, public.e, private.d, private.p, private.q, private.iqmp))

    @classmethod
    def generate(cls, bits: int) -> RSASigner:
        """Generate a key with a modulus of ``bits`` and the exponent 65537."""
        return cls.from_key(rsa.generate_private_key(65537, bits))

    def sign(self, data: bytes, hash_name: str) -> bytes:
        """Return the signature (RSASSA-PKCS1-v1_5) over ``data``, as long as the modulus."""
        return self.key.sign(data, _PADDING, _HASHES[hash_name])
