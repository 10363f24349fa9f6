"""What the run calls at a worker of Dask, in this process and without a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fleet.endpoints import free_port
from nacre._version import __version__
from nacre.errors import ConfigurationError
from nacre.fleet.tasks import RunCommand, task_object
from nacre.fleet.workers import dask_worker
from parties import until

WHAT = {
    "task": task_object(RunCommand("x")),
    "login": 20.0,
    "config": "none",
    "keywords": [],
    "version": __version__,
}


@pytest.fixture(autouse=True)
async def ended() -> AsyncIterator[None]:
    yield
    await dask_worker.close("run")


def host(port: int) -> dict[str, Any]:
    return {"name": "h", "address": "127.0.0.1", "port": port, "user": None, "variables": {}}


async def test_messages_are_brought_and_fetched() -> None:
    await dask_worker.begin("run", WHAT)
    fetching = asyncio.create_task(dask_worker.fetch("run"))
    await dask_worker.bring(
        "run", [{"number": 7, "host": host(await free_port()), "seconds": 20.0}]
    )
    (message,) = await fetching
    assert (message["number"], message["verdict"]["ending"]) == (7, "refused")


async def test_a_call_without_messages_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_worker, "WAIT", 0.01)
    await dask_worker.begin("run", WHAT)
    assert await dask_worker.fetch("run") == []


async def test_a_run_that_calls_no_more_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_worker, "FORGOTTEN", 0.01)
    await dask_worker.begin("run", WHAT)
    await until(lambda: "run" not in dask_worker._RUNS)
    for call in (dask_worker.fetch("run"), dask_worker.bring("run", [])):
        with pytest.raises(KeyError):
            await call


async def test_a_run_of_another_version_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="give all one version"):
        await dask_worker.begin("run", {**WHAT, "version": "0"})
