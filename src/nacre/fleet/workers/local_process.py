"""The program of a worker, which :class:`~nacre.fleet.workers.local.FleetWorker` starts.

It reads lines of JSON from a socket: first what to do, then hosts. It ends when the socket does.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from nacre.config.client.files import Config
from nacre.fleet.attempts import Attempts
from nacre.fleet.hosts import FleetHost
from nacre.fleet.tasks import of_task_object
from nacre.fleet.verdicts import as_object
from nacre.fleet.workers.local import LARGEST


class WorkerProcess:
    """The worker, in its own process."""

    def __init__(self, attempts: Attempts, writer: asyncio.StreamWriter) -> None:
        self._attempts = attempts
        self._writer = writer
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

    def _send(self, message: dict[str, Any]) -> None:
        self._writer.write(json.dumps(message).encode() + b"\n")

    async def end(self) -> None:
        """End what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def serve(sock: socket.socket) -> None:
    """Work until the run ends the socket."""
    reader, writer = await asyncio.open_connection(sock=sock, limit=LARGEST)
    worker: WorkerProcess | None = None
    try:
        while line := await reader.readline():
            message = json.loads(line)
            if worker is None:
                worker = _made(message, writer)
            else:
                worker.take(message)
    except ConnectionError:
        pass
    finally:
        if worker is not None:
            await worker.end()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def _made(what: Mapping[str, Any], writer: asyncio.StreamWriter) -> WorkerProcess:
    options = {"config": Config.load(what["config"], what["keywords"])}
    return WorkerProcess(Attempts(of_task_object(what["task"]), what["login"], options), writer)


def main(descriptor: int) -> None:
    """Run as a worker.

    :param descriptor: of the socket.
    """
    asyncio.run(serve(socket.socket(fileno=descriptor)))
