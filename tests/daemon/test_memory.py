"""The settings of glibc's allocator, and memory that is not swapped."""

from __future__ import annotations

import ctypes
import resource
import subprocess
import sys

import pytest

from nacre.daemon.memory import give_back_memory

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # mallopt(3)


class Library:
    def __init__(self, name: str | None) -> None:
        assert name is None  # this process's own C library


def test_freed_blocks_of_a_password_hash_go_back(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: dict[int, int] = {}

    class Glibc(Library):
        def mallopt(self, option: int, value: int) -> int:
            chosen[option] = value
            return 1

    monkeypatch.setattr(ctypes, "CDLL", Glibc)
    give_back_memory()
    assert chosen[M_ARENA_MAX] == 1
    assert chosen[M_TRIM_THRESHOLD] < chosen[M_MMAP_THRESHOLD] < 19 << 20


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", Library)
    give_back_memory()


def test_a_process_without_a_c_library_to_load_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(name: str | None) -> None:
        raise OSError("static")

    monkeypatch.setattr(ctypes, "CDLL", fail)
    give_back_memory()


LOCKING = """
import resource, sys
from nacre.daemon import memory
if sys.argv[1] == "limited":
    memory._capabilities = lambda: 0
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (2**20, 2**20))
memory.lock_memory()
block = bytearray(1 << 20)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["VmLck"].split()[0]) > 1024, memory._capabilities() & memory._MAY_LOCK > 0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/status is Linux's")
def test_memory_is_locked_where_no_limit_can_end_the_process() -> None:
    def locked(case: str) -> list[bytes]:
        words = [sys.executable, "-c", LOCKING, case]
        done = subprocess.run(words, stdout=subprocess.PIPE, check=True, timeout=60)
        return done.stdout.split()

    assert locked("limited") == [b"False", b"False"]
    done, permitted = locked("as it is")
    unlimited = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY
    assert (done == b"True") is (permitted == b"True" or unlimited)
