"""Candidates without small factors."""

from __future__ import annotations

import pytest

from nacre.cli.keygen.moduli.sieve import candidates, primes_below


@pytest.mark.parametrize("end", [0, 2, 3, 4, 9, 10, 100, 1000])
def test_primes_below(end: int) -> None:
    assert primes_below(end) == [n for n in range(3, end) if all(n % k for k in range(2, n))]


@pytest.mark.parametrize("start", [1001, 1000, 2**64 + 6])
def test_neither_the_number_nor_the_next_has_a_small_factor(start: int) -> None:
    primes = primes_below(50)
    expected = [
        q
        for q in range(start | 1, (start | 1) + 1000, 2)
        if all(q % prime and (2 * q + 1) % prime for prime in primes)
    ]
    assert [*candidates(start, 500, 50)] == expected
