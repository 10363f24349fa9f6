"""Worker processes: the same verdicts, and what becomes of the hosts of one that dies."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

import nacre
import nacre.fleet
from fleet.endpoints import at, free_port
from nacre.errors import ConfigurationError
from nacre.fleet.tasks import RunCommand
from nacre.fleet.verdicts import FleetVerdict
from nacre.fleet.workers.local import LocalWorker, LocalWorkers
from nacre.fleet.workers.pool import FleetWorker
from nacre.keys import dump_private
from parties import handle, until

KEY = nacre.generate("ssh-ed25519")


class Endpoint:
    """A server for workers, and the configuration by which they log in.

    :ivar commands: what was begun there.
    """

    def __init__(self, config: Path) -> None:
        self.config = config
        self.commands: list[bytes | None] = []
        self.port = 0

    async def handle(self, session: nacre.Session) -> int | None:
        self.commands.append(session.command)
        return await handle(session)

    def workers(self, count: int, task: RunCommand) -> LocalWorkers:
        return LocalWorkers(count, task, 20.0, {"config": str(self.config), "keywords": []})


@pytest.fixture
async def endpoint(make_server: Any, tmp_path: Path) -> Endpoint:
    made = Endpoint(tmp_path / "config")
    server = await make_server(policy=nacre.Users({"alice": KEY.public}), handler=made.handle)
    made.port = server.port
    key = tmp_path / "key"
    key.write_bytes(dump_private(KEY))
    key.chmod(0o600)
    made.config.write_text(
        f"Host *\n  User alice\n  IdentityFile {key}\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {tmp_path}/known\n  StrictHostKeyChecking no\n"
    )
    return made


async def begun() -> None:
    """Do nothing where a task begins."""


@pytest.mark.slow
async def test_workers_give_the_verdicts_of_one_process(endpoint: Endpoint, tmp_path: Path) -> None:
    hosts = [*(at(f"h{n}", endpoint.port) for n in range(8)), at("refuses", await free_port())]
    for workers in (0, 2):
        report = await nacre.fleet.run(
            hosts,
            "print 3 0",
            config=endpoint.config,
            workers=workers,
            state=tmp_path / "state",
        )
        found = {one.host: (one.summary, one.stdout) for one in report.verdicts.values()}
        assert found == {
            **{f"h{n}": ("ok", bytes(3)) for n in range(8)},
            "refuses": ("refused (connect)", b""),
        }


@pytest.mark.slow
async def test_a_worker_imports_nothing_from_the_working_directory(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('this one was imported')\n")
    monkeypatch.chdir(tmp_path)
    async with endpoint.workers(1, RunCommand("print 3 0")) as workers:
        verdict = await workers(at("h", endpoint.port), None, begun)
    assert (verdict.summary, verdict.reason) == ("ok", "")


@pytest.mark.slow
@pytest.mark.parametrize("idempotent", [False, True])
async def test_the_hosts_of_a_dead_worker_are_taken_over_once_if_that_is_safe(
    endpoint: Endpoint, idempotent: bool
) -> None:
    held = asyncio.Event()

    async def hold() -> None:
        await held.wait()

    task = RunCommand("hang", idempotent=idempotent)
    async with endpoint.workers(2, task) as workers:
        first, second = map(process_of, workers.workers)
        # The first of the two workers has two hosts, and has begun at one of them.
        second.alive = False
        runs = asyncio.create_task(workers(at("runs", endpoint.port), None, begun))
        waits = asyncio.create_task(workers(at("waits", endpoint.port), None, hold))
        await until_begun(endpoint, 1)
        await until(lambda: len(first._beginning) == 1)
        second.alive = True
        first.process.send_signal(signal.SIGKILL)
        await until(lambda: not first.alive)
        held.set()
        expected = 3 if idempotent else 2
        await until_begun(endpoint, expected)
        second.process.send_signal(signal.SIGKILL)
        unknown = FleetVerdict("runs", "unknown", "run", reason="its worker process has died")
        assert await runs == unknown
        assert (await waits).ending == "unknown"
    assert endpoint.commands == [b"hang"] * expected


def process_of(worker: FleetWorker) -> LocalWorker:
    assert isinstance(worker, LocalWorker)
    return worker


async def until_begun(endpoint: Endpoint, count: int) -> None:
    async with asyncio.timeout(30):
        while len(endpoint.commands) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@pytest.mark.slow
async def test_a_host_that_is_cancelled_is_left_by_its_worker(endpoint: Endpoint) -> None:
    async with endpoint.workers(1, RunCommand("hang")) as workers:
        run = asyncio.create_task(workers(at("h", endpoint.port), None, begun))
        await until_begun(endpoint, 1)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert workers.workers[0].orders == {}
        timed = await workers(at("h", endpoint.port), 1.0, begun)
    assert (timed.ending, timed.phase) == ("timeout", "run")


async def test_options_that_workers_can_not_have_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="can't be given password"):
        await nacre.fleet.run("h", "true", workers=2, password="x")
    with pytest.raises(ConfigurationError, match="at least 1"):
        LocalWorkers(-1, RunCommand("x"), 1.0, {})
