"""The connections of all nodes: this server knows its own, the store has those of others."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from nacre.daemon.control.roster import Listing, Roster
from nacre.daemon.control.values import Connected, ControlError, Killed
from nacre.daemon.nodes import tables
from nacre.daemon.nodes.values import NodeIdentity
from nacre.daemon.watching.frames import WatchOrder
from nacre.errors import StateError
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.daemon.store.postgres.store_url import StoreURL

T = TypeVar("T")

PATIENCE = 5.0
"""Seconds that the database has for an answer."""


class NodesRoster:
    """The connections of this server and of all others of the store.

    That of another node has the name of the node and a colon before its number. The database tells
    neither what these do nor which of their clients log in.

    :param own: those of this server.
    :param node: this server.
    """

    def __init__(self, own: Roster, url: StoreURL, node: NodeIdentity) -> None:
        self._own = own
        self._url = url
        self._node = node
        # Another thread than the loop's, which a database that is gone would hold up.
        self._threads = ThreadPoolExecutor(1, "nodes")

    async def _ask(self, question: Callable[[tables.DatabaseConnection], T]) -> T:
        """Return an answer of the database.

        :raises StateError: there is none.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(2 * PATIENCE):
                return await loop.run_in_executor(self._threads, self._asked, question)
        except TimeoutError:
            raise StateError("the store gives no answer") from None

    def _asked(self, question: Callable[[tables.DatabaseConnection], T]) -> T:
        with tables.node_tables(self._url, seconds=PATIENCE) as connection:
            return question(connection)

    async def connections(self) -> Listing:
        """Return all, of other nodes those whose users are logged in.

        The store counts as one that is silent if it gives no answer.
        """
        own = await self._own.connections()
        found = [replace(one, node=self._node.name) for one in own.connections]
        silent = own.silent
        try:
            rows = await self._ask(partial(tables.others, server=self._node.server))
        except StateError:
            return Listing(found, silent + 1)
        for name, process, one in rows:
            found.append(
                Connected(
                    id=f"{name}:{one.id}",
                    user=safe(one.user),
                    state="open",
                    peer=safe(one.peer),
                    since=one.since,
                    methods=one.methods,
                    process=process,
                    details=None,
                    node=name,
                )
            )
        return Listing(found, silent)

    async def end(self, ids: Collection[str], user: str | None, reason: str) -> list[Killed]:
        """End the connections with these numbers, and those of a user who is logged in.

        :raises ControlError: those of other nodes can't be ended.
        """
        prefix = f"{self._node.name}:"
        asked = {one.removeprefix(prefix): one for one in ids}
        ended = [
            replace(one, id=asked.get(one.id, one.id))
            for one in await self._own.end(asked.keys(), user, reason)
        ]
        elsewhere = [one for one in ids if ":" in one]
        if not elsewhere and user is None:
            return ended
        try:
            told = await self._ask(
                partial(
                    tables.end_others,
                    server=self._node.server,
                    ids=elsewhere,
                    user=user,
                    reason=reason,
                )
            )
        except StateError as error:
            raise ControlError(
                f"the connections of this server are ended, and not those of others: {error}"
            ) from None
        return [*ended, *(Killed(id=number, user=safe(whose)) for number, whose in told)]

    async def watch(self, order: WatchOrder, sock: socket.socket) -> bool:
        """Have a session of this server shown over a socket; tell whether its connection is here.

        :raises ControlError: it is another server's, or has no sessions.
        """
        prefix = f"{self._node.name}:"
        if await self._own.watch(replace(order, id=order.id.removeprefix(prefix)), sock):
            return True
        node, colon, _ = order.id.partition(":")
        if colon and node != self._node.name:
            raise ControlError(f"its node shows it: use nacre watch on {safe(node, 64)}")
        return False
