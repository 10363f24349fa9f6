"""RSA as SSH-1 has it: numbers encrypted with PKCS#1 v1.5 padding, and keys too small for others.

Decryption tells nobody whether the padding was right: wrong padding gives random bytes, and
whoever made it learns only that the session does not work (Bleichenbacher, 1998). Python's
arithmetic takes a time that depends on its numbers, so each one is blinded first.
"""

from __future__ import annotations

from math import gcd

from nacre.crypto.legacy import unsigned
from nacre.crypto.seal import Random
from nacre.crypto.sign_rsa import RSANumbers, RSASigner
from nacre.errors import KeyFormatError

BITS = (512, 8192)
"""The least and the most bits of a modulus: old peers have small ones, and nobody has larger."""

MODULI_DIFFER = 128
"""Bits between the moduli that encrypt a session key one after the other."""

EXPONENT_BITS = 64
_EXPONENT = 65537
_SMALLEST_PADDING = 8
_ROUNDS = 20
_SMALL_PRIMES = [p for p in range(3, 1000, 2) if all(p % q for q in range(3, int(p**0.5) + 1, 2))]


class RSA1Verifier:
    """A public key: modulus ``n`` and exponent ``e``.

    :raises KeyFormatError: numbers that make no key, or whose use would cost too much.
    """

    __slots__ = ("e", "n", "size")

    def __init__(self, n: int, e: int) -> None:
        low, high = BITS
        if not low <= n.bit_length() <= high:
            raise KeyFormatError(
                f"an RSA1 key of {n.bit_length()} bits: from {low} to {high} are taken"
            )
        if not n % 2 or not e % 2 or e < 3 or e.bit_length() > EXPONENT_BITS:
            raise KeyFormatError("the RSA1 public key is not valid")
        self.n = n
        self.e = e
        self.size = (n.bit_length() + 7) // 8

    def encrypt(self, message: bytes, random: Random) -> int:
        """Return ``message`` padded and encrypted.

        :raises ValueError: it does not fit the modulus with 11 bytes of padding.
        """
        padding = self.size - 3 - len(message)
        if padding < _SMALLEST_PADDING:
            raise ValueError(f"{len(message)} bytes do not fit a modulus of {self.size}")
        block = b"\2" + _nonzero(padding, random) + b"\0" + message
        return pow(int.from_bytes(block, "big"), self.e, self.n)


def _nonzero(size: int, random: Random) -> bytes:
    made = b""
    while len(made) < size:
        made += random(size - len(made)).replace(b"\0", b"")
    return made


class RSA1Signer:
    """A private key, which decrypts."""

    __slots__ = ("numbers", "verifier")

    def __init__(self, numbers: RSANumbers) -> None:
        self.verifier = RSA1Verifier(numbers.n, numbers.e)
        numbers.check()
        self.numbers = numbers

    @classmethod
    def generate(cls, bits: int, random: Random | None = None) -> RSA1Signer:
        """Make a new key with a modulus of ``bits`` and the exponent 65537.

        :param random: makes the key of this source alone; without it the system's.
        """
        if random is None:
            return cls(RSASigner.generate(bits).numbers)
        half = bits // 2
        while True:
            p, q = _prime(bits - half, random), _prime(half, random)
            if p != q:
                break
        p, q = max(p, q), min(p, q)
        d = pow(_EXPONENT, -1, (p - 1) * (q - 1))
        return cls(RSANumbers(n=p * q, e=_EXPONENT, d=d, p=p, q=q, iqmp=pow(q, -1, p)))

    def decrypt(self, text: int, size: int, random: Random) -> bytes:
        """Return the message of ``size`` bytes in ``text``; random ones when there is none.

        Leading zero bytes that the encrypting side left out are put back.
        """
        instead = random(size)
        message = _unpadded(self._power(text % self.numbers.n, random), self.verifier.size)
        return instead if len(message) > size or not message else message.rjust(size, b"\0")

    def _power(self, text: int, random: Random) -> int:
        """Return ``text`` to the private exponent, by the Chinese remainder theorem, blinded."""
        key = self.numbers
        blind = 0
        while gcd(blind, key.n) != 1:
            blind = int.from_bytes(random(self.verifier.size), "big") % key.n
        blinded = text * pow(blind, key.e, key.n) % key.n
        of_p = pow(blinded, key.d % (key.p - 1), key.p)
        of_q = pow(blinded, key.d % (key.q - 1), key.q)
        whole = of_q + key.q * (key.iqmp * (of_p - of_q) % key.p)
        # A fault in one half would give away the key.
        if pow(whole, key.e, key.n) != blinded:
            return 0
        return whole * pow(blind, -1, key.n) % key.n


def _unpadded(block: int, size: int) -> bytes:
    """Return the message in a block of type 2; nothing when it is none."""
    padded = block.to_bytes(size, "big")
    end = padded.find(b"\0", 2)
    if padded[:2] != b"\0\2" or end < 2 + _SMALLEST_PADDING:
        return b""
    return padded[end + 1 :]


def _prime(bits: int, random: Random) -> int:
    """Return a prime of exactly ``bits``, its two highest bits set, that suits the exponent."""
    high = 3 << (bits - 2)
    while True:
        candidate = _number(bits, random) | high | 1
        if any(candidate % small == 0 for small in _SMALL_PRIMES):
            continue
        if candidate % _EXPONENT != 1 and _is_prime(candidate, random):
            return candidate


def _number(bits: int, random: Random) -> int:
    return int.from_bytes(random((bits + 7) // 8), "big") & ((1 << bits) - 1)


def _is_prime(candidate: int, random: Random) -> bool:
    """Tell whether a number is prime (Miller and Rabin), wrong with a chance of 4**-20."""
    odd, twos = candidate - 1, 0
    while not odd % 2:
        odd, twos = odd // 2, twos + 1
    for _ in range(_ROUNDS):
        base = _number(candidate.bit_length(), random) % (candidate - 3) + 2
        power = pow(base, odd, candidate)
        if power in (1, candidate - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % candidate
            if power == candidate - 1:
                break
        else:
            return False
    return True


def fields(key: RSA1Verifier) -> bytes:
    """Return the bytes that fingerprints are of: modulus and exponent, joined."""
    return unsigned(key.n) + unsigned(key.e)
