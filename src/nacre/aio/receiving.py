"""The memory that the connections of a loop read into."""

from __future__ import annotations

import asyncio
from typing import Protocol
from weakref import ReferenceType, WeakKeyDictionary

from nacre.limits import KIB, MIB

RECEIVE = 1 * MIB
"""Bytes per read of an authenticated connection: large reads make it fast."""

RECEIVE_UNAUTHENTICATED = 32 * KIB
"""Bytes per read of any other connection: the engine may have to hold as many."""


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

    def __init__(self, size: int, *, shared: bool) -> None:
        self.shared = shared
        self.tenant: ReferenceType[Tenant] | None = None
        self.view = memoryview(bytearray(size))

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> ReceiveBuffer:
        """Return the buffer for a new connection of ``loop``."""
        if not isinstance(loop, asyncio.SelectorEventLoop):
            return cls(2 * RECEIVE_UNAUTHENTICATED, shared=False)
        if (buffer := _shared.get(loop)) is None:
            buffer = _shared[loop] = cls(RECEIVE, shared=True)
            # Freeing this raises glibc's threshold for memory that it keeps (M_MMAP_THRESHOLD in
            # mallopt(3)). Memory it returns to the system costs page faults again for every
            # packet of a transfer.
            bytes(2 * RECEIVE)
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
