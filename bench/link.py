"""A link of a fixed rate and a fixed delay between a client and a server, both ways shaped."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

PORTION = 128 * 1024
CREDIT = 0.005
"""Seconds that the link may be behind its rate and catch up: sleeps are coarse, and what they take
too long would be lost to the rate otherwise."""


class Link:
    """Listens on ``port`` and carries what comes to a server and back.

    Bytes leave at the rate of the link, and arrive half a round trip later. What a receiver does
    not take stays on the way, bounded; then the sender has to wait.
    """

    def __init__(self, target: int, rate: float, round_trip: float) -> None:
        self._target = target
        self._rate = rate
        self._delay = round_trip / 2
        self.port = 0

    async def serve(self, listening: threading.Event, stop: asyncio.Event) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            self.port = listener.getsockname()[1]
            listening.set()
            accepting = asyncio.create_task(self._accept(listener))
            await stop.wait()
            accepting.cancel()

    async def _accept(self, listener: socket.socket) -> None:
        carried = set()
        while True:
            near, _ = await asyncio.get_running_loop().sock_accept(listener)
            carried.add(asyncio.create_task(self._carry(near)))

    async def _carry(self, near: socket.socket) -> None:
        with near, socket.create_connection(("127.0.0.1", self._target)) as far:
            for end in (near, far):
                end.setblocking(False)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._way(near, far))
                both.create_task(self._way(far, near))

    async def _way(self, source: socket.socket, sink: socket.socket) -> None:
        under_way = int(2 * self._rate * self._delay / PORTION) + 2
        line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(under_way)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._enter(source, line))
            both.create_task(self._leave(line, sink))

    async def _enter(self, source: socket.socket, line: asyncio.Queue[tuple[float, bytes]]) -> None:
        loop = asyncio.get_running_loop()
        free_at = 0.0
        while True:
            try:
                data = await loop.sock_recv(source, PORTION)
            except ConnectionError:
                data = b""
            now = loop.time()
            free_at = max(free_at, now - CREDIT) + len(data) / self._rate
            await line.put((max(free_at, now) + self._delay, data))
            if not data:
                return
            if (ahead := free_at - loop.time()) > CREDIT / 4:
                await asyncio.sleep(ahead)

    async def _leave(self, line: asyncio.Queue[tuple[float, bytes]], sink: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        data = b"none yet"
        with contextlib.suppress(OSError):
            while data:
                due, data = await line.get()
                if (left := due - loop.time()) > 0:
                    await asyncio.sleep(left)
                await loop.sock_sendall(sink, data)
            sink.shutdown(socket.SHUT_WR)
        # Whoever still enters bytes for a receiver that is gone must not wait for room.
        while data:
            _, data = await line.get()


@contextlib.contextmanager
def link(target: int, *, rate: float, round_trip: float) -> Iterator[int]:
    """Give the port of a link to the port ``target``, which runs in a thread of this process.

    :param rate: bytes per second, each way.
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
