"""Attempts by workers: what the run does, whichever way it reaches them.

The run stays in this process: it hands each host to the worker that has the fewest. A worker asks
before a task begins, and waits for the answer. So if it dies, it is known at which of its hosts the
task had begun: their verdict is ``unknown``, or another worker has them if the task is idempotent.
The others go to another worker in any case. Each host is handed on once.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

from nacre.fleet.attempts import Begin
from nacre.fleet.hosts import FleetHost, host_object
from nacre.fleet.tasks import FleetTask, task_object
from nacre.fleet.verdicts import RUN, WAITING, FleetVerdict, of_object


class _Order:
    """A host that a worker has.

    :ivar begun: whether the task may have begun there.
    """

    def __init__(self, begin: Begin) -> None:
        self.begin = begin
        self.begun = False
        self.done: asyncio.Future[FleetVerdict | None] = asyncio.Future()


class FleetWorker(ABC):
    """A worker, as the run sees it. What brings its messages calls :meth:`take`.

    :ivar orders: the hosts that it has, by number.
    :ivar alive: whether it takes more.
    """

    def __init__(self) -> None:
        self.orders: dict[int, _Order] = {}
        self.alive = True
        self._count = 0
        self._beginning: set[asyncio.Task[None]] = set()

    @abstractmethod
    def send(self, message: dict[str, Any]) -> None:
        """Send a message, as values of JSON, unless the worker has died."""

    async def attempt(
        self, host: FleetHost, seconds: float | None, begin: Begin
    ) -> tuple[FleetVerdict | None, bool]:
        """Have it try a host; return the verdict, or None if it died, and whether it had begun."""
        self._count += 1
        number, order = self._count, _Order(begin)
        self.orders[number] = order
        self.send({"number": number, "host": host_object(host), "seconds": seconds})
        try:
            return await order.done, order.begun
        except asyncio.CancelledError:
            self.send({"cancel": number})
            raise
        finally:
            del self.orders[number]

    def take(self, message: Mapping[str, Any]) -> None:
        """Take a message of the worker: that a task is to begin, or a verdict.

        :raises KeyError: it is neither.
        """
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
        self.send({"begin": number})

    def died(self) -> None:
        """Note that it takes no more, and has no verdicts for the hosts that it has."""
        self.alive = False
        for order in self.orders.values():
            if not order.done.done():
                order.done.set_result(None)

    async def end(self) -> None:
        """End it."""
        for task in self._beginning:
            task.cancel()
        await asyncio.gather(*self._beginning, return_exceptions=True)


class FleetWorkers(ABC):
    """Workers, to be used with ``async with``. A call is one attempt at a host.

    :param login: seconds for a login.
    :param configuration: how to log in: ``config``, the name of a file or None, and ``keywords``.
    :ivar workers: those that were started.
    """

    def __init__(self, task: FleetTask, login: float, configuration: dict[str, Any]) -> None:
        self._again = task.idempotent
        self._what = {"task": task_object(task), "login": login, **configuration}
        self.workers: list[FleetWorker] = []

    @abstractmethod
    async def start(self, what: dict[str, Any]) -> None:
        """Start the workers.

        :param what: the task, the time of a login and the configuration, as values of JSON.
        """

    async def __aenter__(self) -> Self:
        try:
            await self.start(self._what)
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
