"""What was made of files, kept while they are the same files.

A file is opened and looked at for each question, so a change counts at once and who may not open
it learns nothing; it is read once.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")

_RECENT = 2_000_000_000
"""Nanoseconds within which a file may be written twice at what it gives as the same time."""

_Identity: TypeAlias = tuple[int, ...]


class KeptFiles(Generic[T]):
    """What was made of some files, those that were asked for last.

    :param files: how many files.
    :param size: how many bytes these files have together.
    """

    def __init__(self, files: int, size: int) -> None:
        self._files = files
        self._size = size
        self._kept: dict[str, tuple[_Identity, T, int]] = {}
        self._changing = Lock()

    @property
    def paths(self) -> list[str]:
        """The names of the files, the one that was asked for last at the end."""
        return list(self._kept)

    def get(self, path: str, descriptor: int, most: int, make: Callable[[bytes], T]) -> T:
        """Return what ``make`` has made of the bytes of an open file. Blocks.

        :param path: the file's name.
        :param descriptor: the file, at its beginning.
        :param most: how many bytes the file may have; ``make`` gets one more at most.
        """
        status = os.fstat(descriptor)
        times = (status.st_mtime_ns, status.st_ctime_ns)
        identity = (status.st_dev, status.st_ino, status.st_size, *times)
        with self._changing:
            known = self._kept.pop(path, None)
        if known is None or known[0] != identity:
            with open(descriptor, "rb", closefd=False) as file:
                data = file.read(most + 1)
            known = identity, make(data), len(data)
        if stat.S_ISREG(status.st_mode) and max(times) < time.time_ns() - _RECENT:
            self._keep(path, known)
        return known[1]

    def _keep(self, path: str, known: tuple[_Identity, T, int]) -> None:
        if known[2] > self._size:
            return
        with self._changing:
            self._kept[path] = known
            while len(self._kept) > self._files or self._total() > self._size:
                del self._kept[next(iter(self._kept))]

    def _total(self) -> int:
        return sum(size for _, _, size in self._kept.values())
