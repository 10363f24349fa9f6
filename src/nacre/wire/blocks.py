"""Memory for much data, used again: what is new is cleared first, and comes page by page.

Whoever has much to carry takes a block, and gives it back when nobody needs what is in it. So it
belongs to nobody who is idle, and what a transfer touches stays in the processor's cache.
"""

from __future__ import annotations

from nacre.limits import MIB

BLOCK = 1 * MIB
"""Bytes of a block."""

_KEPT = 4

_spare: list[bytearray] = []


def take_block() -> bytearray:
    """Return a block; what is in it is left from its last use."""
    try:
        return _spare.pop()
    except IndexError:
        return bytearray(BLOCK)


def give_block(memory: object) -> None:
    """Let a block be used again, unless a view of it lives; other memory goes its own way."""
    if isinstance(memory, bytearray) and len(memory) == BLOCK and len(_spare) < _KEPT:
        try:
            # Refused while there is a view: whoever has it may still read it.
            memory.pop()
        except BufferError:
            return
        memory.append(0)
        _spare.append(memory)
