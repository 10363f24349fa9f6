"""The memory of connections that do nothing, and whether ten thousand of them answer."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

from bench.bulk import ASYNCSSH, CLIENT, NACRE
from bench.ground import Daemon, Ground
from bench.measure import Target, Workload


def idle(ground: Ground) -> Workload:
    """Return kB per idle connection on the server."""
    count = ground.size.idle
    return Workload(
        "idle",
        f"memory of the server per idle connection that is logged in, from PSS: {count} "
        f"connections, and {count // 10} of sshd, which has a process for each",
        "kB",
        {
            NACRE: lambda: _memory(ground, ground.start_nacre, count),
            ASYNCSSH: lambda: _memory(ground, ground.start_asyncssh, count),
            CLIENT: lambda: _memory(ground, ground.start_sshd, count // 10),
        },
        targets=[Target(NACRE, 15.0, 8.0, at_most=True)],
        rounds=2,
    )


def _memory(ground: Ground, start: Callable[[], Daemon], count: int) -> float:
    with start() as server, ground.hold(server, 1) as first:
        # What the first connection loads is not the second's.
        first.wait_for("^ready", timeout=60)
        before = pss(server.pid)
        with ground.hold(server, count) as holder:
            holder.wait_for("^ready", timeout=240)
            return (pss(server.pid) - before) / count


def idle_10000(ground: Ground) -> Workload:
    """Return kB per connection with ten thousand of them, all of which answer a keepalive."""
    return Workload(
        "idle-10000",
        "memory per connection of one `nacre serve` that holds 10,000 connections from four "
        "processes, all of which answer a keepalive",
        "kB",
        {NACRE: lambda: _ten_thousand(ground)},
        targets=[Target(NACRE, 15.0, 8.0, at_most=True)],
        rounds=1,
    )


def _ten_thousand(ground: Ground, processes: int = 4, each: int = 2500) -> float:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = processes * each + 200
    if limits[0] < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, max(needed, limits[1])))
    with ExitStack() as stack:
        server = stack.enter_context(ground.start_nacre())
        stack.enter_context(ground.hold(server, 1)).wait_for("^ready", timeout=60)
        before = pss(server.pid)
        holders = [stack.enter_context(ground.hold(server, each)) for _ in range(processes)]
        for holder in holders:
            holder.wait_for("^ready", timeout=500)
        memory = pss(server.pid) - before
        for holder in holders:
            holder.process.send_signal(signal.SIGUSR1)
        for holder in holders:
            answered = holder.wait_for(r"^answered (\d+) ([\d.]+)", timeout=150)
            print(f"{answered[1]} connections answered a keepalive within {answered[2]} s")
        return memory / (processes * each)


def pss(pid: int) -> float:
    """Return the kB of a process and all below it: their own, and their part of what is shared."""
    whole = 0.0
    for process in (pid, *below(pid)):
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        whole += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return whole


def below(pid: int) -> list[int]:
    """Return the processes that a process has started, and those that they have."""
    parents: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with closing(open(f"/proc/{entry}/stat", "rb")) as file:
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents.setdefault(parent, []).append(int(entry))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found
