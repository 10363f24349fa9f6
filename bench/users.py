"""The memory of users whose connections do nothing, where each has a process with the own rights.

They log in at nacre-sshd with gates, and at sshd. It needs root, which makes the accounts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.ground import AES, ENDS, Daemon, Ground
from bench.hostile.target import KEY, prepare, serving
from bench.idle import below, pss
from bench.measure import Target, Workload

USERS = 10
FEW, FURTHER = 2, 100
"""Users who have further connections, and how many each."""

WARM = 20
"""Connections before."""

AT_REST = 120.0
"""Seconds within which all session processes of nacre-sshd have ended."""

NACRE, RESTING, SSHD = "nacre-sshd", "nacre-sshd at rest", "sshd"


def idle_user(ground: Ground) -> Workload:
    """Return kB for the first connection of a user."""
    return _workload(
        "idle-user",
        f"memory of the server per user with one idle connection, from PSS: {USERS} users of the "
        "system, each with a process of the own account",
        USERS,
        1,
        1024.0,
    )


def idle_further(ground: Ground) -> Workload:
    """Return kB for each further connection of a user."""
    return _workload(
        "idle-further",
        f"memory of the server per further idle connection of a user, from PSS: {FEW} users "
        f"with {FURTHER} of them",
        FEW,
        FURTHER,
        12.0,
    )


def _workload(name: str, about: str, users: int, count: int, most: float) -> Workload:
    rests = "; at rest is a minute later, when no process of the user is there"
    if os.geteuid() != 0:
        raise SystemExit(f"{name} needs root: each user is an account")
    contenders: dict[str, Callable[[], float]] = {
        NACRE: lambda: _memory("nacre", users, count, at_rest=False),
        RESTING: lambda: _memory("nacre", users, count, at_rest=True),
        SSHD: lambda: _memory("sshd", users, count, at_rest=False),
    }
    target = Target(RESTING, 1.25 * most, most, at_most=True)
    return Workload(name, about + rests, "kB", contenders, targets=[target], rounds=2)


def _memory(name: str, several: int, count: int, *, at_rest: bool) -> float:
    with ExitStack() as stack:
        path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nacre-bench-")))
        users = [stack.enter_context(_account(number)) for number in range(several)]
        prepare(path)
        _, server = stack.enter_context(serving(name, path, ("root", "root")))
        key = path / KEY
        # What each gate makes for its first connections is not for the users measured.
        with _held(server, "root", key, WARM):
            pass
        _settle(server, at_rest=True)  # the process of root is not counted
        if count > 1:
            for user in users:
                stack.enter_context(_held(server, user, key, 1))
        _settle(server, at_rest=at_rest)
        before = pss(server.pid)
        with ExitStack() as holders:
            for user in users:
                holders.enter_context(_held(server, user, key, count))
            _settle(server, at_rest=at_rest)
            return (pss(server.pid) - before) / (several * count)


@contextmanager
def _account(number: int) -> Iterator[str]:
    """Make an account; return its name."""
    name = f"nacre-u{os.getpid()}-{number}"
    subprocess.run(["/usr/sbin/useradd", "--shell", "/bin/sh", "--password", "*", name], check=True)
    try:
        yield name
    finally:
        subprocess.run(["/usr/sbin/userdel", "--force", name], check=True)


@contextmanager
def _held(server: Daemon, user: str, key: Path, count: int) -> Iterator[None]:
    """Hold idle connections of a user."""
    told = {"port": server.port, "user": user, "key": str(key), "cipher": AES}
    job = {**told, "do": "hold", "count": count}
    words = [sys.executable, str(ENDS / "nacre_client.py"), json.dumps(job)]
    with Daemon("idle connections", words) as holder:
        holder.wait_for("^ready", timeout=120)
        yield


def _settle(server: Daemon, *, at_rest: bool) -> None:
    """Wait until all connections rest, or at least a moment."""
    time.sleep(2)
    end = time.monotonic() + AT_REST
    while at_rest and any(map(_serves, below(server.pid))):
        if time.monotonic() > end:
            raise SystemExit("a session process does not end")
        time.sleep(0.5)


def _serves(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text() == "nacre-session\n"
    except (FileNotFoundError, ProcessLookupError):
        return False
