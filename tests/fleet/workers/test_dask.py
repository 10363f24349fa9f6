"""Workers of a cluster of Dask; one is killed while the task runs."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

import nacre
import nacre.fleet
from fleet.endpoints import at, free_port
from nacre.errors import ConfigurationError
from nacre.fleet import FleetPlan, RunCommand
from nacre.fleet.workers import dask, dask_worker
from nacre.fleet.workers.dask import DaskWorker, scheduler_of
from nacre.keys import dump_private
from parties import until

KEY = nacre.generate("ssh-ed25519")
HOSTS, PARALLEL = 32, 16


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("dask://scheduler:8786", "tcp://scheduler:8786"),
        ("dask://scheduler", "tcp://scheduler:8786"),
        ("dask+tls://[::1]:9", "tls://[::1]:9"),
    ],
)
def test_the_address_of_a_scheduler(address: str, found: str) -> None:
    assert scheduler_of(address) == found


@pytest.mark.parametrize("address", ["scheduler:8786", "tcp://h:1", "dask://", "dask://h:x"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="the engine"):
        scheduler_of(address)


async def test_a_scheduler_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask, "_REACHED", 0.2)
    with pytest.raises(ConfigurationError, match="can't begin at the workers"):
        await nacre.fleet.run("h", "x", engine=f"dask://127.0.0.1:{await free_port()}")


async def test_an_engine_comes_alone() -> None:
    with pytest.raises(ConfigurationError, match="not both"):
        await nacre.fleet.run("h", "x", engine="dask://h", workers=2)


async def test_a_call_that_fails_is_not_repeated() -> None:
    calls: list[Any] = []

    async def call(function: Any, *arguments: Any) -> Any:
        calls.append(function)
        if function is dask_worker.fetch:
            await asyncio.Event().wait()
        raise OSError("lost")

    async def begin() -> None:
        raise AssertionError

    worker = DaskWorker(call)
    assert await worker.attempt(at("h", 1), 5.0, begin) == (None, False)
    assert not worker.alive
    await worker.end()
    assert calls.count(dask_worker.bring) == 1
    assert dask_worker.close not in calls


class Endpoint:
    """A server whose commands name a host, and end when they may.

    :ivar begun: how often each was begun.
    :ivar lost: commands whose connection was lost meanwhile.
    """

    def __init__(self) -> None:
        self.begun: Counter[str] = Counter()
        self.lost = 0
        self.release = asyncio.Event()

    async def handle(self, session: nacre.Session) -> int:
        name = (session.command or b"").decode()
        self.begun[name] += 1
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.lost += 1
            raise
        await session.stdout.write(name.encode())
        return 0


PROGRAM = """
import os, signal, sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=4, threads_per_worker=1, dashboard_address=None) as cluster:
        print(cluster.scheduler_address, flush=True)
        for line in sys.stdin:
            worker = cluster.workers[int(line)]
            os.kill(worker.pid, signal.SIGKILL)
"""
"""A scheduler with four workers, each a process of its own; a line kills the one of a number."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, IO[str]]]:
    """Return the address of the scheduler, and where to write the number of a worker to kill."""
    file = tmp_path_factory.mktemp("dask") / "cluster.py"
    file.write_text(PROGRAM)
    with subprocess.Popen(
        [sys.executable, file],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=file.parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, nacre_path()))},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, "the cluster has not started"
        yield address.replace("tcp", "dask"), process.stdin
        process.stdin.close()
        process.wait(60)


def nacre_path() -> list[str]:
    """Return the directories in which the package is."""
    return [os.path.dirname(path) for path in nacre.__path__]


@pytest.mark.slow
@pytest.mark.parametrize("idempotent", [False, True])
async def test_every_host_has_one_verdict_when_a_worker_is_killed(
    make_server: Any, tmp_path: Path, cluster: tuple[str, IO[str]], idempotent: bool
) -> None:
    endpoint, (address, kill) = Endpoint(), cluster
    server = await make_server(policy=nacre.Users({"alice": KEY.public}), handler=endpoint.handle)
    config = _config(tmp_path)
    hosts = [at(f"h{number}", server.port) for number in range(HOSTS)]
    run = asyncio.create_task(
        nacre.fleet.run(
            hosts,
            RunCommand("%{host}", idempotent=idempotent),
            plan=FleetPlan(parallel=PARALLEL),
            config=config,
            engine=address,
            state=tmp_path / "state",
        )
    )
    await until(lambda: len(endpoint.begun) == PARALLEL or run.done())
    kill.write("1\n" if idempotent else "0\n")
    kill.flush()
    await until(lambda: endpoint.lost > 0)
    endpoint.release.set()
    report = await run
    assert set(report.verdicts) == {host.name for host in hosts}
    counts = report.counts()
    lost = HOSTS - counts["ok"]
    # Three workers have the hosts, if the one that was killed before has not started again.
    again = [name for name, count in endpoint.begun.items() if count > 1]
    if idempotent:
        assert lost == 0
        assert 0 < len(again) <= PARALLEL // 2
        assert max(endpoint.begun.values()) == 2
    else:
        assert 0 < lost <= PARALLEL // 2
        assert counts == {"ok": HOSTS - lost, "unknown": lost}
        assert again == []
        assert {one.reason for one in report.verdicts.values() if not one.ok} == {
            "its worker process has died"
        }
    assert all(one.stdout.decode() == name for name, one in report.verdicts.items() if one.ok)


def _config(directory: Path) -> Path:
    key, config = directory / "key", directory / "config"
    key.write_bytes(dump_private(KEY))
    key.chmod(0o600)
    config.write_text(
        f"Host *\n  User alice\n  IdentityFile {key}\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {directory}/known\n  StrictHostKeyChecking no\n"
    )
    return config
