"""A process that serves with a shared store, with clients that a test makes up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any

from nacre.daemon.control.values import Killed
from nacre.daemon.nodes.lease import NodeLease
from nacre.daemon.nodes.values import NodeIdentity
from nacre.daemon.store.postgres.store_url import StoreURL


class MadeUpClient:
    """A client whose connection a test ends."""

    def __init__(self, number: int, user: str = "alice") -> None:
        self.id, self.user = number, user
        self.peer = "192.0.2.1", 40000
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def leave(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class MadeUpServer:
    """What a lease has of its process."""

    def __init__(self) -> None:
        self.ended: list[tuple[set[str], str]] = []
        self.heard = asyncio.Event()
        self.log: list[Mapping[str, object]] = []

    def number_of(self, client: MadeUpClient) -> str:
        return f"1.{client.id}"

    async def end(self, ids: Collection[str], user: str | None, reason: str) -> list[Killed]:
        self.ended.append((set(ids), reason))
        self.heard.set()
        return []


@asynccontextmanager
async def leased(url: StoreURL, name: str = "web1") -> AsyncIterator[tuple[Any, MadeUpServer]]:
    """Keep the lease of a process."""
    server: Any = MadeUpServer()
    lease = NodeLease(url, NodeIdentity(name, f"server-of-{name}"))
    lease.begin(server, server.log.append)
    try:
        yield lease, server
    finally:
        lease.close()
