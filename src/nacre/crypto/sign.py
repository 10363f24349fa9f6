"""Signatures, made and checked: Ed25519, RSA, ECDSA and DSA.

A *verifier* holds a public key, a *signer* a private one and its verifier. Both keep the loaded
key, so that a login costs one signature and no parsing. Numbers and octets go in and come out;
how SSH writes them is the business of ``nacre.keys``.

Every constructor raises :class:`~nacre.errors.KeyFormatError` for numbers that make no key.
``verify`` returns False for a bad signature, whatever is wrong with it.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from nacre.crypto.curves import uncompressed_point
from nacre.errors import KeyFormatError
from nacre.value import value

RSA_BITS = (1024, 16384)
"""The least and the most bits of an RSA modulus: below is broken, above costs seconds."""

RSA_EXPONENT_BITS = 64
"""The most bits of an RSA public exponent: what OpenSSL takes for a modulus above 3072 bits."""

DSA_BITS = (1024, 2048, 3072)
"""Bits a DSA key's ``p`` may have (FIPS 186-4 section 4.2)."""

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha1": hashes.SHA1(),
    "sha256": hashes.SHA256(),
    "sha512": hashes.SHA512(),
}
_PADDING = padding.PKCS1v15()
_CURVES: dict[str, tuple[ec.EllipticCurve, ec.ECDSA]] = {
    "nistp256": (ec.SECP256R1(), ec.ECDSA(hashes.SHA256())),
    "nistp384": (ec.SECP384R1(), ec.ECDSA(hashes.SHA384())),
    "nistp521": (ec.SECP521R1(), ec.ECDSA(hashes.SHA512())),
}
_CURVE_NAMES = {curve.name: name for name, (curve, _) in _CURVES.items()}

_BAD_NUMBERS = (ValueError, TypeError, OverflowError, UnsupportedAlgorithm)


class Ed25519Verifier:
    """An Ed25519 public key (RFC 8032), from its 32 octets."""

    __slots__ = ("_key", "octets")

    def __init__(self, octets: bytes) -> None:
        if len(octets) != 32:
            raise KeyFormatError(f"an Ed25519 public key has 32 octets, not {len(octets)}")
        try:
            self._key = ed25519.Ed25519PublicKey.from_public_bytes(octets)
        except _BAD_NUMBERS as error:
            raise KeyFormatError("the Ed25519 public key is not valid") from error
        self.octets = octets

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Tell whether ``signature``, 64 octets, is this key's over ``data``."""
        try:
            self._key.verify(signature, data)
        except (InvalidSignature, ValueError):
            return False
        return True


