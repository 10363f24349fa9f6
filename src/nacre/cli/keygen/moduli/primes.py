"""Tests of primes."""

from __future__ import annotations

from collections.abc import Callable
from secrets import randbelow


def is_probable_prime(number: int, trials: int, below: Callable[[int], int] = randbelow) -> bool:
    """Return whether an odd number larger than 3 passes tests of Miller and Rabin.

    Each test lets a composite number through with a probability of at most 1/4.

    :param below: returns a random number from 0 to less than its argument.
    """
    odd = number - 1
    twos = (odd & -odd).bit_length() - 1
    odd >>= twos
    return all(_passes(number, below(number - 3) + 2, odd, twos) for _ in range(trials))


def _passes(number: int, base: int, odd: int, twos: int) -> bool:
    power = pow(base, odd, number)
    if power in (1, number - 1):
        return True
    for _ in range(twos - 1):
        power = power * power % number
        if power == number - 1:
            return True
    return False


def is_safe_prime(number: int, trials: int) -> bool:
    """Return whether an odd ``number``, larger than 7, and (number - 1) / 2 are primes.

    The half is tested ``trials`` times. If it is prime, one power decides about the number itself
    (Pocklington's criterion): 2 to the power of number - 1 is 1, and number is no multiple of 3.
    """
    half = number >> 1
    if half % 2 == 0 or number % 3 == 0 or pow(2, number - 1, number) != 1:
        return False
    # Most candidates fail the first test.
    return is_probable_prime(half, 1) and is_probable_prime(half, trials - 1)


def generator_of(prime: int) -> int:
    """Return 2 or 5, which generates the subgroup that a safe prime needs, or 0 if neither does."""
    if prime % 24 == 11:
        return 2
    return 5 if prime % 10 in (3, 7) else 0
