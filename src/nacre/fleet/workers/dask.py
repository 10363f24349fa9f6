"""Workers on other machines: those of a cluster of Dask (extra ``dask``).

The run calls functions of dask_worker.py at each worker, through the scheduler: one that brings
messages, and one that waits for some. These calls are no tasks of Dask, which would do them again
at another worker where one dies. A call that fails says that the worker is lost, and is not
repeated, so it is known of each host whether the task may have begun there.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from nacre._version import __version__
from nacre.errors import ConfigurationError
from nacre.fleet.tasks import FleetTask
from nacre.fleet.workers import dask_worker
from nacre.fleet.workers.pool import FleetWorker, FleetWorkers

SCHEMES = {"dask": "tcp", "dask+tls": "tls"}
"""The schemes of addresses, and those that Dask has for them."""

_PORT = 8786
_REACHED = 10.0
"""Seconds for the connection to the scheduler."""

_GOODBYE = 5.0
"""Seconds that a worker has to end its part of a run."""


class DaskWorker(FleetWorker):
    """One worker of the cluster.

    :param call: calls a function at the worker, with the run and further arguments.
    """

    def __init__(self, call: Callable[..., Any]) -> None:
        super().__init__()
        self._call = call
        self._outgoing: list[dict[str, Any]] = []
        self._ready = asyncio.Event()
        self._carrying = [
            asyncio.create_task(self._carry(work)) for work in (self._bring, self._fetch)
        ]

    def send(self, message: dict[str, Any]) -> None:
        """Send it with others that wait."""
        if self.alive:
            self._outgoing.append(message)
            self._ready.set()

    async def _carry(self, work: Callable[[], Any]) -> None:
        try:
            while self.alive:
                await work()
        except Exception:
            pass  # whatever it was: it is not repeated, and the worker is given up
        finally:
            self.died()
            self._ready.set()

    async def _bring(self) -> None:
        await self._ready.wait()
        self._ready.clear()
        messages, self._outgoing = self._outgoing, []
        if messages:
            await self._call(dask_worker.bring, messages)

    async def _fetch(self) -> None:
        for message in await self._call(dask_worker.fetch):
            self.take(message)

    async def end(self) -> None:
        """End its part of the run."""
        reachable = self.alive
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)
        await super().end()
        if reachable:
            with suppress(Exception):
                async with asyncio.timeout(_GOODBYE):
                    await self._call(dask_worker.close)


class DaskWorkers(FleetWorkers):
    """The workers that a cluster has when the run begins.

    :param address: ``dask://HOST:PORT`` of the scheduler, or ``dask+tls://`` with the keys and
        certificates of Dask's own configuration.
    """

    def __init__(
        self, address: str, task: FleetTask, login: float, configuration: dict[str, Any]
    ) -> None:
        super().__init__(task, login, configuration)
        self._address = scheduler_of(address)
        self._client: Any = None

    async def start(self, what: dict[str, Any]) -> None:
        """Begin the run at each of them.

        :raises ConfigurationError: the scheduler can't be reached, there is no worker, or one has
            another version of nacre or can't do it.
        """
        try:
            from distributed import Client
        except ImportError as error:
            raise ConfigurationError(
                "the engine dask:// needs the extra dask: pip install 'nacre[dask]'"
            ) from error
        run = secrets.token_hex(16)
        self._client = Client(
            self._address, asynchronous=True, timeout=_REACHED, set_as_default=False
        )
        try:
            await self._client
            begin = {**what, "version": __version__}
            opened = await self._client.run(dask_worker.begin, run, begin)
        except Exception as error:
            raise ConfigurationError(
                f"the run can't begin at the workers of {self._address}: {error}"
            ) from error
        if not opened:
            raise ConfigurationError(f"the scheduler at {self._address} has no workers")
        for worker in opened:
            self.workers.append(DaskWorker(self._caller(worker, run)))

    def _caller(self, worker: str, run: str) -> Callable[..., Any]:
        async def call(function: Callable[..., Any], *arguments: Any) -> Any:
            found = await self._client.run(function, run, *arguments, workers=[worker])
            return found[worker]

        return call

    async def __aexit__(self, *error: object) -> None:
        await super().__aexit__(*error)
        if self._client is not None:
            await self._client.close()


def scheduler_of(address: str) -> str:
    """Return the address of a scheduler as Dask writes it.

    :raises ConfigurationError: it is none.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port or _PORT
    except ValueError as error:
        raise ConfigurationError(f"the engine {address}: {error}") from error
    if parts.scheme not in SCHEMES or not host or parts.path.strip("/"):
        raise ConfigurationError(
            f"the engine {address} is none: write dask://HOST:PORT, or dask+tls://HOST:PORT"
        )
    shown = f"[{host}]" if ":" in host else host
    return f"{SCHEMES[parts.scheme]}://{shown}:{port}"
