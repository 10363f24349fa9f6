"""Groups for Diffie-Hellman group exchange (``-M``): primes for moduli(5).

Start at command.py (the options and files), then lines.py (the format), sieve.py (candidates) and
primes.py (tests of them). Imports wire and cli.keygen only.
"""