class Ed25519Signer:
    """An Ed25519 private key, from its seed of 32 octets."""

    __slots__ = ("_key", "seed", "verifier")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != 32:
            raise KeyFormatError(f"an Ed25519 private key has 32 octets, not {len(seed)}")
        self._key = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
        self.seed = seed
        self.verifier = Ed25519Verifier(self._key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> Ed25519Signer:
        """Make a new key."""
        return cls(ed25519.Ed25519PrivateKey.generate().private_bytes_raw())

    def sign(self, data: bytes) -> bytes:
        """Return the signature over ``data``, 64 octets."""
        return self._key.sign(data)


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
        """Check that the numbers belong together.

        Whether ``p`` and ``q`` are prime is not looked at: that takes a tenth of a second, and
        damage shows in the products.

        :raises KeyFormatError: when they do not.
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
            raise KeyFormatError("the numbers of the RSA private key do not belong together")


class RSAVerifier:
    """An RSA public key: modulus ``n`` and exponent ``e``."""

    __slots__ = ("_key", "_size", "e", "n")

    def __init__(self, n: int, e: int) -> None:
        low, high = RSA_BITS
        if not low <= n.bit_length() <= high or n < 0:
            raise KeyFormatError(
                f"an RSA key of {n.bit_length()} bits: from {low} to {high} are taken"
            )
        if not 3 <= e < 1 << RSA_EXPONENT_BITS or not e % 2 or not n % 2:
            raise KeyFormatError("the RSA public key is not valid")
        try:
            self._key = rsa.RSAPublicNumbers(e, n).public_key()
        except _BAD_NUMBERS as error:
            raise KeyFormatError("the RSA public key is not valid") from error
        self.n = n
        self.e = e
        self._size = (n.bit_length() + 7) // 8

    def verify(self, signature: bytes, data: bytes, hash_name: str) -> bool:
        """Tell whether ``signature`` (RSASSA-PKCS1-v1_5) is this key's over ``data``.

        Leading zeros that some peers leave out of a signature are put back.
        """
        if not signature or len(signature) > self._size:
            return False
        try:
            self._key.verify(signature.rjust(self._size, b"\0"), data, _PADDING, _HASHES[hash_name])
        except (InvalidSignature, ValueError, UnsupportedAlgorithm):
            return False
        return True


class RSASigner:
    """An RSA private key."""

    __slots__ = ("_key", "numbers", "verifier")

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
            self._key = private.private_key(unsafe_skip_rsa_key_validation=True)
        except _BAD_NUMBERS as error:
            raise KeyFormatError("the RSA private key is not valid") from error

    @classmethod
    def from_key(cls, key: rsa.RSAPrivateKey) -> RSASigner:
        """Take a key of the ``cryptography`` package."""
        private = key.private_numbers()
        public = private.public_numbers
        return cls(RSANumbers(public.n, public.e, private.d, private.p, private.q, private.iqmp))

    @classmethod
    def generate(cls, bits: int) -> RSASigner:
        """Make a new key with a modulus of ``bits`` and the exponent 65537."""
        return cls.from_key(rsa.generate_private_key(65537, bits))

    def sign(self, data: bytes, hash_name: str) -> bytes:
        """Return the signature (RSASSA-PKCS1-v1_5) over ``data``, as long as the modulus."""
        return self._key.sign(data, _PADDING, _HASHES[hash_name])


class ECDSAVerifier:
    """An ECDSA public key on ``curve`` (``nistp256``, ``nistp384``, ``nistp521``).

    ``point`` is uncompressed (SEC 1 section 2.3.3): RFC 5656 lets a peer refuse all else.
    """

    __slots__ = ("_algorithm", "_key", "curve", "point")

    def __init__(self, curve: str, point: bytes) -> None:
        parameters, self._algorithm = _CURVES[curve]
        if point[:1] != b"\x04":
            raise KeyFormatError("the point of the ECDSA public key is not uncompressed")
        try:
            self._key = ec.EllipticCurvePublicKey.from_encoded_point(parameters, point)
        except _BAD_NUMBERS as error:
            raise KeyFormatError(f"the ECDSA public key is no point of {curve}") from error
        self.curve = curve
        self.point = point

    def verify(self, r: int, s: int, data: bytes) -> bool:
        """Tell whether ``(r, s)`` is this key's signature over ``data``."""
        if r <= 0 or s <= 0:
            return False
        try:
            self._key.verify(encode_dss_signature(r, s), data, self._algorithm)
        except (InvalidSignature, ValueError):
            return False
        return True


class ECDSASigner:
    """An ECDSA private key: ``secret`` on ``curve``."""

    __slots__ = ("_algorithm", "_key", "secret", "verifier")

    def __init__(self, curve: str, secret: int) -> None:
        parameters, self._algorithm = _CURVES[curve]
        try:
            self._key = ec.derive_private_key(secret, parameters)
        except _BAD_NUMBERS as error:
            raise KeyFormatError(f"the ECDSA private key is not in the range of {curve}") from error
        self.secret = secret
        self.verifier = ECDSAVerifier(curve, uncompressed_point(self._key))

    @classmethod
    def from_key(cls, key: ec.EllipticCurvePrivateKey) -> ECDSASigner:
        """Take a key of the ``cryptography`` package."""
        curve = _CURVE_NAMES.get(key.curve.name)
        if curve is None:
            raise KeyFormatError(f"SSH has no keys on the curve {key.curve.name}")
        return cls(curve, key.private_numbers().private_value)

    @classmethod
    def generate(cls, curve: str) -> ECDSASigner:
        """Make a new key."""
        return cls.from_key(ec.generate_private_key(_CURVES[curve][0]))

    def sign(self, data: bytes) -> tuple[int, int]:
        """Return the signature over ``data`` as ``(r, s)``."""
        return decode_dss_signature(self._key.sign(data, self._algorithm))


@value
class DSAParameters:
    """A DSA group (FIPS 186-4): primes ``p`` and ``q``, generator ``g``."""

    p: int
    q: int
    g: int


class DSAVerifier:
    """A DSA public key ``y``, used with SHA-1 and a ``q`` of 160 bits (RFC 4253 section 6.6)."""

    __slots__ = ("_key", "parameters", "y")

    def __init__(self, parameters: DSAParameters, y: int) -> None:
        p, q, g = parameters.p, parameters.q, parameters.g
        if p.bit_length() not in DSA_BITS or q.bit_length() != 160 or p < 0 or q < 0:
            raise KeyFormatError(
                f"a DSA key of {p.bit_length()} bits in a group of {q.bit_length()}: "
                f"SSH takes {' or '.join(map(str, DSA_BITS))} in a group of 160"
            )
        if not 1 < g < p or not 1 < y < p or (p - 1) % q or pow(g, q, p) != 1 or pow(y, q, p) != 1:
            raise KeyFormatError("the numbers of the DSA key do not belong together")
        try:
            self._key = dsa.DSAPublicNumbers(y, dsa.DSAParameterNumbers(p, q, g)).public_key()
        except _BAD_NUMBERS as error:
            raise KeyFormatError("the DSA public key is not valid") from error
        self.parameters = parameters
        self.y = y

    def verify(self, r: int, s: int, data: bytes) -> bool:
        """Tell whether ``(r, s)`` is this key's signature over ``data``."""
        try:
            self._key.verify(encode_dss_signature(r, s), data, _HASHES["sha1"])
        except (InvalidSignature, ValueError, UnsupportedAlgorithm):
            return False
        return True


class DSASigner:
    """A DSA private key ``x``."""

    __slots__ = ("_key", "verifier", "x")

    def __init__(self, parameters: DSAParameters, y: int, x: int) -> None:
        self.verifier = DSAVerifier(parameters, y)
        p, q, g = parameters.p, parameters.q, parameters.g
        if not 0 < x < q or pow(g, x, p) != y:
            raise KeyFormatError("the two halves of the DSA key do not belong together")
        public = dsa.DSAPublicNumbers(y, dsa.DSAParameterNumbers(p, q, g))
        try:
            self._key = dsa.DSAPrivateNumbers(x, public).private_key()
        except _BAD_NUMBERS as error:
            raise KeyFormatError("the DSA private key is not valid") from error
        self.x = x

    @classmethod
    def from_key(cls, key: dsa.DSAPrivateKey) -> DSASigner:
        """Take a key of the ``cryptography`` package."""
        private = key.private_numbers()
        public = private.public_numbers
        group = public.parameter_numbers
        return cls(DSAParameters(group.p, group.q, group.g), public.y, private.x)

    @classmethod
    def generate(cls, bits: int) -> DSASigner:
        """Make a new key with a ``p`` of ``bits``."""
        return cls.from_key(dsa.generate_private_key(bits))

    def sign(self, data: bytes) -> tuple[int, int]:
        """Return the signature over ``data`` as ``(r, s)``."""
        return decode_dss_signature(self._key.sign(data, _HASHES["sha1"]))
