"""The process that tells monitoring how the server is: it gets numbers, and can do nothing else.

It has the rights of a gate: no account but a powerless one, no files, no programs. What strangers
send to its port stays here: nothing goes from it to the server.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nacre.daemon.metrics.counters import COUNTED, Series
from nacre.daemon.metrics.http import LONGEST_HEAD, HTTPAnswer, HTTPPages
from nacre.daemon.processes.limits import allow_descriptors
from nacre.daemon.separate.gate import confine
from nacre.daemon.separate.link import Link
from nacre.daemon.separate.messages import (
    TO_METRICS,
    Numbers,
    Reads,
    Ready,
    Retire,
    StartWith,
    unpacked,
)
from nacre.value import value

if TYPE_CHECKING:
    from prometheus_client.core import Metric

STALE = 10.0
"""Seconds without numbers after which the server counts as hung: they come each second."""

GAUGES = {
    "up": ("Whether the server takes connections.", ()),
    "processes": ("Processes of the server, by what they are.", ("kind",)),
    "memory_bytes": (
        "Resident memory of these processes, with what they share.",
        ("kind",),
    ),
    "waiting_connections": ("Connections that log in now.", ()),
    "banned_networks": ("Networks that are banned now.", ()),
    "start_time_seconds": ("When the server was started, in seconds since the epoch.", ()),
}
"""The help text and the labels of each gauge."""


@value(kw_only=True)
class MetricsSnapshot:
    """The numbers of a moment.

    :ivar fault: why the server takes no connections, or "".
    :ivar counts: the counters.
    :ivar gauges: what goes up and down.
    """

    fault: str
    counts: dict[Series, int]
    gauges: dict[Series, float]


class MetricsServer:
    """Keeps the latest numbers, and answers with them.

    :param sock: the link to the server's first process.
    """

    def __init__(self, sock: socket.socket) -> None:
        from prometheus_client import CollectorRegistry

        self._link = Link(sock, self._on_message, lambda reason: self._over.set())
        self._begun: asyncio.Future[StartWith] = asyncio.get_running_loop().create_future()
        self._over = asyncio.Event()
        self._latest: MetricsSnapshot | None = None
        self._at = 0.0
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    async def run(self) -> None:
        """Serve until the server's first process ends this one, or is gone."""
        self._link.send(Reads().encode())
        begun = asyncio.create_task(self._wait_begun())
        over = asyncio.create_task(self._over.wait())
        await asyncio.wait({begun, over}, return_when=asyncio.FIRST_COMPLETED)
        if not begun.done():
            begun.cancel()
            return
        rights: tuple[int, int] | None = unpacked(begun.result().settings)
        sock = socket.socket(fileno=self._link.descriptor())
        # All that answers need is loaded: from here on there are no files.
        self.answer_metrics()
        confine(rights)
        pages = HTTPPages({"/metrics": self.answer_metrics, "/health": self.answer_health})
        server = await asyncio.start_server(pages.serve, sock=sock, limit=LONGEST_HEAD)
        self._link.send(Ready().encode())
        await over
        server.close()

    async def _wait_begun(self) -> StartWith:
        return await self._begun

    def _on_message(self, data: bytes) -> None:
        message = TO_METRICS[data[0]].decode(data)
        if isinstance(message, StartWith):
            self._begun.set_result(message)
        elif isinstance(message, Numbers):
            self._latest, self._at = unpacked(message.snapshot), time.monotonic()
        elif isinstance(message, Retire):
            self._over.set()

    @property
    def _fault(self) -> str:
        if self._latest is None or time.monotonic() - self._at > STALE:
            return "the server does not answer"
        return self._latest.fault

    def answer_health(self) -> HTTPAnswer:
        """Answer whether the server takes connections."""
        fault = self._fault
        if not fault:
            return HTTPAnswer("200 OK", b"ok\n")
        return HTTPAnswer("503 Service Unavailable", f"{fault}\n".encode())

    def answer_metrics(self) -> HTTPAnswer:
        """Answer with all numbers, in Prometheus's text format."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return HTTPAnswer("200 OK", generate_latest(self._registry), CONTENT_TYPE_LATEST)

    def collect(self) -> Iterator[Metric]:
        """Return the metrics of the latest numbers, for the registry."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        latest = self._latest or MetricsSnapshot(fault="", counts={}, gauges={})
        gauges = {**latest.gauges, ("up", ()): 0.0 if self._fault else 1.0}
        for name, (text, labels) in COUNTED.items():
            counter = CounterMetricFamily(f"nacre_{name}", text, labels=labels)
            _fill(counter, name, latest.counts, plain=not labels)
            yield counter
        for name, (text, labels) in GAUGES.items():
            gauge = GaugeMetricFamily(f"nacre_{name}", text, labels=labels)
            _fill(gauge, name, gauges, plain=not labels)
            yield gauge


def _fill(metric: Any, name: str, numbers: dict[Series, Any], *, plain: bool) -> None:
    """Add the series of a metric; one without labels is there from the beginning, as zero."""
    for (named, labels), number in sorted(numbers.items()):
        if named == name:
            metric.add_metric(labels, number)
    if plain and not metric.samples:
        metric.add_metric((), 0)


def load() -> None:
    """Load nothing more before the fork: prometheus_client is for this process alone."""


def main(given: dict[str, Any], sock: socket.socket) -> None:
    """Tell monitoring: what there is to tell comes over the link."""
    allow_descriptors()
    asyncio.run(_run(sock))


async def _run(sock: socket.socket) -> None:
    await MetricsServer(sock).run()
