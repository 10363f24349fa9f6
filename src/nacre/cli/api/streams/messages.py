"""What the client of a WebSocket says, one message at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from nacre.cli.api.pipe import LONGEST_MESSAGE


class CallMessages:
    """The messages of a call. A further one may come when the one before was taken.

    :param taken: tells the process that has read it that a message was taken.
    """

    def __init__(self, taken: Callable[[], Awaitable[None]]) -> None:
        self._taken = taken
        self._next: asyncio.Queue[str] = asyncio.Queue(1)
        self._used = self._busy = False

    def put(self, text: str) -> bool:
        """Take a message; tell whether it may come."""
        if self._busy or len(text.encode("utf-8", "surrogatepass")) > LONGEST_MESSAGE:
            return False
        self._busy = self._used = True
        self._next.put_nowait(text)
        return True

    def take_used(self) -> bool:
        """Tell whether a message has come since this was asked last."""
        used, self._used = self._used, False
        return used

    async def __aiter__(self) -> AsyncIterator[str]:
        while True:
            yield await self._next.get()
            self._busy = False
            await self._taken()
