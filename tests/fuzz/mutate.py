"""Mutations of bytes, and how long to go on with them.

Everything is drawn from one seed per case, so a case that fails is found again by its number.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from itertools import count

BUDGET = float(os.environ.get("NACRE_FUZZ_SECONDS", "0")) or 1.0
"""Seconds that one test goes on; ``make fuzz`` gives more."""

FIRST = int(os.environ.get("NACRE_FUZZ_SEED", "0"))
"""The seed of the first case; each following case has the next number."""

_LENGTHS = [0, 1, 2, 4, 5, 31, 32, 255, 256, 0x7FFF, 0x8000, 0x40000, 0x50000000]
_WORDS = [
    *(n.to_bytes(4, "big") for n in _LENGTHS),
    *(b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\xff\xff\xff\xfe", b"\xff\xff\xff\xff"),
    *(b"\0", b"\n", b"\r\n", b"\x80", b"\xff", b"\x1b[2J", b"SSH-2.0-", b"SSH-1.5-", b",", b"-"),
    *(b"ssh-connection", b"ssh-userauth", b"session", b"exec", b"shell", b"none", b"password"),
    *(b"publickey", b"keyboard-interactive", b"ssh-ed25519", b"ssh-rsa", b"rsa-sha2-512"),
    *(b"\xed\xa0\x80", b"\xc3\x28", b"kex-strict-c-v00@openssh.com", b"ext-info-c"),
]


_AT_LEAST = 50

cases = 0
"""How many seeds were handed out in this process."""


def seeds() -> Iterator[int]:
    """Return the seeds of cases until the budget is spent; a few at least, on any machine."""
    global cases
    end = time.monotonic() + BUDGET
    for seed in count(FIRST):
        if seed >= FIRST + _AT_LEAST and time.monotonic() > end:
            return
        cases += 1
        yield seed


def mutated(data: bytes, draw: random.Random) -> bytes:
    """Return ``data`` with one to four changes."""
    made = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        _mutate(made, draw)
    return bytes(made)


def _mutate(made: bytearray, draw: random.Random) -> None:
    at = draw.randrange(len(made) + 1)
    match draw.randrange(8):
        case 0 if made:
            made[at % len(made)] ^= 1 << draw.randrange(8)
        case 1 if made:
            made[at % len(made)] = draw.randrange(256)
        case 2:
            del made[at:]
        case 3:
            del made[at : at + draw.randrange(1, 9)]
        case 4:
            made[at:at] = draw.choice(_WORDS)
        case 5:
            word = draw.choice(_WORDS)
            made[at : at + len(word)] = word
        case 6:
            made[at:at] = made[draw.randrange(len(made) + 1) :][: draw.randrange(200)]
        case 7:
            made[at:at] = draw.randbytes(draw.choice((1, 4, 40, 3000)))


def portions(data: bytes, draw: random.Random) -> list[bytes]:
    """Return ``data``, cut anywhere or not at all."""
    parts = []
    while data:
        size = draw.choice((1, 3, 17, 1000, len(data)))
        parts.append(data[:size])
        data = data[size:]
    return parts
