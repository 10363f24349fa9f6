"""What an app prints, on its way from the app's thread to the client."""

from __future__ import annotations

import asyncio
import threading
from typing import Protocol

from nacre.errors import StreamClosed
from nacre.limits import KIB

UNSENT = 256 * KIB
"""Bytes that wait for a client, beyond which the app's thread waits for the client."""


class ByteSink(Protocol):
    """The stream to the client, such as :class:`nacre.Writer`."""

    async def write(self, data: bytes, /) -> None:
        """Send all of ``data``."""


class AppOutput:
    """A bounded queue: the app's thread writes to it, and the server's event loop sends from it.

    Make it on the server's event loop.

    :param unsent: bytes that may wait; one write may exceed them.
    """

    # _changed  guards what follows, and wakes the thread that waits for room.
    # _told     whether the sending task was told of what is there.

    def __init__(self, unsent: int = UNSENT) -> None:
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self._unsent = unsent
        self._changed = threading.Condition()
        self._waiting: list[bytes] = []
        self._size = 0
        self._ended = False
        self._told = False

    def write(self, text: str) -> None:
        """Queue text; wait while too much is there. Only the app's thread calls it.

        :raises StreamClosed: the client is gone.
        """
        data = text.encode(errors="replace")
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._size < self._unsent)
            if self._ended:
                raise StreamClosed("the client takes no more of what this app prints")
            self._waiting.append(data)
            self._size += len(data)
            told, self._told = self._told, True
        if not told:
            self._tell()

    def end(self, *, drop: bool = False) -> None:
        """Take no more; :meth:`send` returns when it has sent what is there. Any thread may call.

        :param drop: whether what waits is dropped: the client is gone.
        """
        with self._changed:
            self._ended = True
            if drop:
                self._waiting.clear()
                self._size = 0
            self._changed.notify_all()
        self._tell()

    def _tell(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._arrived.set)
        except RuntimeError:  # the server's event loop is closed, and nobody sends any more
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    async def send(self, sink: ByteSink) -> None:
        """Send all that is written, up to the end.

        :raises nacre.errors.NacreError: the client takes no more.
        """
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while data := self._take():
                await sink.write(data)
                self._sent(len(data))
            if self._ended:
                return

    def _take(self) -> bytes:
        with self._changed:
            data = b"".join(self._waiting)
            self._waiting.clear()
            self._told = False
            return data

    def _sent(self, size: int) -> None:
        with self._changed:
            self._size = max(self._size - size, 0)
            self._changed.notify_all()
