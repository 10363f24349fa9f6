"""Tests of primes, on numbers whose factors are known."""

from __future__ import annotations

import pytest

from nacre.cli.keygen.moduli.primes import generator_of, is_probable_prime, is_safe_prime

PRIMES = [n for n in range(5, 2000) if all(n % k for k in range(2, n))]
CARMICHAEL = [561, 1105, 1729, 2465, 2821, 6601, 8911, 41041, 825265, 321197185]


def test_primes_pass_and_others_do_not() -> None:
    assert [n for n in range(5, 2000, 2) if is_probable_prime(n, 20)] == PRIMES
    assert not any(is_probable_prime(n, 20) for n in CARMICHAEL)
    assert is_probable_prime(2**521 - 1, 4)
    assert not is_probable_prime(2**523 - 1, 4)


def test_a_base_that_lies_is_not_enough() -> None:
    # 2047 is a strong pseudoprime for base 2.
    assert is_probable_prime(2047, 1, lambda end: 0)
    assert not is_probable_prime(2047, 20)


def test_safe_primes() -> None:
    safe = [n for n in range(9, 4000, 2) if is_safe_prime(n, 20)]
    assert safe == [2 * q + 1 for q in PRIMES if 2 * q + 1 > 9 and is_probable_prime(2 * q + 1, 20)]


@pytest.mark.parametrize(("prime", "generator"), [(11, 2), (59, 2), (23, 5), (47, 5), (7, 5)])
def test_generators(prime: int, generator: int) -> None:
    assert generator_of(prime) == generator
    if generator == 2:
        # It generates the subgroup of squares' complement: it is no square.
        assert pow(2, (prime - 1) // 2, prime) == prime - 1


def test_a_prime_without_a_generator() -> None:
    assert generator_of(31) == 0
