"""Many hosts on links in memory, and what they cost: 10,000 with NACRE_LONG."""

from __future__ import annotations

import os
import resource
import socket
from typing import Any

import pytest

import nacre
import nacre.fleet
from fleet.endpoints import LOGIN, at
from nacre.client.connect import connect
from nacre.fleet import FleetPlan, RunCommand
from nacre.fleet.verdicts import MAX_KEPT

LONG = "NACRE_LONG" in os.environ
COUNT = 10_000 if LONG else 200
SIZE = MAX_KEPT * 5 // 4 // COUNT
"""Bytes that a host prints: more than a report keeps, all together."""

PARALLEL = 50
HOST_BYTES = 60_000
"""What a host may take of memory, outputs included."""


async def _print(session: nacre.Session) -> int:
    number = int(session.command or b"")
    await session.stdout.write(number.to_bytes(4, "big") + bytes(SIZE - 4))
    return 0


@pytest.mark.slow
@pytest.mark.timeout(1800 if LONG else 180)
async def test_the_memory_of_a_run_is_bounded(
    make_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await make_server(handler=_print)

    async def linked(address: str, port: int, **options: Any) -> nacre.Connection:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        ours.setblocking(False)
        await server.attach(theirs)
        return await connect(address, port, sock=ours, **options)

    monkeypatch.setattr("nacre.fleet.attempts.connect", linked)

    async def run(count: int) -> nacre.fleet.FleetReport:
        hosts = [at(f"h{number}", 22, number=str(number)) for number in range(count)]
        task = RunCommand("%{number}", max_output=SIZE)
        plan = FleetPlan(parallel=PARALLEL, deadline=1500)
        return await nacre.fleet.run(hosts, task, plan=plan, **LOGIN)

    await run(PARALLEL)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report = await run(COUNT)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert report.ok
    verdicts = report.verdicts.values()
    assert sum(len(one.stdout) for one in verdicts) <= MAX_KEPT
    assert {len(one.stdout) + one.left_out for one in verdicts} == {SIZE}
    assert any(one.left_out for one in verdicts)
    if LONG:
        assert (after - before) * 1024 / COUNT < HOST_BYTES
