"""800 logins and logouts leave nothing behind."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from interop.clients import PASSWORD
from interop.daemons import Daemon, State, start_nacre

pytestmark = [pytest.mark.slow, pytest.mark.untraced, pytest.mark.timeout(300)]

AT_ONCE = 8


@dataclass(frozen=True)
class Held:
    """What a process and those that it has started hold; the memory is in bytes."""

    processes: int
    descriptors: int
    threads: int
    memory: int


def _held(pid: int) -> Held:
    """Read it from /proc; the memory is what no file is behind, in bytes.

    They hide it: who is not root sees neither shares of what they share nor descriptors.
    """
    process = Path("/proc") / str(pid)
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    memory, descriptors = int(status["RssAnon"].split()[0]), 0
    if os.geteuid() == 0:
        rollup = (process / "smaps_rollup").read_text()
        pss = next(line for line in rollup.splitlines() if line.startswith("Pss_Anon:"))
        memory, descriptors = int(pss.split()[1]), len(list((process / "fd").iterdir()))
    children = [
        child
        for thread in (process / "task").iterdir()
        for child in (thread / "children").read_text().split()
    ]
    held = [_held(int(child)) for child in children]
    return Held(
        processes=1 + sum(one.processes for one in held),
        descriptors=descriptors + sum(one.descriptors for one in held),
        threads=int(status["Threads"]) + sum(one.threads for one in held),
        memory=memory * 1024 + sum(one.memory for one in held),
    )


def _at_rest(server: Daemon, logins: int) -> Held:
    """Return what is held once the last connection is put away."""
    deadline = time.monotonic() + 20
    while sum(" event=closed " in line for line in server.log) < logins:
        assert time.monotonic() < deadline, "a connection was never closed"
        time.sleep(0.05)
    return _held(server.pid)


async def _log_in(server: Daemon, times: int, **how: Any) -> None:
    """Log in, run a command and log out, AT_ONCE at a time."""

    async def one_after_another() -> None:
        for _ in range(times // AT_ONCE):
            async with asyncssh.connect(
                "127.0.0.1",
                server.port,
                username="any",
                known_hosts=None,
                config=None,
                agent_path=None,
                **how,
            ) as connection:
                done = await connection.run("exit 7")
                assert done.exit_status == 7

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(one_after_another())


async def test_eight_hundred_logins(state: State, keys: dict[str, Path]) -> None:
    key = asyncssh.read_private_key(keys["ed25519"])
    with start_nacre(state) as server:
        # The process of the user has its threads, and memory for each of them, after some hundred.
        await _log_in(server, 320, client_keys=[key])
        await _log_in(server, 80, client_keys=None, password=PASSWORD)
        first = _at_rest(server, 400)
        await _log_in(server, 360, client_keys=[key])
        await _log_in(server, 40, client_keys=None, password=PASSWORD)
        last = _at_rest(server, 800)
    assert last.processes == first.processes
    assert last.descriptors <= first.descriptors
    # A user's calls have four threads, each of which starts when the others are busy.
    assert last.threads <= first.threads + 4
    assert last.memory - first.memory < 3_000_000
