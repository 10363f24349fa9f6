"""The other side of a worker: it makes attempts, and says how they go by messages.

A message is values of JSON. The run sends ``{"number", "host", "seconds"}``, then
``{"begin": number}`` and perhaps ``{"cancel": number}``; the worker sends ``{"number"}`` when the
task is to begin, and ``{"number", "verdict"}`` at its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from nacre.config.client.files import Config
from nacre.fleet.attempts import Attempts
from nacre.fleet.hosts import FleetHost
from nacre.fleet.tasks import of_task_object
from nacre.fleet.verdicts import as_object

Send: TypeAlias = Callable[[dict[str, Any]], None]


class AttemptingWorker:
    """The worker, in its own process.

    :param what: the task, the time of a login and the configuration, as values of JSON.
    :param send: sends a message to the run.
    :raises ConfigurationError: the configuration can't be read.
    """

    def __init__(self, what: Mapping[str, Any], send: Send) -> None:
        options = {"config": Config.load(what["config"], what["keywords"])}
        self._attempts = Attempts(of_task_object(what["task"]), what["login"], options)
        self._send = send
        self._allowed: dict[int, asyncio.Event] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def take(self, message: Mapping[str, Any]) -> None:
        """Take a message of the run: a host, the answer that a task may begin, or an end."""
        if "begin" in message:
            if (allowed := self._allowed.get(message["begin"])) is not None:
                allowed.set()
        elif "cancel" in message:
            if (task := self._tasks.get(message["cancel"])) is not None:
                task.cancel()
        else:
            number = message["number"]
            self._tasks[number] = asyncio.create_task(
                self._work(number, FleetHost(**message["host"]), message["seconds"])
            )

    async def _work(self, number: int, host: FleetHost, seconds: float | None) -> None:
        allowed = self._allowed[number] = asyncio.Event()

        async def begin() -> None:
            self._send({"number": number})
            await allowed.wait()

        try:
            verdict = await self._attempts(host, seconds, begin)
            self._send({"number": number, "verdict": as_object(verdict)})
        finally:
            del self._allowed[number], self._tasks[number]

    async def end(self) -> None:
        """End what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
