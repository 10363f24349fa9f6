"""Pools of blocks: what is used again, and what must not be."""

from __future__ import annotations

import pytest

from nacre.wire.blocks import BLOCK, SHARED_BLOCKS, Block, BlockPool


@pytest.fixture
def pool() -> BlockPool:
    return BlockPool(1000, 4)


def test_a_block_is_used_again_with_what_is_in_it(pool: BlockPool) -> None:
    block = pool.take()
    assert len(block) == pool.size == 1000
    block[-1] = 0
    block[:5] = b"sent!"
    pool.give(block)
    again = pool.take()
    assert again is block
    assert (len(again), again[:5]) == (1000, b"sent!")
    assert pool.take() is not block


def test_a_block_that_a_view_refers_to_is_not_used_again(pool: BlockPool) -> None:
    block = pool.take()
    with memoryview(block)[10:20]:
        pool.give(block)
    assert len(block) == 1000
    assert pool.take() is not block
    pool.give(block)
    assert pool.take() is block


def test_other_memory_does_not_enter_the_pool(pool: BlockPool) -> None:
    for other in (None, b"bytes", bytearray(1000), bytes(1000), Block(1001), Block(999)):
        pool.give(other)
        assert pool.take() is not other


def test_a_pool_keeps_no_more_than_its_bound(pool: BlockPool) -> None:
    blocks = [pool.take() for _ in range(20)]
    for block in blocks:
        pool.give(block)
    again = [pool.take() for _ in range(20)]
    kept = [any(block is one for block in blocks) for one in again]
    assert kept == [True] * 4 + [False] * 16


def test_the_shared_pool_has_blocks_of_the_size_that_others_reckon_with() -> None:
    assert SHARED_BLOCKS.size == BLOCK
    assert len(SHARED_BLOCKS.take()) == BLOCK
