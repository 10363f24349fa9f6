"""200 files and a large one: what foreign peers copy."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from interop import pattern

Payload = Callable[[int], Path]
"""Returns a directory with ``many/`` of 200 files, and ``large`` of that many MiB."""

SIZES = (0, 1, 4096, 32768, 100_000)


def make_payload(root: Path, mebibytes: int) -> Path:
    """Make the directory, if it is not there yet."""
    made = root / f"payload{mebibytes}"
    many = made / "many"
    if made.exists():
        return made
    many.mkdir(parents=True)
    generator = random.Random(200)
    for number in range(200):
        (many / f"file{number}").write_bytes(generator.randbytes(SIZES[number % len(SIZES)]))
    with (made / "large").open("wb") as large:
        large.writelines(pattern.blocks(mebibytes))
    return made
