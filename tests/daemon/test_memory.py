"""The settings of glibc's allocator."""

from __future__ import annotations

import ctypes

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
