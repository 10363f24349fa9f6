"""Blocks of memory: who gets one again, and who must not."""

from __future__ import annotations

import pytest

from nacre.wire import blocks as memory
from nacre.wire.blocks import BLOCK, give_block, take_block


@pytest.fixture(autouse=True)
def spare(monkeypatch: pytest.MonkeyPatch) -> list[bytearray]:
    blocks: list[bytearray] = []
    monkeypatch.setattr(memory, "_spare", blocks)
    return blocks


def test_a_block_is_used_again_as_it_is() -> None:
    block = take_block()
    assert len(block) == BLOCK
    block[-1] = 0
    block[:5] = b"sent!"
    give_block(block)
    again = take_block()
    assert again is block
    assert (len(again), again[:5]) == (BLOCK, b"sent!")
    assert take_block() is not block


def test_a_block_that_somebody_looks_at_is_not(spare: list[bytearray]) -> None:
    block = take_block()
    with memoryview(block)[10:20]:
        give_block(block)
    assert spare == []
    give_block(block)
    assert len(spare) == 1


def test_other_memory_goes_its_own_way(spare: list[bytearray]) -> None:
    for other in (None, b"bytes", bytearray(10), bytes(BLOCK), bytearray(BLOCK + 1)):
        give_block(other)
    assert spare == []


def test_a_process_keeps_but_a_few(spare: list[bytearray]) -> None:
    for block in [take_block() for _ in range(20)]:
        give_block(block)
    assert 0 < len(spare) <= 4
