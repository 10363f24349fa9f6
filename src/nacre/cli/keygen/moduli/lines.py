"""The lines of moduli(5)."""

from __future__ import annotations

import time

from nacre.value import value

SAFE = 2
"""The type of a number p where (p - 1) / 2 is prime, too."""

SOPHIE_GERMAIN = 4
"""The type of a number q where 2 * q + 1 is prime, too."""

COMPOSITE = 1
SIEVED = 2
MILLER_RABIN = 4
"""Flags: the tests that a number has been through."""

LEAST_BITS = 512
MOST_BITS = 16384
"""Bits of a prime p."""

_FIELDS = 7
_MOST_DIGITS = 10
_LONGEST = MOST_BITS  # characters: the prime in hexadecimal takes a quarter of it


@value
class Modulus:
    """A line.

    :ivar type: SAFE, SOPHIE_GERMAIN, or another number of moduli(5).
    :ivar tests: flags.
    :ivar trials: how many tests of Miller and Rabin it has passed.
    :ivar generator: 0 if it is not known.
    :ivar number: p, or q of a candidate.
    """

    type: int
    tests: int
    trials: int
    generator: int
    number: int

    def line(self, now: float) -> str:
        """Return the line, without its end.

        :param now: seconds since 1970.
        """
        stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime(now))
        size = self.number.bit_length() - 1
        return (
            f"{stamp} {self.type} {self.tests} {self.trials} {size} {self.generator:X} "
            f"{self.number:X}"
        )


def parse_modulus(text: str) -> Modulus | None:
    """Return what a line has; None for a comment, and for a line that is damaged."""
    words = text[:_LONGEST].split()
    if len(words) != _FIELDS or not words[0].isdigit():
        return None
    if not all(
        word.isascii() and word.isdigit() and len(word) <= _MOST_DIGITS for word in words[1:5]
    ):
        return None
    type, tests, trials, size = map(int, words[1:5])
    try:
        generator, number = (int(word, 16) for word in words[5:])
    except ValueError:
        return None
    if generator < 0 or number.bit_length() != size + 1:
        return None
    return Modulus(type, tests, trials, generator, number)
