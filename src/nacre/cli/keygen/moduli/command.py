"""Candidates for primes (``-M generate``), and the safe primes among them (``-M screen``)."""

from __future__ import annotations

import os
import secrets
import sys
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import IO

from nacre.cli.keygen.arguments import KeygenOptions
from nacre.cli.keygen.moduli.lines import (
    COMPOSITE,
    LEAST_BITS,
    MILLER_RABIN,
    MOST_BITS,
    SAFE,
    SIEVED,
    SOPHIE_GERMAIN,
    Modulus,
    parse_modulus,
)
from nacre.cli.keygen.moduli.primes import generator_of, is_safe_prime
from nacre.cli.keygen.moduli.sieve import candidates
from nacre.client.trust.hostfile import replace
from nacre.errors import ConfigurationError
from nacre.wire.text import safe

_NUMBERS = {
    "lines": (1, 2**32),
    "start-line": (0, 2**32),
    "prime-tests": (4, 10_000),
    "generator": (2, 5),
    "bits": (LEAST_BITS, MOST_BITS),
    "memory": (1, 127),
}
"""Details of -O that are numbers, and their least and greatest value."""

_TEXTS = ("checkpoint", "start")

_DEFAULT_BITS = 3072
_DEFAULT_MEMORY = 8  # MB; one safe prime of 2048 bits is in 0.75 MB, of 4096 bits in 3 MB
_DEFAULT_TESTS = 100
_BETWEEN_CHECKPOINTS = 300.0  # seconds


def run(options: KeygenOptions) -> int:
    """Do what ``-M`` says; return the exit status."""
    if len(options.files) != 1:
        what = "Too many output files" if options.files else "No output file"
        raise ConfigurationError(f"{what} specified: give one file for what is found")
    details = _details(options.values("O"))
    output = Path(options.files[0])
    if options.value("M") == "generate":
        _generate(output, details)
    else:
        _screen(options.file, output, details)
    return 0


def _details(given: list[str]) -> dict[str, str]:
    """Return the details of ``-O``, by their names.

    :raises ConfigurationError: one is not known, or its value is bad.
    """
    found = {}
    for detail in given:
        name, _, text = detail.partition("=")
        if name in _NUMBERS:
            least, most = _NUMBERS[name]
            if not (text.isascii() and text.isdigit() and least <= int(text[:12]) <= most):
                raise ConfigurationError(
                    f"-O {safe(detail, 64)}: give a number from {least} to {most}"
                )
        elif name not in _TEXTS or not text:
            names = ", ".join([*_NUMBERS, *_TEXTS])
            raise ConfigurationError(f"-O {safe(detail, 64)}: give one of {names}, = and a value")
        found[name] = text
    return found


def _say(text: str) -> None:
    print(f"{time.strftime('%c')} {text}", file=sys.stderr)


def _generate(output: Path, details: dict[str, str]) -> None:
    # p has one bit more than q = (p - 1) / 2.
    bits = int(details.get("bits", _DEFAULT_BITS)) - 1
    size = int(details.get("memory", _DEFAULT_MEMORY)) << 20
    start = _start(details.get("start"), bits)
    count = 0
    with output.open("w") as file:
        for number in candidates(start, size):
            print(Modulus(SOPHIE_GERMAIN, SIEVED, 0, 0, number).line(time.time()), file=file)
            count += 1
    _say(f"Found {count} candidates")


def _start(given: str | None, bits: int) -> int:
    """Return the first number: that of ``-O start=``, or a random one of so many bits."""
    if given is None:
        # The range must not reach the next power of two.
        return secrets.randbits(bits - 2) | 1 << (bits - 1)
    try:
        start = int(given, 16)
    except ValueError:
        start = 0
    if start.bit_length() != bits:
        raise ConfigurationError(
            f"-O start={safe(given, 64)}: give a number of {bits} bits in hexadecimal"
        )
    return start


def _screen(input: Path | None, output: Path, details: dict[str, str]) -> None:
    checkpoint = Path(details["checkpoint"]) if "checkpoint" in details else None
    first = max(int(details.get("start-line", 0)), _checkpointed(checkpoint))
    most = int(details.get("lines", sys.maxsize))
    tests = int(details.get("prime-tests", _DEFAULT_TESTS))
    wanted = int(details["generator"]) if "generator" in details else None
    began = saved = time.monotonic()
    seen = found = 0
    with _opened(input) as source, output.open("a") as file:
        for number, text in enumerate(source):
            if number < first:
                continue
            if seen == most:
                break
            seen += 1
            screened = _screened(parse_modulus(text), tests, wanted)
            if screened is not None:
                print(screened.line(time.time()), file=file, flush=True)
                found += 1
            if checkpoint is not None and time.monotonic() - saved > _BETWEEN_CHECKPOINTS:
                replace(checkpoint, b"%d\n" % (number + 1), 0o644)
                saved = time.monotonic()
    if checkpoint is not None:
        with suppress(FileNotFoundError):
            os.unlink(checkpoint)
    _say(
        f"Found {found} safe primes of {seen} candidates in {time.monotonic() - began:.0f} seconds"
    )


def _opened(path: Path | None) -> IO[str] | nullcontext[IO[str]]:
    if path is None or str(path) == "-":
        return nullcontext(sys.stdin)
    return path.open(encoding="ascii", errors="replace")


def _checkpointed(path: Path | None) -> int:
    """Return how many lines were done before, by the file of ``-O checkpoint=``."""
    with suppress(OSError, ValueError):
        return int(path.read_text()[:12]) if path is not None else 0
    return 0


def _screened(modulus: Modulus | None, tests: int, wanted: int | None) -> Modulus | None:
    """Return the line of a safe prime; None if a candidate is none, or of no use.

    :param wanted: the generator that it must have.
    """
    if modulus is None or modulus.tests & COMPOSITE:
        return None
    prime = modulus.number
    if modulus.type == SOPHIE_GERMAIN:
        prime = 2 * prime + 1
    if not LEAST_BITS <= prime.bit_length() <= MOST_BITS:
        return None
    generator = modulus.generator or generator_of(prime)
    if not generator or (wanted is not None and generator != wanted):
        return None
    if not is_safe_prime(prime, tests):
        return None
    trials = tests + (modulus.trials if modulus.tests & MILLER_RABIN else 0)
    return Modulus(SAFE, modulus.tests | MILLER_RABIN, trials, generator, prime)
