"""Pools of buffers of one size: reuse saves the zeroing and the page faults of fresh memory.

A task takes a block when it has much data to carry, and gives it back when the data has been sent
or copied. An idle connection holds none, and what a transfer touches stays in the CPU's cache.

The pool of the process (:data:`SHARED_BLOCKS`) has blocks of :data:`BLOCK` bytes: for packets that
wait to be sent and for the data of READs. A client's SFTP session has a pool of its own, whose
blocks hold one WRITE each.
"""

from __future__ import annotations

from nacre.limits import MIB

BLOCK = 1 * MIB
"""Bytes of a block that all connections of a process share."""

_KEPT = 4
"""Shared blocks that are kept: a process with more than that at work is not short of memory."""


class Block(bytearray):
    """Memory of a pool. The type tells it from all other memory."""

    __slots__ = ()


class BlockPool:
    """Keeps a few blocks for their next use.

    :ivar size: bytes of each block.
    """

    __slots__ = ("_most", "_spare", "size")

    def __init__(self, size: int, most: int) -> None:
        """Make blocks of ``size`` bytes; keep at most ``most`` of those that are given back."""
        self.size = size
        self._most = most
        self._spare: list[Block] = []

    def take(self) -> Block:
        """Return a block; it contains what its last user left in it."""
        try:
            return self._spare.pop()
        except IndexError:
            return Block(self.size)

    def give(self, memory: object) -> None:
        """Put a block back, unless a memoryview still refers to it; ignore any other memory."""
        if type(memory) is not Block or len(memory) != self.size or len(self._spare) >= self._most:
            return
        try:
            memory.pop()  # a bytearray refuses to change its size while a view of it exists
        except BufferError:
            return
        memory.append(0)
        self._spare.append(memory)


SHARED_BLOCKS = BlockPool(BLOCK, _KEPT)
"""The pool that all connections of this process share."""
