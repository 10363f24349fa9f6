"""RSA of SSH-1: encryption with PKCS#1 v1.5 padding, and keys of sizes that SSH-2 does not allow.

Decryption does not reveal whether the padding was right: for wrong padding it returns random bytes,
and the sender learns only that the session does not work (Bleichenbacher, 1998). The time of
Python's arithmetic depends on the numbers, so each one is blinded first.
"""

from __future__ import annotations

from math import gcd

from nacre.crypto.legacy import unsigned
from nacre.crypto.packets.seal import Random
from nacre.crypto.signatures.rsa import RSANumbers, RSASigner
from nacre.errors import KeyFormatError

BITS = (512, 8192)
"""The least and the most bits of a modulus: old peers have small ones; larger ones are unknown."""

MODULI_DIFFER = 128
"""By how many bits the two moduli that encrypt a session key must differ."""

EXPONENT_BITS = 64
_EXPONENT = 65537
_SMALLEST_PADDING = 8
_ROUNDS = 20
_SMALL_PRIMES = [p for p in range(3, 1000, 2) if all(p % q for q in range(3, int(p**0.5) + 1, 2))]


class RSA1Verifier:
    """A public key: modulus ``n`` and exponent ``e``.

    :raises KeyFormatError: the numbers are not a key, or using it would cost too much time.
    """

    __slots__ = ("e", "n", "size")

    def __init__(self, n: int, e: int) -> None:
        low, high = BITS
        if not low <= n.bit_length() <= high:
            raise KeyFormatError(
                f"an RSA1 key of {n.bit_length()} bits; accepted are {low} to {high}"
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
    """A private key. It decrypts; SSH-1 has no signatures."""

    __slots__ = ("numbers", "verifier")

    def __init__(self, numbers: RSANumbers) -> None:
        self.verifier = RSA1Verifier(numbers.n, numbers.e)
        numbers.check()
        self.numbers = numbers

    @classmethod
    def generate(cls, bits: int, random: Random | None = None) -> RSA1Signer:
        """Generate a key with a modulus of ``bits`` and the exponent 65537.

        :param random: the only source of randomness; the system's if it is None.
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
        """Return the message of ``size`` bytes in ``text``; random bytes if there is none.

        Leading zero bytes that the encrypting side left out are restored.
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
        # An arithmetic fault in one half would reveal the key.
        if pow(whole, key.e, key.n) != blinded:
            return 0
        return whole * pow(blind, -1, key.n) % key.n


def _unpadded(block: int, size: int) -> bytes:
    """Return the message in a block of type 2; no bytes if it is not one."""
    padded = block.to_bytes(size, "big")
    end = padded.find(b"\0", 2)
    if padded[:2] != b"\0\2" or end < 2 + _SMALLEST_PADDING:
        return b""
    return padded[end + 1 :]


def _prime(bits: int, random: Random) -> int:
    """Return a prime of ``bits`` bits with the two highest set, usable with the exponent."""
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
    """Return whether a number is prime (Miller-Rabin), wrong with a probability of 4**-20."""
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
    """Return the bytes that a fingerprint covers: modulus and exponent, joined."""
    return unsigned(key.n) + unsigned(key.e)
