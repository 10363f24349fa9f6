"""A link of a fixed rate and a fixed delay between a client and a server, both ways shaped."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

PORTION = 64 * 1024


class Link:
    """Listens on ``port`` and carries what comes to a server and back.

    Octets leave at the rate of the link, and arrive half a round trip later. What a receiver does
    not take stays on the way, bounded; then the sender has to wait.
    """

    def __init__(self, target: int, rate: float, round_trip: float) -> None:
        self._target = target
        self._rate = rate
        self._delay = round_trip / 2
        self.port = 0

    async def serve(self, listening: threading.Event, stop: asyncio.Event) -> None:
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0, limit=PORTION)
        self.port = server.sockets[0].getsockname()[1]
        listening.set()
        async with server:
            await stop.wait()

    async def _carry(self, near: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        far, far_out = await asyncio.open_connection("127.0.0.1", self._target, limit=PORTION)
        # A task that is cancelled when the link is taken down says so aloud, unless it ends well.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(self._way(near, far_out), self._way(far, near_out))

    async def _way(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        under_way = int(2 * self._rate * self._delay / PORTION) + 2
        line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(under_way)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._enter(source, line))
            both.create_task(self._leave(line, sink))

    async def _enter(
        self, source: asyncio.StreamReader, line: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        now = asyncio.get_running_loop().time
        free_at = 0.0
        while True:
            try:
                octets = await source.read(PORTION)
            except ConnectionError:
                octets = b""
            free_at = max(free_at, now()) + len(octets) / self._rate
            await line.put((free_at + self._delay, octets))
            if not octets:
                return
            # Sleeps are coarse: as much as a millisecond and a half takes may go in at once.
            if (ahead := free_at - now()) > 0.0015:
                await asyncio.sleep(ahead)

    async def _leave(
        self, line: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter
    ) -> None:
        now = asyncio.get_running_loop().time
        with contextlib.suppress(ConnectionError):
            while True:
                due, octets = await line.get()
                if (left := due - now()) > 0:
                    await asyncio.sleep(left)
                if not octets:
                    break
                sink.write(octets)
                await sink.drain()
        sink.close()
        # Whoever still enters octets for a receiver that is gone must not wait for room.
        while octets:
            _, octets = await line.get()


@contextlib.contextmanager
def link(target: int, *, rate: float, round_trip: float) -> Iterator[int]:
    """Give the port of a link to the port ``target``, which runs in a thread of this process.

    :param rate: octets per second, each way.
    :param round_trip: seconds.
    """
    shaped = Link(target, rate, round_trip)
    listening, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    def work() -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(shaped.serve(listening, stop))
        finally:
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            loop.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    if not listening.wait(10):
        raise SystemExit("the link does not come up")
    try:
        yield shaped.port
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
