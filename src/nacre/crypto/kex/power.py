"""Exponentiation modulo an odd number, with an exponent that is secret.

``gmpy2`` computes it in constant time, five times as fast as Python, and without the interpreter's
lock, so other threads run meanwhile. It is optional: the extra ``server`` includes it. Without it
Python's ``pow`` computes, which is not constant-time and holds the lock to its end.
"""

from __future__ import annotations


def power(base: int, exponent: int, modulus: int) -> int:
    """Return ``base ** exponent % modulus``; any thread may call it.

    :param base: not negative.
    :param exponent: above 0.
    :param modulus: odd, and above 1.
    """
    try:
        import gmpy2
    except ImportError:
        return pow(base, exponent, modulus)
    # A context belongs to its thread. The lock is held without this.
    with gmpy2.context(allow_release_gil=True):
        return int(gmpy2.powmod_sec(base, exponent, modulus))
