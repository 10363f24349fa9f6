"""The corpus of each target: inputs that lead to different code, which every run begins from.

``python -m fuzz.corpus [NAME…]`` writes what the targets' own seeds are, next to what is there.
"""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"


def inputs(name: str) -> list[bytes]:
    """Return the inputs of a target; none for a machine."""
    return [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]


def add(name: str, data: bytes) -> None:
    """Add an input; its name is that of its content."""
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / sha256(data).hexdigest()[:16]).write_bytes(data)


def main(names: list[str]) -> None:
    """Write the seeds of targets, of all by default."""
    from fuzz.targets import TARGETS

    for target in TARGETS:
        if target.seeds is not None and (not names or target.name in names):
            for data in target.seeds():
                add(target.name, data)


if __name__ == "__main__":
    main(sys.argv[1:])
