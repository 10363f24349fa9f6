"""The memory that the connections of a loop read into."""

from __future__ import annotations

import asyncio
from typing import Protocol
from weakref import WeakKeyDictionary

from nacre.limits import KIB, MIB

RECEIVE = 1 * MIB
"""Bytes one read of an authenticated connection takes: big reads are what makes it fast."""

RECEIVE_UNAUTHENTICATED = 32 * KIB
"""Bytes one read of any other connection takes: what the engine may have to hold of it."""


class Tenant(Protocol):
    """Who left something at the memory's front, to have what follows it read behind it."""

    def vacate(self) -> None:
        """Take away what is there: somebody else reads now."""


class ReceiveBuffer:
    """Memory to read into.

    A selector loop asks for memory, fills it and hands it over in one go, so all its connections
    share one piece. What a connection can't use yet, the beginning of a packet, may stay at its
    front until somebody else reads. Any other loop may read while another connection does.

    :ivar shared: whether the loop's connections share this one.
    :ivar tenant: who left something in it, or None.
    :ivar view: all of it.
    """

    __slots__ = ("shared", "tenant", "view")

    def __init__(self, size: int, *, shared: bool) -> None:
        self.shared = shared
        self.tenant: Tenant | None = None
        self.view = memoryview(bytearray(size))

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> ReceiveBuffer:
        """Return what a new connection of ``loop`` reads into."""
        if not isinstance(loop, asyncio.SelectorEventLoop):
            return cls(2 * RECEIVE_UNAUTHENTICATED, shared=False)
        if (buffer := _shared.get(loop)) is None:
            buffer = _shared[loop] = cls(RECEIVE, shared=True)
            # glibc learns from it what to keep of freed memory, unless it was told (mallopt(3)).
            # What it gives back to the system comes again page by page, for every packet of a
            # transfer.
            bytes(2 * RECEIVE)
        return buffer

    def claim(self, reader: Tenant | None) -> memoryview:
        """Return all of it for a read; what others left there is theirs no more."""
        if self.tenant is not None and self.tenant is not reader:
            tenant, self.tenant = self.tenant, None
            tenant.vacate()
        return self.view


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, ReceiveBuffer] = WeakKeyDictionary()
