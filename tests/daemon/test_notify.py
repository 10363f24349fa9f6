"""What a manager of services is told, played by a socket."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nacre.daemon.notify import (
    READY,
    keep_notifying,
    notify,
    notify_reloading,
    watchdog_seconds,
)


@pytest.fixture(params=["path", "abstract"])
def manager(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        if request.param == "path":
            sock.bind(str(tmp_path / "notify"))
            monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        else:
            name = f"nacre-test-{os.getpid()}"
            sock.bind(f"\0{name}")
            monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        sock.settimeout(30)
        yield sock


def test_lines_reach_the_manager(manager: socket.socket) -> None:
    notify(READY, "STATUS=serving")
    assert manager.recv(100) == b"READY=1\nSTATUS=serving"
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notify_reloading()
    first, _, told = manager.recv(100).decode().partition("\nMONOTONIC_USEC=")
    assert first == "RELOADING=1"
    assert before <= int(told) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


@pytest.mark.parametrize("name", ["", "relative", "/no/such/socket"])
def test_a_manager_that_is_not_there_is_ignored(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    notify(READY)


@pytest.mark.parametrize(
    ("told", "pid", "seconds"),
    [
        ("4000000", None, 2.0),
        ("4000000", "own", 2.0),
        ("4000000", "1", None),
        ("0", None, None),
        ("soon", None, None),
        (None, None, None),
    ],
)
def test_the_watchdog_is_told_twice_as_often_as_it_wants(
    told: str | None, pid: str | None, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = str(os.getpid()) if pid == "own" else pid
    for name, value in (("WATCHDOG_USEC", told), ("WATCHDOG_PID", pid)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert watchdog_seconds() == seconds


async def test_it_goes_on_telling(manager: socket.socket) -> None:
    task = asyncio.create_task(keep_notifying(0.001))
    for _ in range(3):
        assert await asyncio.to_thread(manager.recv, 100) == b"WATCHDOG=1"
    task.cancel()
