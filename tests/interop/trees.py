"""Trees of files to copy, and what to compare of them."""

from __future__ import annotations

import hashlib
import os
import random
import stat
from pathlib import Path

PLAIN = [
    b"a name with spaces",
    b"-leading",
    b"quote'\"s",
    b"star*?[x]",
    b"back\\slash",
    b"#hash%41",
]
UTF8 = ["größe".encode(), "名前.txt".encode(), "e\u0301".encode()]
ODD = [b"line\nbreak", b"invalid-\xff\xfe", b"tab\tinside", b"bell\x07"]


def make_tree(root: Path, count: int, names: list[bytes]) -> None:
    """Make ``count`` files in directories inside each other, some empty, some of a megabyte."""
    generator = random.Random(7)
    top = os.fsencode(root)
    os.makedirs(top)
    directories = [top]
    for number in range(max(count // 50, 3)):
        directory = os.path.join(generator.choice(directories[-8:]), b"d%d" % number)
        os.mkdir(directory)
        directories.append(directory)
    for number in range(count):
        name = names[number] if number < len(names) else b"file%d" % number
        size = (0, 1, 4096, 32768, 100_000)[number % 5] if number % 97 else 1_300_000
        path = os.path.join(directories[number % len(directories)], name)
        with open(path, "wb") as file:
            file.write(generator.randbytes(size))
        os.chmod(path, (0o644, 0o600, 0o755, 0o444, 0o640)[number % 5])
        moment = 1_000_000_000 + number * 1000
        os.utime(path, (moment, moment + 7))
    os.mkdir(os.path.join(top, b"empty directory"))


def summary(root: Path, *, modes: bool = True, times: bool = True) -> dict[bytes, object]:
    """Return what each file of a tree is: kind, mode, time of change, hash."""
    top = os.fsencode(root)
    found: dict[bytes, object] = {}
    for directory, directories, files in os.walk(top):
        for name in (*directories, *files):
            path = os.path.join(directory, name)
            status = os.lstat(path)
            is_file = stat.S_ISREG(status.st_mode)
            found[os.path.relpath(path, top)] = (
                stat.S_IFMT(status.st_mode),
                stat.S_IMODE(status.st_mode) if modes else None,
                int(status.st_mtime) if times and is_file else None,
                _hash(path) if is_file else None,
            )
    return found


def _hash(path: bytes) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
