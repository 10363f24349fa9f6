"""Whose turn it is in a run, and how the run ends."""

from __future__ import annotations

import asyncio
import tracemalloc
from typing import Any

import pytest

from fleet.made import MadeAttempts, hosts, ok
from nacre.errors import StateError
from nacre.fleet.plan import FleetPlan
from nacre.fleet.schedule import INTERRUPTED, OUT_OF_TIME, FleetSchedule
from nacre.fleet.verdicts import Ending, FleetReport, FleetVerdict
from parties import until


def failing(*names: str, ending: Ending = "failed", phase: str = "done") -> Any:
    """Return an answer by which these hosts end so, and the others well."""

    def answer(name: str, number: int) -> FleetVerdict:
        return FleetVerdict(name, ending, phase) if name in names else ok(name, number)

    return answer


def endings(report: FleetReport) -> dict[str, Ending]:
    return {name: verdict.ending for name, verdict in report.verdicts.items()}


async def test_each_host_has_its_turn_and_no_more_than_wanted_at_a_time() -> None:
    made = MadeAttempts()
    names = [f"h{n}" for n in range(50)]
    report = await FleetSchedule(made, FleetPlan(parallel=7)).run(hosts(*names))
    assert sorted(made.begun) == sorted(names)
    assert made.most == 7
    assert report.ok
    assert report.stopped == ""


async def test_a_canary_that_does_not_end_well_stops_the_run() -> None:
    made = MadeAttempts(failing("a"))
    report = await FleetSchedule(made, FleetPlan(canaries=2)).run(hosts("a", "b", "c", "d"))
    assert endings(report) == {"a": "failed", "b": "ok", "c": "skipped", "d": "skipped"}
    assert report.stopped == report.verdicts["c"].reason == "a canary has not ended well"


async def test_batches_follow_each_other() -> None:
    made = MadeAttempts()
    await FleetSchedule(made, FleetPlan(batch=2)).run(hosts(*"abcde"))
    assert [set(made.begun[:2]), set(made.begun[2:4]), set(made.begun[4:])] == [
        {"a", "b"},
        {"c", "d"},
        {"e"},
    ]
    assert made.most == 2


async def test_too_many_failures_stop_the_run_and_those_that_are_begun_end() -> None:
    made = MadeAttempts(failing("a", "b"))
    plan = FleetPlan(parallel=1, max_failures=1)
    report = await FleetSchedule(made, plan).run(hosts(*"abcd"))
    assert endings(report) == {"a": "failed", "b": "failed", "c": "skipped", "d": "skipped"}
    assert report.stopped == "2 hosts have not ended well"


async def test_where_nothing_was_done_it_is_tried_again() -> None:
    def answer(name: str, number: int) -> FleetVerdict:
        return ok(name, number) if number == 3 else FleetVerdict(name, "refused", "connect")

    made = MadeAttempts(answer)
    report = await FleetSchedule(made, FleetPlan(retries=2, backoff=0)).run(hosts("a", "b"))
    assert report.ok
    assert [one.attempts for one in report.verdicts.values()] == [3, 3]


@pytest.mark.parametrize(
    ("ending", "phase", "idempotent", "again"),
    [
        ("refused", "connect", False, True),
        ("refused", "authentication", True, False),
        ("timeout", "authentication", False, True),
        ("timeout", "run", False, False),
        ("timeout", "run", True, True),
        ("unknown", "run", False, False),
        ("unknown", "run", True, True),
        ("failed", "done", True, False),
    ],
)
async def test_what_was_begun_is_tried_again_only_if_it_is_idempotent(
    ending: Ending, phase: str, idempotent: bool, again: bool
) -> None:
    made = MadeAttempts(failing("a", ending=ending, phase=phase))
    schedule = FleetSchedule(made, FleetPlan(retries=1, backoff=0), idempotent=idempotent)
    report = await schedule.run(hosts("a"))
    assert made.begun == ["a"] * (2 if again else 1)
    assert endings(report) == {"a": ending}


