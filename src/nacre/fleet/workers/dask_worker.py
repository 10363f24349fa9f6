"""What the run calls at a worker of Dask: functions, on the event loop of the worker.

A worker has a part of each run that was begun there. Where the run does not fetch messages any
more, its part ends: logins and commands are not left to themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from nacre._version import __version__
from nacre.errors import ConfigurationError
from nacre.fleet.workers.attempting import AttemptingWorker

WAIT = 5.0
"""Seconds that a call waits for messages."""

FORGOTTEN = 60.0
"""Seconds without a call after which the run is taken for dead."""

_RUNS: dict[str, _RunPart] = {}


class _RunPart:
    """The part of a run that this worker has."""

    def __init__(self, run: str, what: Mapping[str, Any]) -> None:
        self.worker = AttemptingWorker(what, self._say)
        self._run = run
        self._said: list[dict[str, Any]] = []
        self._ready = asyncio.Event()
        self._ending: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(FORGOTTEN, self._forget)

    def _say(self, message: dict[str, Any]) -> None:
        self._said.append(message)
        self._ready.set()

    def _forget(self) -> None:
        self._ending = asyncio.create_task(close(self._run))

    def called(self) -> None:
        """Note that the run lives."""
        self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(FORGOTTEN, self._forget)

    async def fetched(self) -> list[dict[str, Any]]:
        """Return what there is to say, or nothing after a while."""
        try:
            async with asyncio.timeout(WAIT):
                await self._ready.wait()
        except TimeoutError:
            return []
        self._ready.clear()
        said, self._said = self._said, []
        return said

    async def end(self) -> None:
        """End what is under way."""
        self._timer.cancel()
        await self.worker.end()


async def begin(run: str, what: Mapping[str, Any]) -> None:
    """Begin a run here.

    :raises ConfigurationError: it is of another version of nacre, or the configuration can't be
        read.
    """
    if what["version"] != __version__:
        raise ConfigurationError(
            f"a worker has nacre {__version__}, and the run {what['version']}: give all one version"
        )
    _RUNS[run] = _RunPart(run, what)


async def bring(run: str, messages: Sequence[Mapping[str, Any]]) -> None:
    """Take messages of the run.

    :raises KeyError: it was not begun here, or has ended.
    """
    part = _RUNS[run]
    part.called()
    for message in messages:
        part.worker.take(message)


async def fetch(run: str) -> list[dict[str, Any]]:
    """Return messages for the run, when there are some.

    :raises KeyError: it was not begun here, or has ended.
    """
    part = _RUNS[run]
    part.called()
    return await part.fetched()


async def close(run: str) -> None:
    """End the run here."""
    part = _RUNS.pop(run, None)
    if part is not None:
        await part.end()
