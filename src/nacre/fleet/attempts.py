"""One attempt at one host, from this process: log in, do the task, say how it ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

from nacre.client.connect import connect
from nacre.client.connection import Connection
from nacre.errors import (
    ChannelOpenFailed,
    ConfigurationError,
    ConnectionLost,
    DeadlineExceeded,
    NacreError,
    RemoteProtocolError,
    StateError,
)
from nacre.fleet.fanout import FanOut
from nacre.fleet.hosts import FleetHost
from nacre.fleet.tasks import CopyFiles, FleetTask
from nacre.fleet.verdicts import DONE, RUN, WAITING, Ending, FleetVerdict

Begin: TypeAlias = Callable[[], Awaitable[None]]
"""Awaited when the host is logged in to, before the task begins there."""

Attempting: TypeAlias = Callable[[FleetHost, float | None, Begin], Awaitable[FleetVerdict]]
"""One attempt at a host within some seconds, in this process or in another one."""

_GOODBYE = 2.0
"""Seconds that a host has to close the connection after the task."""

_BELT = 5.0
"""Seconds beside those of a login for reading the configuration, where commands may run."""

_log = logging.getLogger("nacre.fleet")


class Attempts:
    """Makes attempts from this process.

    :param task: what to do at each host.
    :param login: seconds for a login.
    :param options: those of :func:`nacre.connect` for every host. A host's own user and port count
        before them.
    """

    def __init__(self, task: FleetTask, login: float, options: dict[str, Any]) -> None:
        self._perform = task.perform
        if isinstance(task, CopyFiles) and task.fanout:
            self._perform = FanOut(task, self._connected).perform
        self._login = login
        self._options = options

    async def __call__(self, host: FleetHost, seconds: float | None, begin: Begin) -> FleetVerdict:
        """Try it once; whatever fails is in the verdict."""
        loop = asyncio.get_running_loop()
        until = None if seconds is None else loop.time() + seconds
        phase = WAITING
        try:
            async with self._connected(host, seconds) as connection:
                phase = RUN
                await begin()
                left = None if until is None else max(0.001, until - loop.time())
                return await self._perform(connection, host, left)
        except StateError:
            raise  # of the journal: it is the run's, not the host's
        except NacreError as error:
            return _verdict(host, error, phase)
        except OSError as error:  # of a file of this machine
            return FleetVerdict(host.name, "failed", phase, reason=str(error))
        except Exception as error:
            _log.exception("the attempt at %s has failed", host.name)
            ending: Ending = "unknown" if phase == RUN else "refused"
            return FleetVerdict(host.name, ending, phase, reason=f"internal error: {error!r}")

    @asynccontextmanager
    async def _connected(self, host: FleetHost, seconds: float | None) -> AsyncIterator[Connection]:
        connection = await self._connect(host, seconds)
        try:
            yield connection
        finally:
            await _leave(connection)

    async def _connect(self, host: FleetHost, seconds: float | None) -> Connection:
        options = dict(self._options)
        if host.user is not None:
            options["user"] = host.user
        port = host.port or options.pop("port", None)
        limit = self._login if seconds is None else min(self._login, seconds)
        options["timeout"] = limit
        try:
            # The clock of the login does not run while the configuration is read: that may hang.
            async with asyncio.timeout(limit + _BELT):
                return await connect(host.address, port, **options)
        except TimeoutError as error:
            if isinstance(error, NacreError):
                raise
            raise DeadlineExceeded("the configuration for the host could not be read") from error


async def _leave(connection: Connection) -> None:
    """Close a connection; a host that does not answer does not hold the run up."""
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                await connection.close()
    finally:
        connection.abort()


def _verdict(host: FleetHost, error: NacreError, phase: str) -> FleetVerdict:
    """Return what an error means for the host."""
    if phase != RUN:
        late = isinstance(error, DeadlineExceeded)
        return FleetVerdict(
            host.name,
            "timeout" if late else "refused",
            error.phase or WAITING,
            reason=str(error),
        )
    ending, phase = next((e, p) for kinds, e, p in _WHILE_RUNNING if isinstance(error, kinds))
    return FleetVerdict(
        host.name,
        ending,
        phase,
        exit_status=error.exit_status,
        exit_signal=error.exit_signal,
        stdout=_bytes(error.stdout),
        stderr=_bytes(error.stderr),
        reason=str(error),
    )


_WHILE_RUNNING: tuple[tuple[tuple[type[NacreError], ...], Ending, str], ...] = (
    ((DeadlineExceeded,), "timeout", RUN),
    ((ChannelOpenFailed, ConfigurationError), "refused", RUN),
    ((ConnectionLost, RemoteProtocolError), "unknown", RUN),
    ((NacreError,), "failed", DONE),
)
"""How an attempt ended by the error that came after the login. The first row that fits counts."""


def _bytes(output: str | bytes) -> bytes:
    return output if isinstance(output, bytes) else output.encode()
