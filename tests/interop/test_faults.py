"""A thousand faults of the network: nothing hangs, lies, leaks, or prints a traceback.

``make faults`` runs them all (NACRE_FAULTS, from NACRE_FAULTS_SEED on); the suite runs some.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import nacre
from interop.daemons import start_sshd
from interop.fault_proxy import HARMLESS, Fault, FaultProxy
from interop.fault_trials import LIBRARY, LIBRARY_TO_SSHD, PROGRAMS, SSH1, Trial, serve
from nacre.errors import NacreError
from parties import open_files

TRIALS = int(os.environ.get("NACRE_FAULTS", "0")) or 32
SEED = int(os.environ.get("NACRE_FAULTS_SEED", "0")) or 1
DEADLINE = 30.0

Works = dict[str, Callable[[Trial], Awaitable[None]]]


class Watch:
    """What a trial may leave: no task, no descriptor, no complaint."""

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self.tasks = asyncio.all_tasks()
        self.files = open_files()
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: self.complaints.append(f"asyncio: {context}")
        )

    async def settle(self, server: nacre.Server | None) -> None:
        """Wait until everything of the trial has ended, and say what has not."""
        try:
            async with asyncio.timeout(DEADLINE):
                while server is not None and server.connections:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                while asyncio.all_tasks() - self.tasks or open_files() > self.files:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        except TimeoutError:
            left = [str(task) for task in asyncio.all_tasks() - self.tasks]
            links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
            names = [os.readlink(link) for link in links if os.path.lexists(link)]
            raise AssertionError(
                f"left: {left}, {server and server.connections}, {open_files()} files for "
                f"{self.files}: {names}"
            ) from None
        gc.collect()  # a task whose exception nobody took complains now


async def measure(
    works: Works, target: int, make: Callable[[int, random.Random], Trial]
) -> dict[str, tuple[int, int]]:
    """Return the bytes of each work in both directions, when nothing goes wrong."""
    totals = {}
    for name, work in works.items():
        async with FaultProxy(target) as proxy:
            await work(make(proxy.port, random.Random(name)))
            totals[name] = proxy.totals[0], proxy.totals[1]
    return totals


async def try_all(
    pairing: str,
    works: Works,
    count: int,
    target: int,
    server: nacre.Server | None,
    make: Callable[[int, random.Random], Trial],
    caplog: pytest.LogCaptureFixture,
) -> Counter[str]:
    """Do ``count`` trials, and return how they ended."""
    ended: Counter[str] = Counter()
    totals = await measure(works, target, make)
    watch = Watch()
    await watch.settle(server)
    watch.files = open_files()
    wrong: list[str] = []
    names = list(works)
    for number in range(count):
        draw = random.Random(f"{SEED} {pairing} {number}")
        name = names[number % len(names)]
        fault = Fault.drawn(draw, totals[name])
        caplog.clear()
        watch.complaints.clear()
        what = "passed"
        trial = make(0, draw)
        try:
            async with asyncio.timeout(DEADLINE), FaultProxy(target, fault) as proxy:
                trial.port = proxy.port
                try:
                    await works[name](trial)
                except (NacreError, OSError, asyncio.IncompleteReadError) as error:
                    what = "failed"
                    if fault.kind in HARMLESS or not proxy.hit:
                        wrong.append(
                            f"{number} {name}, {fault}: failed without a reason: {error!r}"
                        )
            await watch.settle(server)
        except TimeoutError:
            wrong.append(f"{number} {name}, {fault}, {trial.options}: hangs")
        except AssertionError as error:
            wrong.append(f"{number} {name}, {fault}, {trial.options}: {error}"[:2000])
        said = [r.getMessage() for r in caplog.records if r.exc_info or r.levelno >= logging.ERROR]
        if said or watch.complaints:
            wrong.append(f"{number} {name}, {fault}: {said} {watch.complaints}"[:3000])
        ended[f"{fault.kind} {what}" if proxy.hit else "not met"] += 1
    assert not wrong, f"seed {SEED}, {pairing}:\n" + "\n".join(wrong)
    return ended


def maker(key: Path, directory: Path, direct: int) -> Callable[[int, random.Random], Trial]:
    return lambda port, draw: Trial(port, direct, key, directory, draw)


def share(part: float) -> int:
    return max(1, round(TRIALS * part))


@pytest.fixture(autouse=True)
def no_more_threads() -> Any:
    """Check that what many trials start, they also end."""
    before = threading.active_count()
    yield
    assert threading.active_count() - before <= 8, threading.enumerate()


@pytest.mark.slow
@pytest.mark.untraced
@pytest.mark.timeout(120 + 5 * TRIALS)
@pytest.mark.parametrize(
    ("pairing", "works", "part"),
    [("nacre to nacre", LIBRARY, 0.55), ("programs to nacre", PROGRAMS, 0.15)],
)
async def test_faults_between_clients_and_nacre(
    pairing: str,
    works: Works,
    part: float,
    keys: dict[str, Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    record_property: Callable[[str, object], None],
) -> None:
    key = keys["ed25519"]
    async with await serve(nacre.load_private(key.read_bytes())) as server:
        make = maker(key, tmp_path, server.port)
        ended = await try_all(pairing, works, share(part), server.port, server, make, caplog)
    lines = "\n".join(f"{how:16} {many}" for how, many in sorted(ended.items()))
    record_property(f"table: faults, {pairing}", lines)


@pytest.mark.slow
@pytest.mark.untraced
@pytest.mark.timeout(120 + 5 * TRIALS)
async def test_faults_of_ssh1(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = nacre.generate("rsa1", bits=1024)

    def make(port: int, draw: random.Random) -> Trial:
        return Trial(port, server.port, key, tmp_path, draw, protocols=(1,), limit=2.0)

    async with await serve(key) as server:
        await try_all("SSH-1", SSH1, share(0.05), server.port, server, make, caplog)


@pytest.mark.slow
@pytest.mark.untraced
@pytest.mark.timeout(120 + 5 * TRIALS)
async def test_faults_between_nacre_and_openssh(
    host_keys: dict[str, Path],
    authorized_keys: Path,
    keys: dict[str, Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    record_property: Callable[[str, object], None],
) -> None:
    patience = ["ClientAliveInterval 1", "ClientAliveCountMax 2", "LoginGraceTime 5"]
    subsystem = "Subsystem sftp internal-sftp"
    hosts = [host_keys["ed25519"]]
    with start_sshd(tmp_path, hosts, authorized_keys, *patience, subsystem) as sshd:
        make = maker(keys["ed25519"], tmp_path, sshd.port)
        pairing = "nacre to sshd"
        works = LIBRARY_TO_SSHD
        ended = await try_all(pairing, works, share(0.25), sshd.port, None, make, caplog)
    lines = "\n".join(f"{how:16} {many}" for how, many in sorted(ended.items()))
    record_property(f"table: faults, {pairing}", lines)
