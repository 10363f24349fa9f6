"""The server's side of ``--metrics``: it counts, and another process tells the numbers."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec

from nacre.daemon.control.monitored import Monitored
from nacre.daemon.metrics import metrics_process
from nacre.daemon.metrics.counters import Counters, Series
from nacre.daemon.metrics.metrics_process import MetricsSnapshot
from nacre.daemon.processes.template import TEMPLATE
from nacre.daemon.separate.link import LinkError
from nacre.daemon.separate.messages import FROM_METRICS, Numbers, packed
from nacre.daemon.separate.monitor import Report, Separated
from nacre.daemon.sockets import Address, ListeningSockets, Passed
from nacre.daemon.workers import PAUSE
from nacre.errors import ConfigurationError
from nacre.wire.message import Message
from nacre.wire.text import safe

EVERY = 1.0
"""Seconds between two sets of numbers."""

_MOST_UNSENT = 4
"""Sets of numbers that wait for a process that does not read: more are dropped."""

_PAGE = os.sysconf("SC_PAGE_SIZE")


class MetricsProcess(Separated):
    """The process that answers HTTP."""

    KIND = "metrics"
    MESSAGES = FROM_METRICS

    def take(self, message: Message) -> None:
        raise LinkError("a process for metrics has nothing to ask")

    def lost(self) -> None:
        """Drop nothing: it had nothing."""

    def end(self) -> None:
        """End it; that is no error."""
        if self._link is not None:
            self._link.close()
        self.kill()

    def tell(self, snapshot: MetricsSnapshot) -> None:
        """Send the numbers of this moment, unless it is behind."""
        if self._link is not None and self._link.unsent < _MOST_UNSENT:
            self.send(Numbers(packed(snapshot)))


class ServerMetrics:
    """Counts for one server, and keeps its process for metrics running.

    :param address: where to answer HTTP.
    :param rights: the account and group of the process; None to keep the server's.
    :param inherited: the sockets of the server that this one follows: they are kept where the
        address is the same.
    :ivar sockets: the listening sockets.
    """

    def __init__(
        self,
        address: tuple[str, int],
        rights: tuple[int, int] | None,
        inherited: Passed | None = None,
    ) -> None:
        """Listen. Call it before the template starts, which is to know this kind of process.

        :raises ConfigurationError: the extra ``metrics`` is not installed.
        :raises StateError: the address can't be used.
        """
        check_installed()
        TEMPLATE.add({"metrics": metrics_process.__name__})
        self._counters = Counters()
        self.sockets = ListeningSockets()
        if inherited is not None:
            self.sockets.adopt(inherited)
        self.sockets.change([Address(*address, told_by="--metrics")])
        self._rights = rights
        self._began = time.time()
        self._server: Monitored | None = None
        self._process: MetricsProcess | None = None
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    def note(self, record: Mapping[str, object]) -> None:
        """Count what a record of the log tells."""
        self._counters.note(record)

    @property
    def place(self) -> tuple[str, int]:
        """The address and port."""
        host, port = self.sockets.all[0].getsockname()[:2]
        return host, port

    def begin(self, server: Monitored, report: Report) -> None:
        """Start the process, which is told about ``server`` each second."""
        self._server = server
        host, port = self.place
        report({"event": "metrics", "address": f"{host}:{port}"})
        self._task = asyncio.get_running_loop().create_task(self._run(report))

    async def _run(self, report: Report) -> None:
        while not self._closing:
            began = time.monotonic()
            process = self._process = MetricsProcess(report)
            try:
                await process.start(self._rights, [self.sockets.all[0].fileno()])
                await self._tell_until_gone(process)
                what = "the process for metrics died"
                if not self._closing:
                    report({"event": "error", "what": what, "pid": process.pid})
            except OSError as error:
                what = "no process for metrics can be started"
                report({"event": "error", "what": what, "error": safe(str(error))})
            await asyncio.sleep(max(0.0, began + PAUSE - time.monotonic()))

    async def _tell_until_gone(self, process: MetricsProcess) -> None:
        while not process.gone.is_set():
            process.tell(self.snapshot())
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await process.gone.wait()

    def snapshot(self) -> MetricsSnapshot:
        """Return the numbers of this moment."""
        assert self._server is not None, "begin() was not called"
        return MetricsSnapshot(
            fault=self._server.fault(),
            counts=self._counters.counts(),
            gauges={
                ("start_time_seconds", ()): self._began,
                ("waiting_connections", ()): self._server.waiting(),
                ("banned_networks", ()): self._server.banned(),
                **processes_by_kind(self._server.pids()),
            },
        )

    def tell(self) -> None:
        """Tell the process at once: the server stops, say."""
        if self._process is not None:
            self._process.tell(self.snapshot())

    def close(self) -> None:
        """End the process."""
        self._closing = True
        if self._task is not None:
            self._task.cancel()
        if self._process is not None:
            self._process.end()
        self.sockets.close()


def check_installed() -> None:
    """Check that the extra is installed.

    :raises ConfigurationError: it is not.
    """
    if find_spec("prometheus_client") is None:
        raise ConfigurationError(
            "--metrics needs prometheus_client: install nacre with the extra metrics, "
            "pip install 'nacre[metrics]'"
        )


def processes_by_kind(pids: Mapping[str, list[int]]) -> dict[Series, float]:
    """Return how many processes there are of each kind, and their resident memory in bytes."""
    found: dict[Series, float] = {}
    for kind, numbers in pids.items():
        found["processes", (kind,)] = len(numbers)
        found["memory_bytes", (kind,)] = sum(map(_resident, numbers))
    return found


def _resident(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0  # it has ended
