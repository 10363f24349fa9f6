"""Files that are read once while they are the same."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from nacre.config.kept import KeptFiles


class Reader:
    """Keeps lengths of files, and counts how often it has read one."""

    def __init__(self, files: int = 3, size: int = 100) -> None:
        self.kept = KeptFiles[int](files, size)
        self.reads = 0

    def make(self, data: bytes) -> int:
        self.reads += 1
        return len(data)

    def __call__(self, path: Path) -> int:
        with path.open("rb") as file:
            return self.kept.get(str(path), file.fileno(), 50, self.make)


@pytest.fixture(autouse=True)
def every_file_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1 << 62)


def test_a_file_is_read_again_after_a_change(tmp_path: Path) -> None:
    read, file = Reader(), tmp_path / "file"
    file.write_bytes(b"123")
    assert [read(file) for _ in range(3)] == [3, 3, 3]
    assert read.reads == 1
    file.write_bytes(b"4567")
    assert read(file) == 4
    os.utime(file, (5, 5))
    assert read(file) == 4
    (tmp_path / "next").write_bytes(b"890")
    (tmp_path / "next").rename(file)
    assert read(file) == 3
    assert read.reads == 4


def test_as_many_files_and_bytes_are_kept(tmp_path: Path) -> None:
    read = Reader()
    names = [tmp_path / name for name in "abcd"]
    for file in names:
        file.write_bytes(bytes(30))
        read(file)
    assert read.kept.paths == [str(file) for file in names[1:]]
    names[0].write_bytes(bytes(50))
    assert read(names[0]) == 50
    assert read.kept.paths == [str(names[3]), str(names[0])]  # 80 of 100 bytes


def test_what_is_more_than_may_be_is_not_read(tmp_path: Path) -> None:
    read, file = Reader(), tmp_path / "file"
    file.write_bytes(bytes(1000))
    assert read(file) == 51


def test_a_file_that_was_just_written_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time may not change when it is written again."""
    read, file = Reader(), tmp_path / "file"
    file.write_bytes(b"1")
    monkeypatch.setattr(time, "time_ns", lambda: file.stat().st_mtime_ns + 1_000_000_000)
    assert (read(file), read(file), read.reads) == (1, 1, 2)
    assert read.kept.paths == []
