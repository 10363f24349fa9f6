"""The memory that the connections of a loop read into."""

from __future__ import annotations

import asyncio
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from typing import Protocol
from weakref import ReferenceType, WeakKeyDictionary

from nacre.limits import KIB, MIB

RECEIVE = 1 * MIB
"""Bytes per read of an authenticated connection: large reads make it fast."""

RECEIVE_UNAUTHENTICATED = 32 * KIB
"""Bytes per read of any other connection: the engine may have to hold as many."""

_OFFSET = 2 * KIB
"""Where the shared buffer begins in its first page.

Processors that copy by `rep movsb` take twice as long where the destination is 1 to 15 bytes ahead
of the source, modulo the size of a page. What a program has written often lies at the beginning of
a page of the kernel's, or a few bytes behind that; memory that malloc maps begins at 16.
"""


class Tenant(Protocol):
    """A reader that left an incomplete packet at the buffer's front, to read its rest behind it."""

    def vacate(self) -> None:
        """Take the bytes out of the buffer: another connection reads now."""


class ReceiveBuffer:
    """Memory to read into.

    A selector loop asks for memory, fills it and hands it over without running anything else, so
    all its connections share one buffer. A connection may leave the beginning of a packet at its
    front until another connection reads. Other loops may read for several connections at once, so
    there each connection has a buffer of its own.

    :ivar shared: whether the loop's connections share this one.
    :ivar tenant: a reference to the connection that left bytes in it, or None. It is weak: the
        connection knows its loop, and a loop must not be kept by its own buffer.
    :ivar view: all of it.
    """

    __slots__ = ("shared", "tenant", "view")

    def __init__(self, view: memoryview, *, shared: bool) -> None:
        self.shared = shared
        self.tenant: ReferenceType[Tenant] | None = None
        self.view = view

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> ReceiveBuffer:
        """Return the buffer for a new connection of ``loop``."""
        if not isinstance(loop, asyncio.SelectorEventLoop):
            return cls(memoryview(bytearray(2 * RECEIVE_UNAUTHENTICATED)), shared=False)
        if (buffer := _shared.get(loop)) is None:
            buffer = _shared[loop] = cls(_of_a_closed_loop() or _new(), shared=True)
        return buffer

    def claim(self, reader: Tenant | None) -> memoryview:
        """Return all of it for a read, after the tenant, if it is another one, took its bytes."""
        if self.tenant is not None and (tenant := self.tenant()) is not reader:
            self.tenant = None
            if tenant is not None:
                tenant.vacate()
        return self.view

    def leave(self, reader: Tenant) -> None:
        """Forget what ``reader`` has left in it, if it is the tenant."""
        if self.tenant is not None and self.tenant() is reader:
            self.tenant = None


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, ReceiveBuffer] = WeakKeyDictionary()


def _of_a_closed_loop() -> memoryview | None:
    """Take the memory of a loop that reads no more, or return None.

    Connections are cycles, so a closed loop lives on until the collector runs: in a program that
    calls ``asyncio.run`` again and again, one of them and its memory for each call.
    """
    for reference in _shared.keyrefs():
        loop = reference()
        if loop is not None and loop.is_closed() and (left := _shared.pop(loop, None)) is not None:
            view, left.view = left.view, memoryview(b"")
            return view
    return None


def _new() -> memoryview:
    # Pages of its own: those that no read has filled take no memory. A forked child has a copy.
    pages = mmap(-1, _OFFSET + RECEIVE, MAP_PRIVATE | MAP_ANONYMOUS)
    view = memoryview(pages)[_OFFSET:]
    # Freeing this raises glibc's threshold for memory that it keeps (M_MMAP_THRESHOLD in
    # mallopt(3)). Memory it returns to the system costs page faults again for every packet of a
    # transfer.
    bytes(2 * RECEIVE)
    return view
