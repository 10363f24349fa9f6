"""Keystrokes at fixed intervals, so that an eavesdropper can't tell what is typed from its times.

As in OpenSSH (ObscureKeystrokeTiming of ssh_config(5)): while the user types, packets leave on a
grid of some milliseconds. Where there is no keystroke for a place of the grid, a PING of the same
size takes it, for a second or more after the last keystroke.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from nacre.errors import StreamClosed
from nacre.wire.codec import Buffer

_LARGEST = 256
"""Bytes that are keystrokes at once: more was pasted, or is the output of a program."""

_TAIL = (1.024, 3.072)
"""Seconds of PINGs after the last keystroke, the least and the most."""

Write: TypeAlias = Callable[[Buffer], Awaitable[None]]


class Keystrokes:
    """Sends what the user types on the grid.

    :param write: sends bytes to the remote process.
    :param chaff: sends a PING.
    :param interval: seconds between two packets.
    """

    # _pending  what waits for its place on the grid.
    # _until    the loop's time at which the PINGs end.
    # _running  the task that sends on the grid, while it is in use.

    def __init__(self, write: Write, chaff: Callable[[], None], interval: float) -> None:
        self._write = write
        self._chaff = chaff
        self._interval = interval
        self._pending = bytearray()
        self._until = 0.0
        self._running: asyncio.Task[None] | None = None

    async def send(self, data: Buffer) -> None:
        """Send input now if it is the first, or much; otherwise at the next place on the grid.

        :raises StreamClosed: the process takes no more input.
        """
        if len(data) > _LARGEST:
            await self.flush()
            await self._write(data)
            return
        self._until = asyncio.get_running_loop().time() + random.uniform(*_TAIL)
        if self._running is None:
            self._running = asyncio.create_task(self._run())
            await self._write(data)
        elif self._running.done():
            await self.flush()
            await self._write(data)
        else:
            self._pending += data

    async def flush(self) -> None:
        """Leave the grid, and send what waits for it.

        :raises StreamClosed: the process takes no more input.
        """
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        if self._pending:
            data, self._pending = bytes(self._pending), bytearray()
            await self._write(data)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        place = loop.time()
        while True:
            place = max(place + self._interval, loop.time())
            await asyncio.sleep(place - loop.time())
            if self._pending:
                data = bytes(self._pending)
                self._pending.clear()
                try:
                    await self._write(data)
                except StreamClosed:
                    return
            elif loop.time() < self._until:
                self._chaff()
            else:
                self._running = None
                return