async def test_the_deadline_gives_each_host_a_verdict() -> None:
    async def hangs(name: str) -> None:
        if name == "b":
            await asyncio.Event().wait()

    made = MadeAttempts(lambda name, number: None, before=hangs)
    plan = FleetPlan(parallel=2, deadline=0.05)
    report = await FleetSchedule(made, plan).run(hosts("a", "b", "c"))
    assert endings(report) == {"a": "timeout", "b": "timeout", "c": "skipped"}
    assert [one.phase for one in report.verdicts.values()] == ["run", "waiting", "waiting"]
    assert report.stopped == OUT_OF_TIME


async def test_a_run_that_is_cancelled_says_what_was_where() -> None:
    async def hangs(name: str) -> None:
        if name == "b":
            await asyncio.Event().wait()

    made = MadeAttempts(lambda n, number: ok(n, number) if n == "z" else None, before=hangs)
    schedule = FleetSchedule(made, FleetPlan(parallel=3))
    run = asyncio.create_task(schedule.run(hosts("z", "a", "b", "c", "d")))
    await until(lambda: sorted(made.begun) == ["a", "c", "z"])
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert endings(schedule.report) == {
        "z": "ok",
        "a": "unknown",
        "b": "skipped",
        "c": "unknown",
        "d": "skipped",
    }
    assert schedule.report.stopped == INTERRUPTED


async def test_a_host_that_waits_for_another_attempt_keeps_the_verdict_of_the_last() -> None:
    made = MadeAttempts(failing("a", ending="unknown", phase="run"))
    plan = FleetPlan(retries=1, backoff=50, deadline=0.05)
    report = await FleetSchedule(made, plan, idempotent=True).run(hosts("a"))
    assert endings(report) == {"a": "unknown"}
    assert report.verdicts["a"].attempts == 1


async def test_the_begin_is_noted_before_the_task_and_the_verdict_after_it() -> None:
    noted: list[object] = []

    class Noting:
        async def begin(self, host: str) -> None:
            noted.append(("begin", host, list(made.begun)))

        async def end(self, verdict: FleetVerdict) -> None:
            noted.append(("end", verdict.host, verdict.ending))

        def started(self, host: str) -> None:
            noted.append(("started", host))

        def ended(self, verdict: FleetVerdict) -> None:
            noted.append(("told", verdict.host))

    made = MadeAttempts()
    await FleetSchedule(made, FleetPlan(), journal=Noting(), watcher=Noting()).run(hosts("a"))
    assert noted == [("started", "a"), ("begin", "a", []), ("end", "a", "ok"), ("told", "a")]


async def test_a_journal_that_can_not_be_written_ends_the_run() -> None:
    class Full:
        async def begin(self, host: str) -> None:
            raise StateError("the disk is full")

        async def end(self, verdict: FleetVerdict) -> None: ...

    made = MadeAttempts()
    with pytest.raises(StateError, match="disk is full"):
        await FleetSchedule(made, FleetPlan(parallel=2), journal=Full()).run(hosts(*"abc"))
    assert made.begun == []


async def test_the_rate_spreads_the_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float, *rest: Any) -> None:
        if seconds:
            slept.append(seconds)

    monkeypatch.setattr("asyncio.sleep", sleep)
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: 100.0)
    report = await FleetSchedule(MadeAttempts(), FleetPlan(rate=2)).run(hosts(*"abcd"))
    monkeypatch.undo()
    assert slept == [0.5, 1.0, 1.5]
    assert report.ok


async def test_a_host_takes_few_bytes_where_outputs_are_alike() -> None:
    output = "the same everywhere\n"

    def answer(name: str, number: int) -> FleetVerdict:
        return FleetVerdict(name, "ok", stdout=(output * 500).encode())

    many = hosts(*(f"h{n}" for n in range(2_000)))
    tracemalloc.start()
    try:
        report = await FleetSchedule(MadeAttempts(answer), FleetPlan(parallel=100)).run(many)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(report.verdicts) == 2_000
    assert report.ok
    assert most / 2_000 < 10_000
