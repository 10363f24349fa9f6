"""Candidates for Sophie Germain primes: numbers without small factors."""

from __future__ import annotations

from collections.abc import Iterator
from math import isqrt

SMALL_PRIMES_BELOW = 2**20
"""The factors that are excluded."""


def primes_below(end: int) -> list[int]:
    """Return the odd primes less than ``end`` (sieve of Eratosthenes)."""
    flags = bytearray([1]) * end
    for number in range(3, isqrt(max(end - 1, 0)) + 1, 2):
        if flags[number]:
            flags[number * number :: 2 * number] = bytes(
                len(range(number * number, end, 2 * number))
            )
    return [number for number in range(3, end, 2) if flags[number]]


def candidates(start: int, size: int, below: int = SMALL_PRIMES_BELOW) -> Iterator[int]:
    """Yield each odd q from ``start`` on where neither q nor 2 * q + 1 has a small factor.

    :param size: how many odd numbers to look at; it takes as many bytes of memory.
    :param below: the factors are less than this; q must be larger.
    """
    start |= 1
    composite = bytearray(size)
    for prime in primes_below(below):
        half = (prime + 1) // 2  # the inverse of 2
        rest = start % prime
        # Both residues of q: that of 0, and that where 2 * q + 1 is divisible.
        for residue in (0, half - 1):
            first = (residue - rest) * half % prime
            composite[first::prime] = b"\1" * len(range(first, size, prime))
    at = composite.find(0)
    while at >= 0:
        yield start + 2 * at
        at = composite.find(0, at + 1)
