"""Worker processes on this machine, so that logins use more than one core."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

from nacre.errors import ConfigurationError
from nacre.fleet.tasks import FleetTask
from nacre.fleet.workers.pool import FleetWorker, FleetWorkers
from nacre.isolated import isolated, with_modules
from nacre.limits import KIB

LARGEST = 128 * 1024 * KIB
"""Bytes of a message between a worker and the run: a line of JSON."""

_MODULE = "nacre.fleet.workers.local_process"

_GOODBYE = 5.0
"""Seconds that a worker has to end."""


class LocalWorker(FleetWorker):
    """One process, at the other end of a socket."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        super().__init__()
        self.process = process
        self._reader = reader
        self._writer = writer
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, what: dict[str, Any]) -> LocalWorker:
        """Start it; see :meth:`FleetWorkers.start`."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *isolated(with_modules(f"from {_MODULE} import main; main({theirs.fileno()})")),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
        except BaseException:
            ours.close()
            raise
        reader, writer = await asyncio.open_connection(sock=ours, limit=LARGEST)
        worker = cls(process, reader, writer)
        worker.send(what)
        return worker

    def send(self, message: dict[str, Any]) -> None:
        """Send a line."""
        if self.alive:
            self._writer.write(json.dumps(message).encode() + b"\n")

    async def _listen(self) -> None:
        try:
            while line := await self._reader.readline():
                self.take(json.loads(line))
        except (OSError, ValueError, KeyError):
            pass  # it is broken: as if it had died
        finally:
            self._writer.close()
            self.died()

    async def end(self) -> None:
        """End it."""
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        await super().end()
        try:
            async with asyncio.timeout(_GOODBYE):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


class LocalWorkers(FleetWorkers):
    """Worker processes on this machine.

    :param count: how many there are.
    """

    def __init__(
        self, count: int, task: FleetTask, login: float, configuration: dict[str, Any]
    ) -> None:
        if count < 1:
            raise ConfigurationError(f"workers={count}: give at least 1")
        super().__init__(task, login, configuration)
        self._count = count

    async def start(self, what: dict[str, Any]) -> None:
        """Start them."""
        for _ in range(self._count):
            self.workers.append(await LocalWorker.start(what))
