"""What the run does with workers, with some that only note what they are sent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fleet.made import hosts
from nacre.errors import StateError
from nacre.fleet.tasks import RunCommand
from nacre.fleet.verdicts import FleetVerdict, as_object
from nacre.fleet.workers.pool import FleetWorker, FleetWorkers
from parties import until


class NotedWorker(FleetWorker):
    """A worker that notes what it is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[dict[str, Any]] = []

    def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)


class NotedWorkers(FleetWorkers):
    """Some of them."""

    def __init__(self, count: int, *, idempotent: bool = False) -> None:
        task = RunCommand("x", idempotent=idempotent)
        super().__init__(task, 20.0, {"config": "none", "keywords": []})
        self.made = [NotedWorker() for _ in range(count)]

    async def start(self, what: dict[str, Any]) -> None:
        self.workers.extend(self.made)


async def begun() -> None:
    """Do nothing where a task begins."""


def try_all(workers: NotedWorkers, *names: str) -> list[asyncio.Task[FleetVerdict]]:
    return [asyncio.create_task(workers(host, None, begun)) for host in hosts(*names)]


async def test_the_worker_with_the_fewest_hosts_gets_the_next() -> None:
    async with NotedWorkers(2) as workers:
        runs = try_all(workers, "a", "b", "c")
        first, second = workers.made
        await until(lambda: len(second.sent) == 1)
        assert [one["host"]["name"] for one in first.sent] == ["a", "c"]
        first.take({"number": 1})
        await until(lambda: first.sent[-1] == {"begin": 1})
        verdict = FleetVerdict("a", "ok", stdout=b"x")
        first.take({"number": 1, "verdict": as_object(verdict)})
        assert await runs[0] == verdict
        # What comes too late, or is of nobody, is passed over.
        first.take({"number": 1})
        for worker in (first, second):
            worker.died()
        assert [(await run).summary for run in runs[1:]] == ["refused (waiting)"] * 2


@pytest.mark.parametrize(("idempotent", "ending"), [(False, "unknown"), (True, "ok")])
async def test_what_had_begun_is_begun_again_if_it_is_idempotent(
    idempotent: bool, ending: str
) -> None:
    async with NotedWorkers(2, idempotent=idempotent) as workers:
        first, second = workers.made
        (run,) = try_all(workers, "a")
        await until(lambda: first.sent != [])
        first.take({"number": 1})
        await until(lambda: first.sent[-1] == {"begin": 1})
        first.died()
        if idempotent:
            await until(lambda: second.sent != [])
            second.take({"number": 1, "verdict": as_object(FleetVerdict("a", "ok"))})
        assert (await run).ending == ending
        assert bool(second.sent) == idempotent


async def test_a_journal_that_fails_ends_the_attempt() -> None:
    async def fails() -> None:
        raise StateError("the disk is full")

    async with NotedWorkers(1) as workers:
        run = asyncio.create_task(workers(hosts("a")[0], None, fails))
        await until(lambda: workers.made[0].sent != [])
        workers.made[0].take({"number": 1})
        with pytest.raises(StateError):
            await run
        assert {"begin": 1} not in workers.made[0].sent
