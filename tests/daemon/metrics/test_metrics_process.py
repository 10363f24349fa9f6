"""What the process for metrics answers with the numbers that it has."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

pytest.importorskip("prometheus_client")

from nacre.daemon.metrics import metrics_process
from nacre.daemon.metrics.metrics_process import MetricsServer, MetricsSnapshot
from nacre.daemon.separate.link import pair
from nacre.daemon.separate.messages import Numbers, Retire, packed


@pytest.fixture
async def server() -> AsyncIterator[MetricsServer]:
    ours, theirs = pair()
    server = MetricsServer(ours)
    yield server
    server._link.close()
    theirs.close()


def numbers(fault: str = "") -> bytes:
    snapshot = MetricsSnapshot(
        fault=fault,
        counts={("connections", ()): 3, ("logins", ("password", "failure")): 2},
        gauges={("processes", ("gate",)): 2},
    )
    return Numbers(packed(snapshot)).encode()


async def test_numbers_are_told_in_the_format_of_prometheus(server: MetricsServer) -> None:
    server._on_message(numbers())
    answer = server.answer_metrics()
    lines = answer.body.decode().splitlines()
    assert "nacre_connections_total 3.0" in lines
    assert 'nacre_logins_total{method="password",outcome="failure"} 2.0' in lines
    assert 'nacre_processes{kind="gate"} 2.0' in lines
    assert "nacre_bans_total 0.0" in lines
    assert "nacre_up 1.0" in lines
    assert answer.kind.startswith("text/plain")
    assert server.answer_health().status == "200 OK"


async def test_a_server_that_stops_is_not_healthy(server: MetricsServer) -> None:
    server._on_message(numbers("the server is stopping"))
    answer = server.answer_health()
    assert (answer.status, answer.body) == ("503 Service Unavailable", b"the server is stopping\n")
    assert b"nacre_up 0.0" in server.answer_metrics().body


async def test_a_server_that_says_nothing_is_not_healthy(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server.answer_health().body == b"the server does not answer\n"
    server._on_message(numbers())
    assert server.answer_health().status == "200 OK"
    monkeypatch.setattr(metrics_process, "STALE", -1.0)
    assert server.answer_health().status.startswith("503")


@pytest.mark.parametrize("how", ["told", "gone"])
async def test_it_ends_with_the_server(how: str) -> None:
    ours, theirs = pair()
    running = asyncio.create_task(MetricsServer(ours).run())
    assert await asyncio.to_thread(theirs.recv, 4, socket.MSG_WAITALL)
    if how == "told":
        data = Retire(0).encode()
        theirs.sendall(len(data).to_bytes(4) + data)
    else:
        theirs.close()
    async with asyncio.timeout(30):
        await running
    theirs.close()
