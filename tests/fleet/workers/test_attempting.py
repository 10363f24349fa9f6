"""The side of a worker that makes attempts, by its messages."""

from __future__ import annotations

from typing import Any

from fleet.endpoints import free_port
from nacre.fleet.tasks import RunCommand, task_object
from nacre.fleet.workers.attempting import AttemptingWorker
from parties import until

WHAT = {"task": task_object(RunCommand("hang")), "login": 20.0, "config": "none", "keywords": []}


def host(port: int) -> dict[str, Any]:
    return {"name": "h", "address": "127.0.0.1", "port": port, "user": None, "variables": {}}


async def test_each_host_has_its_verdict_by_its_number() -> None:
    said: list[dict[str, Any]] = []
    worker = AttemptingWorker(WHAT, said.append)
    worker.take({"number": 7, "host": host(await free_port()), "seconds": 20.0})
    # What is not there any more is passed over.
    worker.take({"begin": 99})
    worker.take({"cancel": 99})
    await until(lambda: said != [])
    (message,) = said
    assert message["number"] == 7
    assert (message["verdict"]["ending"], message["verdict"]["phase"]) == ("refused", "connect")
    await worker.end()


async def test_a_host_that_is_cancelled_has_no_verdict(make_server: Any) -> None:
    server = await make_server()
    said: list[dict[str, Any]] = []
    worker = AttemptingWorker({**WHAT, "keywords": ["ConnectTimeout=20"]}, said.append)
    worker.take({"number": 1, "host": host(server.port), "seconds": 20.0})
    worker.take({"cancel": 1})
    await worker.end()
    assert said == []
