"""2,000 logins and logouts leave nothing behind."""

from __future__ import annotations

import asyncio
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
    """What a process holds."""

    descriptors: int
    threads: int
    children: int
    memory: int


def _held(pid: int) -> Held:
    """Read it from /proc; memory is the proportional set size in bytes."""
    process = Path("/proc") / str(pid)
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    rollup = (process / "smaps_rollup").read_text()
    pss = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
    children = [
        child
        for thread in (process / "task").iterdir()
        for child in (thread / "children").read_text().split()
    ]
    return Held(
        descriptors=len(list((process / "fd").iterdir())),
        threads=int(status["Threads"]),
        children=len(children),
        memory=int(pss.split()[1]) * 1024,
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


async def test_two_thousand_logins(state: State, keys: dict[str, Path]) -> None:
    key = asyncssh.read_private_key(keys["ed25519"])
    with start_nacre(state) as server:
        await _log_in(server, 160, client_keys=[key])
        await _log_in(server, 40, client_keys=None, password=PASSWORD)
        first = _at_rest(server, 200)
        await _log_in(server, 1600, client_keys=[key])
        await _log_in(server, 200, client_keys=None, password=PASSWORD)
        last = _at_rest(server, 2000)
    assert last.children == first.children == 0
    assert last.descriptors <= first.descriptors
    assert last.threads <= first.threads
    assert last.memory - first.memory < 5_000_000
