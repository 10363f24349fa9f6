"""Diffie-Hellman groups: the MODP groups of RFC 2409 and RFC 3526, and the choice of one.

The primes are computed from the formula that defines them,
``p = 2^n - 2^(n-64) - 1 + 2^64 * (floor(2^(n-130) * pi) + c)``, with generator 2; each p is a safe
prime: (p-1)/2 is prime too.
"""

from __future__ import annotations

from functools import cache
from math import gcd, prod

from nacre.crypto.kex.power import power
from nacre.errors import KexFailed

GENERATOR = 2

_CONSTANTS = {
    1024: 129093,
    2048: 124476,
    3072: 1690314,
    4096: 240904,
    6144: 929484,
    8192: 4743158,
}
_EXCHANGE_SIZES = (3072, 4096, 6144, 8192)


@cache
def modp(bits: int) -> int:
    """Return the MODP prime of 1024, 2048, 3072, 4096, 6144 or 8192 bits.

    In SSH's names 1024 is group1 (RFC 2409's second Oakley group) and the others are group14 to
    group18, as in RFC 3526.
    """
    pi_part = _pi(bits - 130) + _CONSTANTS[bits]
    return (1 << bits) - (1 << (bits - 64)) - 1 + (pi_part << 64)


def _pi(bits: int) -> int:
    """Return floor(2**bits * pi), by Machin's formula."""
    guard = 64
    one = 1 << (bits + guard)
    return (16 * _arctan_inverse(5, one) - 4 * _arctan_inverse(239, one)) >> guard


def _arctan_inverse(x: int, one: int) -> int:
    power = total = one // x
    divisor = sign = 1
    while power:
        power //= x * x
        divisor += 2
        sign = -sign
        total += sign * (power // divisor)
    return total


def choose_group(minimum: int, preferred: int, maximum: int) -> tuple[int, int] | None:
    """Return a server's (prime, generator) for a group exchange request, or None if none fits.

    :param maximum: the bits of the largest group that the client asks for and the server allows.

    It is the smallest group of at least ``preferred`` bits, or else the largest. No group has less
    than 3072 bits: a client that wants 2048 can use the group14 methods.
    """
    fitting = [bits for bits in _EXCHANGE_SIZES if minimum <= bits <= maximum]
    if not fitting:
        return None
    bits = next((bits for bits in fitting if bits >= preferred), fitting[-1])
    return modp(bits), GENERATOR


def check_group(prime: int, generator: int, minimum: int, maximum: int) -> None:
    """Check the group that a server sent for a request of ``minimum`` to ``maximum`` bits.

    The test of an unknown prime takes up to a second, so it is for a thread.

    This detects damage and careless servers, not malice: the owner of the host key, which signs the
    group, can read the connection anyway.

    :raises KexFailed: its size was not requested, the generator is out of range, or a cheap test
        shows that p is not a safe prime.
    """
    bits = prime.bit_length()
    if not minimum <= bits <= maximum:
        raise KexFailed(
            f"the server's DH group has {bits} bits; we asked for {minimum} to {maximum}"
        )
    if not 1 < generator < prime - 1:
        raise KexFailed("the generator of the server's Diffie-Hellman group is out of range")
    if bits in _CONSTANTS and prime == modp(bits):
        return
    if not _maybe_safe_prime(prime):
        raise KexFailed("the prime of the server's Diffie-Hellman group is not a safe prime")


@cache
def _small_primes_product() -> int:
    return prod(n for n in range(3, 2000, 2) if all(n % d for d in range(3, n, 2)))


def _maybe_safe_prime(p: int) -> bool:
    if p % 4 != 3:
        return False
    small = _small_primes_product()
    if gcd(p, small) != 1 or gcd(p >> 1, small) != 1:
        return False
    # One Miller-Rabin round to base 2: (p-1)/2 is odd, so there is nothing to square.
    return power(2, p >> 1, p) in (1, p - 1)
