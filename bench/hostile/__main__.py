"""What an honest user notices of an attack: python -m bench.hostile [--kinds NAME,…] [--seconds N]

For each kind of attack, 40 connections from one address attack nacre-sshd, and then sshd. Meanwhile
a session that was open before sends a line every 20 ms to ``cat`` and waits for it, and a user at
another address logs in every half second. Both servers have the limits that are their default. It
needs root, and takes the time of all processors: let nothing else run.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from statistics import median

import nacre
from bench.hostile.attacks import KINDS, attack
from bench.hostile.target import (
    CONDITIONS,
    HONEST,
    PATIENCE,
    SERVERS,
    Target,
    accounts,
    prepare,
    serving,
)
from interop.daemons import Daemon

BEAT = 0.02
"""Seconds between two lines of the open session."""

LOGIN = 0.5
"""Seconds between two logins of the honest user."""


async def measure(
    target: Target, seconds: float, attacked: AbstractContextManager[None]
) -> tuple[list[float], list[float]]:
    """Return the times of the echoes, and of the logins, in milliseconds.

    :param attacked: attacks the server meanwhile, once there is a session.
    """
    async with target.connect(HONEST) as ssh, ssh.process("exec cat") as process:
        await process.stdin.write(b"x\n")
        await process.stdout.readline()
        echoes: list[float] = []
        logins: list[float] = []
        end = float("inf")

        async def echo() -> None:
            while time.monotonic() < end:
                began = time.perf_counter()
                try:
                    async with asyncio.timeout(PATIENCE):
                        await process.stdin.write(b"x\n")
                        await process.stdout.readline()
                except (nacre.NacreError, TimeoutError):
                    echoes.append(float("inf"))
                    return
                echoes.append(1000 * (time.perf_counter() - began))
                await asyncio.sleep(BEAT)

        async def log_in() -> None:
            while time.monotonic() < end:
                began = time.perf_counter()
                try:
                    async with asyncio.timeout(PATIENCE), target.connect(HONEST):
                        logins.append(1000 * (time.perf_counter() - began))
                except (nacre.NacreError, OSError, TimeoutError):
                    logins.append(float("inf"))
                await asyncio.sleep(LOGIN)

        with attacked:
            end = time.monotonic() + seconds
            await asyncio.gather(echo(), log_in())
        return echoes, logins


@contextmanager
def attacking(kind: str, target: Target, daemon: Daemon) -> Iterator[None]:
    """Have a server attacked."""
    if kind == "nothing":
        yield
        return
    condition = CONDITIONS[kind](target, daemon) if kind in CONDITIONS else nullcontext()
    here = [sys.executable, "-m", "bench.hostile", "--attack", kind]
    words = [target.name, str(target.port), str(target.directory), target.attacker, target.honest]
    with condition, subprocess.Popen([*here, *words]) as attacker:
        try:
            time.sleep(2)  # until all connections are there
            yield
            if attacker.poll() is not None:
                raise SystemExit("the attack has ended by itself")
        finally:
            attacker.kill()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.hostile")
    parser.add_argument("--kinds", default=",".join(KINDS), help="some of these")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each kind and server")
    parser.add_argument("--attack", nargs=6, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.attack:
        kind, name, port, place, *users = told.attack
        asyncio.run(attack(kind, Target(name, int(port), Path(place), *users)))
        return
    # Ended from outside, it removes its accounts all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    print(f"{'attack':10} {'server':6} {'echo p50':>9} {'p99':>8} {'login p50':>10} {'max':>9}  ms")
    with (
        tempfile.TemporaryDirectory(prefix="nacre-bench-") as place,
        accounts(Path(place)) as users,
    ):
        directory = Path(place)
        prepare(directory)
        for kind in ("nothing", *told.kinds.split(",")):
            for name in SERVERS:
                # Each begins anew: what one kind has made a server wary of helps with no other.
                with serving(name, directory, users) as (target, daemon):
                    attacked = attacking(kind, target, daemon)
                    times = asyncio.run(measure(target, told.seconds, attacked))
                print(row(kind, name, *times), flush=True)


def row(kind: str, name: str, echoes: list[float], logins: list[float]) -> str:
    """Return a line of the table."""
    ninety_nine = sorted(echoes)[len(echoes) * 99 // 100]
    return (
        f"{kind:10} {name:6} {median(echoes):9.2f} "
        f"{ninety_nine:8.2f} {median(logins):10.1f} {max(logins):9.1f}"
    )


if __name__ == "__main__":
    main()
