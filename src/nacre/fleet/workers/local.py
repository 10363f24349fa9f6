"""Attempts by worker processes, so that logins use more than one core.

The run stays in this process: it hands each host to the worker that has the fewest. A worker asks
before a task begins, and waits for the answer. So if it dies, it is known at which of its hosts the
task had begun: their verdict is ``unknown``, or another worker has them if the task is idempotent.
The others go to another worker in any case. Each host is handed on once.
"""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

from nacre.errors import ConfigurationError
from nacre.fleet.attempts import Begin
from nacre.fleet.hosts import FleetHost, host_object
from nacre.fleet.tasks import FleetTask, task_object
from nacre.fleet.verdicts import RUN, WAITING, FleetVerdict, of_object
from nacre.isolated import isolated, with_modules
from nacre.limits import KIB

LARGEST = 128 * 1024 * KIB
"""Bytes of a message between a worker and the run: a line of JSON."""

_MODULE = "nacre.fleet.workers.local_process"

_GOODBYE = 5.0
"""Seconds that a worker has to end."""


class _Order:
    """A host that a worker has.

    :ivar begun: whether the task may have begun there.
    """

    def __init__(self, begin: Begin) -> None:
        self.begin = begin
        self.begun = False
        self.done: asyncio.Future[FleetVerdict | None] = asyncio.Future()


class FleetWorker:
    """One worker process, as the run sees it.

    :ivar orders: the hosts that it has, by number.
    :ivar alive: whether it takes more.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.process = process
        self.orders: dict[int, _Order] = {}
        self.alive = True
        self._reader = reader
        self._writer = writer
        self._count = 0
        self._beginning: set[asyncio.Task[None]] = set()
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, what: dict[str, Any]) -> FleetWorker:
        """Start a worker.

        :param what: the task, the time of a login and the configuration, as values of JSON.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *isolated(with_modules(f"from {_MODULE} import main; main({theirs.fileno()})")),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        reader, writer = await asyncio.open_connection(sock=ours, limit=LARGEST)
        worker = cls(process, reader, writer)
        worker._send(what)
        return worker

    def _send(self, message: dict[str, Any]) -> None:
        if self.alive:
            self._writer.write(json.dumps(message).encode() + b"\n")

    async def attempt(
        self, host: FleetHost, seconds: float | None, begin: Begin
    ) -> tuple[FleetVerdict | None, bool]:
        """Have it try a host; return the verdict, or None if it died, and whether it had begun."""
        self._count += 1
        number, order = self._count, _Order(begin)
        self.orders[number] = order
        self._send({"number": number, "host": host_object(host), "seconds": seconds})
        try:
            return await order.done, order.begun
        except asyncio.CancelledError:
            self._send({"cancel": number})
            raise
        finally:
            del self.orders[number]

    async def _listen(self) -> None:
        try:
            while line := await self._reader.readline():
                self._take(json.loads(line))
        except (OSError, ValueError, KeyError):
            pass  # it is broken: as if it had died
        finally:
            self.alive = False
            self._writer.close()
            for order in self.orders.values():
                if not order.done.done():
                    order.done.set_result(None)

    def _take(self, message: dict[str, Any]) -> None:
        order = self.orders.get(message["number"])
        if order is None or order.done.done():
            return
        if "verdict" in message:
            order.done.set_result(of_object(message["verdict"]))
            return
        task = asyncio.create_task(self._begin(message["number"], order))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    async def _begin(self, number: int, order: _Order) -> None:
        try:
            await order.begin()
        except Exception as error:
            if not order.done.done():
                order.done.set_exception(error)
            return
        # It may have died meanwhile: without this answer it does not begin.
        order.begun = self.alive
        self._send({"begin": number})

    async def end(self) -> None:
        """End it."""
        self._listening.cancel()
        for task in self._beginning:
            task.cancel()
        await asyncio.gather(self._listening, *self._beginning, return_exceptions=True)
        try:
            async with asyncio.timeout(_GOODBYE):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


class FleetWorkers:
    """Worker processes, to be used with ``async with``. A call is one attempt at a host.

    :param count: how many there are.
    :param login: seconds for a login.
    :param configuration: how to log in: ``config``, the name of a file or None, and ``keywords``.
    """

    def __init__(
        self, count: int, task: FleetTask, login: float, configuration: dict[str, Any]
    ) -> None:
        if count < 1:
            raise ConfigurationError(f"workers={count}: give at least 1")
        self._count = count
        self._again = task.idempotent
        self._what = {"task": task_object(task), "login": login, **configuration}
        self.workers: list[FleetWorker] = []

    async def __aenter__(self) -> FleetWorkers:
        try:
            for _ in range(self._count):
                self.workers.append(await FleetWorker.start(self._what))
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await asyncio.gather(*(worker.end() for worker in self.workers))

    async def __call__(self, host: FleetHost, seconds: float | None, begin: Begin) -> FleetVerdict:
        """Have the worker with the fewest hosts try it, and another one if that dies."""
        begun = False
        for _ in range(2):
            alive = [worker for worker in self.workers if worker.alive]
            if not alive:
                break
            worker = min(alive, key=lambda one: len(one.orders))
            verdict, started = await worker.attempt(host, seconds, begin)
            if verdict is not None:
                return verdict
            begun |= started
            if begun and not self._again:
                break
        if begun:
            return FleetVerdict(host.name, "unknown", RUN, reason="its worker process has died")
        return FleetVerdict(host.name, "refused", WAITING, reason="the worker processes have died")
