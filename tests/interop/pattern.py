"""Prints MEBIBYTES (its argument) of data in which no two blocks are the same."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator


def blocks(mebibytes: int) -> Iterator[bytes]:
    """Yield blocks of 1 MiB, each with its number in front."""
    rest = random.Random(mebibytes).randbytes((1 << 20) - 8)
    for number in range(mebibytes):
        yield number.to_bytes(8, "big") + rest


if __name__ == "__main__":
    for block in blocks(int(sys.argv[1])):
        sys.stdout.buffer.write(block)
