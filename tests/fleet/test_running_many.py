"""Many hosts on links in memory, and what they cost."""

from __future__ import annotations

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

PARALLEL = 50
HOST_BYTES = 60_000
"""What a host may take of memory, outputs included."""


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("count", [200, pytest.param(10_000, marks=pytest.mark.long)])
async def test_the_memory_of_a_run_is_bounded(
    make_server: Any, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    size = MAX_KEPT * 5 // 4 // count  # more than a report keeps, all together

    async def print_(session: nacre.Session) -> int:
        number = int(session.command or b"")
        await session.stdout.write(number.to_bytes(4, "big") + bytes(size - 4))
        return 0

    server = await make_server(handler=print_)

    async def linked(address: str, port: int, **options: Any) -> nacre.Connection:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        ours.setblocking(False)
        await server.attach(theirs)
        return await connect(address, port, sock=ours, **options)

    monkeypatch.setattr("nacre.fleet.attempts.connect", linked)

    async def run(hosts: int) -> nacre.fleet.FleetReport:
        chosen = [at(f"h{number}", 22, number=str(number)) for number in range(hosts)]
        task = RunCommand("%{number}", max_output=size)
        plan = FleetPlan(parallel=PARALLEL, deadline=1500)
        return await nacre.fleet.run(chosen, task, plan=plan, **LOGIN)

    await run(PARALLEL)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report = await run(count)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert report.ok
    verdicts = report.verdicts.values()
    assert sum(len(one.stdout) for one in verdicts) <= MAX_KEPT
    assert {len(one.stdout) + one.left_out for one in verdicts} == {size}
    assert any(one.left_out for one in verdicts)
    if count > 1000:
        assert (after - before) * 1024 / count < HOST_BYTES
