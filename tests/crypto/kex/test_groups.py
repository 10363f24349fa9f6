"""The MODP groups, the choice among them, and the check of a server's."""

from __future__ import annotations

import warnings
from math import gcd, prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.crypto.kex.groups import check_group, choose_group, modp
from nacre.errors import KexFailed

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from asyncssh import kex_dh as peer

SIZES = {1024: 1, 2048: 14, 3072: 15, 4096: 16, 6144: 17, 8192: 18}


@pytest.mark.parametrize(("bits", "number"), SIZES.items())
def test_the_formula_gives_the_published_primes(bits: int, number: int) -> None:
    p = modp(bits)
    assert p.bit_length() == bits
    assert p == getattr(peer, f"_group{number}_p")


def test_the_smaller_ones_are_safe_primes() -> None:
    for bits in (1024, 2048):
        p = modp(bits)
        q = p >> 1
        for base in (3, 5, 7):
            assert pow(base, p - 1, p) == 1
            assert pow(base, q - 1, q) == 1


@pytest.mark.parametrize(
    ("request_", "bits"),
    [
        ((2048, 2048, 8192), 3072),
        ((2048, 3072, 8192), 3072),
        ((2048, 3000, 8192), 3072),
        ((1024, 1024, 8192), 3072),
        ((2048, 8192, 8192), 8192),
        ((2048, 8192, 5000), 4096),
        ((3072, 2048, 8192), 3072),
        ((1024, 1024, 1024), None),
        ((1024, 1536, 2047), None),
        ((8193, 9000, 16384), None),
        ((4096, 4096, 2048), None),
        ((0, 0, 2**32 - 1), 3072),
    ],
)
def test_choice(request_: tuple[int, int, int], bits: int | None) -> None:
    assert choose_group(*request_) == (None if bits is None else (modp(bits), 2))


@given(st.integers(0, 10000), st.integers(0, 10000), st.integers(0, 10000))
def test_a_choice_is_within_the_request(minimum: int, preferred: int, maximum: int) -> None:
    chosen = choose_group(minimum, preferred, maximum)
    if chosen is not None:
        check_group(*chosen, minimum, maximum)
        assert chosen[0].bit_length() >= 3072


def safe_prime(bits: int) -> int:
    """Return a safe prime that is none of the published ones."""
    candidate = (3 << (bits - 2)) + 3
    while not (
        pow(2, candidate - 1, candidate) == 1 == pow(2, (candidate >> 1) - 1, candidate >> 1)
    ):
        candidate += 4
    return candidate


@pytest.mark.slow
def test_a_group_of_the_servers_own() -> None:
    p = safe_prime(192)
    check_group(p, 5, 128, 256)
    for generator in (-1, 0, 1, p - 1, p):
        with pytest.raises(KexFailed, match="generator"):
            check_group(p, generator, 128, 256)
    for minimum, maximum in ((193, 256), (128, 191)):
        with pytest.raises(KexFailed, match="192 bits"):
            check_group(p, 2, minimum, maximum)


@pytest.mark.parametrize(
    "number",
    [
        modp(2048) + 1,
        modp(2048) + 2,
        modp(2048) + 4,
        modp(1024) * modp(1024),
        (1 << 2048) - 1,
        # A prime whose half is not: 2**521 - 1 is Mersenne's, and 2**520 - 1 is divisible by 3.
        (1 << 521) - 1,
    ],
)
def test_numbers_that_are_no_safe_prime(number: int) -> None:
    with pytest.raises(KexFailed, match="safe prime"):
        check_group(number, 2, 512, 8192)


def test_a_composite_without_small_factors() -> None:
    small = prod(range(3, 2000, 2))
    number = modp(1024) + 4
    while gcd(number, small) != 1 or gcd(number >> 1, small) != 1:
        number += 4
    assert pow(3, number - 1, number) != 1
    with pytest.raises(KexFailed, match="safe prime"):
        check_group(number, 2, 512, 1024)


def test_negative_primes() -> None:
    with pytest.raises(KexFailed):
        check_group(-modp(2048), 2, 2048, 8192)
