"""A million users beside a hundred: python -m bench.million [--users N] [--logins N]

Both stores are filled by one import each. What a login asks of the store, whole logins, and what
the start of a server and `nacre user list` cost are measured in turn, in one run.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.ground import PEERS_PYTHON as PEERS_PYTHON  # that module sets the path of the tests

# isort: split
import nacre
from interop.daemons import Daemon
from nacre.daemon.accounts.virtual.roots import check_roots
from nacre.daemon.store.store import FILE, UserStore

FEW = 100
LOOKUPS, ROUNDS = 2000, 7
_TYPE = b"ssh-ed25519"
_NACRE = [sys.executable, "-m", "nacre"]
_RUN_AS = ["--run-as", "root"] if os.geteuid() == 0 else []


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.million")
    parser.add_argument("--users", type=int, default=1_000_000, help="of the large store")
    parser.add_argument("--logins", type=int, default=20, help="on each server, in each round")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nacre-bench-") as directory:
        top = Path(directory)
        key = nacre.generate("ssh-ed25519")
        states = {count: top / str(count) for count in (FEW, told.users)}
        for count, state in states.items():
            _fill(state, count, str(key.public))
        for line in _compare(states, key, told.logins):
            print(line, flush=True)


def _fill(state: Path, count: int, key: str) -> None:
    """Make a store by one import; each user has a key of the own, and the first one ``key``."""
    group = ["group", "add", "everybody", "--service", "sftp", "--root", "/srv/%u"]
    subprocess.run([*_NACRE, *group, "--state", state, *_RUN_AS], check=True)
    table = state.with_suffix(".csv")
    with table.open("w") as file:
        file.write("name,groups,keys\n")
        for number in range(count):
            blob = struct.pack(">I", len(_TYPE)) + _TYPE + struct.pack(">I", 32) + os.urandom(32)
            own = f"ssh-ed25519 {base64.b64encode(blob).decode()}" if number else key
            file.write(f"{_name(number)},everybody,{own}\n")
    seconds, memory = _cost([*_NACRE, "user", "import", str(table), "--state", str(state)])
    size = (state / FILE).stat().st_size >> 20
    print(f"import of {count}: {seconds:.1f} s, {memory} MiB of memory, a store of {size} MiB")
    seconds, memory = _cost([*_NACRE, "user", "list", "--json", "--state", str(state)])
    print(f"list of {count}: {seconds:.1f} s, {memory} MiB of memory", flush=True)


def _name(number: int) -> str:
    return f"user{number:07}"


def _cost(command: list[str]) -> tuple[float, int]:
    """Return the seconds that a command takes, and the most memory that it has, in MiB."""
    begin = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} failed")
    return time.monotonic() - begin, used.ru_maxrss >> 10


def _compare(states: dict[int, Path], key: nacre.PrivateKey, logins: int) -> Iterator[str]:
    few, many = states
    stores = {count: UserStore(state / FILE, create=False) for count, state in states.items()}
    for what, measure in (
        ("the lookups of a login", _lookups),
        ("the checks at the start", _checks),
    ):
        taken: dict[int, list[float]] = {few: [], many: []}
        for _ in range(ROUNDS):
            for count, store in stores.items():
                taken[count].append(measure(store, count))
        yield _line(what, taken)
    for store in stores.values():
        store.close()
    with _served(states[few]) as one, _served(states[many]) as other:
        ports = {few: one, many: other}
        taken = {few: [], many: []}
        for _ in range(ROUNDS):
            for count, port in ports.items():
                taken[count].append(asyncio.run(_log_in(port, key, logins)))
        yield _line("a login", taken)


def _line(what: str, taken: dict[int, list[float]]) -> str:
    (few, one), (many, other) = ((n, statistics.median(found)) for n, found in taken.items())
    return (
        f"{what}: {one * 1e6:.0f} µs with {few} users, {other * 1e6:.0f} µs with {many}, "
        f"ratio {other / one:.2f}"
    )


def _lookups(store: UserStore, count: int) -> float:
    """Return the seconds of what one login asks, of users drawn at random."""
    key = nacre.generate("ssh-ed25519").public
    names = [_name(random.randrange(count)) for _ in range(LOOKUPS)]
    begin = time.perf_counter()
    for name in names:
        store.policies()
        store.find(name)
        store.key_options(name, key)
    return (time.perf_counter() - begin) / LOOKUPS


def _checks(store: UserStore, _count: int) -> float:
    begin = time.perf_counter()
    check_roots(store, None)
    store.has_shell_user()
    return time.perf_counter() - begin


@contextmanager
def _served(state: Path) -> Iterator[int]:
    """Serve a state; yield the port."""
    words = [*_NACRE, "serve", "--state", str(state), "--listen", "127.0.0.1:0", *_RUN_AS]
    with Daemon("nacre serve", words) as daemon:
        yield int(daemon.wait_for(r"^listening on .*:(\d+)$", timeout=120)[1])


async def _log_in(port: int, key: nacre.PrivateKey, count: int) -> float:
    """Return the seconds of one of several logins, one after another."""
    begin = time.perf_counter()
    for _ in range(count):
        async with nacre.connect(
            "127.0.0.1", port, user=_name(0), keys=[key], agent=False, trust=nacre.AnyHostKey()
        ):
            pass
    return (time.perf_counter() - begin) / count


if __name__ == "__main__":
    main()
