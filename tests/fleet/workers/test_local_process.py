"""The program of a worker, in this process, by its messages."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

from fleet.endpoints import free_port
from nacre.fleet.tasks import RunCommand, task_object
from nacre.fleet.workers.local_process import serve


def line(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"


WHAT = {"task": task_object(RunCommand("x")), "login": 20.0, "config": "none", "keywords": []}


async def test_a_worker_answers_each_host_by_its_number_and_ends_with_the_socket() -> None:
    ours, theirs = socket.socketpair()
    work = asyncio.create_task(serve(theirs))
    reader, writer = await asyncio.open_connection(sock=ours)
    port = await free_port()
    host = {"name": "h", "address": "127.0.0.1", "port": port, "user": None, "variables": {}}
    writer.write(line(WHAT) + line({"number": 7, "host": host, "seconds": 20.0}))
    # What is not there any more is passed over.
    writer.write(line({"begin": 99}) + line({"cancel": 99}))
    answer = json.loads(await reader.readline())
    assert answer["number"] == 7
    assert (answer["verdict"]["ending"], answer["verdict"]["phase"]) == ("refused", "connect")
    writer.close()
    await work


async def test_a_worker_without_work_ends() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    await serve(theirs)
