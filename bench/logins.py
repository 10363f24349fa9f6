"""Does a server grow with the logins it has had: python -m bench.logins [--count N] [--every N]

Users log in to nacre-sshd with a key, run ``true`` and leave. They have accounts that are made for
this, one of which has root's number. After every thousand logins, when the session processes have
ended, a row says how many processes there are, and what the monitor, the gates and the template
hold: descriptors, and the memory that is resident (RSS) and that no other process shares (USS), in
KiB. The exit status is 1 if something has grown. It needs root.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.ground import PEERS_PYTHON as PEERS_PYTHON  # that module sets the path of the tests

# isort: split
import nacre
from interop.daemons import Daemon, on_free_port
from interop.programs import NACRE

CLIENTS = 2
"""Processes that log in."""

AT_ONCE = 4
"""Logins at once of each: together fewer than the first number of MaxStartups."""

ACCOUNTS = 4
"""Users. The first one has root's number, but not what root's shell reads at its start."""

MOST = 1024
"""KiB by which the least USS of a process in the later rows may exceed that in the earlier rows.

Garbage in cycles comes and goes, so one row is no measure. Of 10,000 logins, 4,000 lie between
these, so the bound is 260 bytes of each.
"""

_PATIENCE = 120.0
"""Seconds until the session processes have ended: each waits for ten for another connection."""

_LASTING = ("nacre-gate", "nacre-template")


@dataclass(frozen=True)
class Held:
    """What a process holds.

    :ivar rss: resident memory; ``uss``: what of it is no other process's; in KiB.
    """

    name: str
    descriptors: int
    rss: int
    uss: int

    @classmethod
    def by(cls, pid: int, name: str) -> Held:
        """Read what a process holds."""
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        sizes = {words[0]: int(words[1]) for words in map(str.split, lines)}
        return cls(
            name,
            len(os.listdir(f"/proc/{pid}/fd")),
            sizes["Rss:"],
            sizes["Private_Clean:"] + sizes["Private_Dirty:"],
        )


@dataclass(frozen=True)
class Row:
    """What the server holds after some logins.

    :ivar processes: how many there are, those that have ended and are not waited for included.
    """

    logins: int
    processes: int
    held: tuple[Held, ...]

    def __str__(self) -> str:
        each = (f"{one.descriptors:5} {one.rss:7} {one.uss:7}" for one in self.held)
        return " ".join([f"{self.logins:7} {self.processes:9}", *each])


def at_rest(server: int, logins: int) -> Row:
    """Return what a server holds once its session processes have ended."""
    deadline = time.monotonic() + _PATIENCE
    while "nacre-session" in (found := children(server)).values():
        if time.monotonic() > deadline:
            raise SystemExit("a session process does not end")
        time.sleep(0.2)
    lasting = sorted((name, pid) for pid, name in found.items() if name in _LASTING)
    held = [Held.by(server, "monitor"), *(Held.by(pid, name) for name, pid in lasting)]
    return Row(logins, 1 + len(found), tuple(held))


def children(server: int) -> dict[int, str]:
    """Return the names of the processes that a server has made, by their numbers."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            status = dict(
                line.split(":\t", 1) for line in (entry / "status").read_text().splitlines()
            )
        except (FileNotFoundError, ProcessLookupError):
            continue
        if status["PPid"] == str(server):
            found[int(entry.name)] = status["Name"]
    return found


def grown(rows: Sequence[Row]) -> list[str]:
    """Return what has grown after the first third of the rows, in which memory settles."""
    rows = rows[len(rows) // 3 :]
    first, last = rows[0], rows[-1]
    found = []
    if last.processes > first.processes:
        found.append(f"processes: {first.processes}, then {last.processes}")
    half = len(rows) // 2
    for number, held in enumerate(last.held):
        before = first.held[number].descriptors
        if held.descriptors > before:
            found.append(f"descriptors of {held.name}: {before}, then {held.descriptors}")
        early, late = (
            min(row.held[number].uss for row in some) for some in (rows[:half], rows[half:])
        )
        if late - early > MOST:
            found.append(f"memory of {held.name}: {early}, then {late} KiB")
    return found


# --- who logs in ---


async def log_in(port: int, key: nacre.PrivateKey, users: Sequence[str], count: int) -> None:
    """Log in so many times, as each user in turn."""
    turns = iter(range(count))

    async def one_after_another() -> None:
        for turn in turns:
            async with nacre.connect(
                "127.0.0.1",
                port,
                user=users[turn % len(users)],
                keys=[key],
                agent=False,
                trust=nacre.AnyHostKey(),
                config=None,
            ) as ssh:
                await ssh.run("true", check=True)

    await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))


def serve_parent(port: int, key: Path, users: Sequence[str]) -> None:
    """Log in as often as each line of standard input says, and say when that is done."""
    private = nacre.load_private(key.read_bytes())
    for line in sys.stdin:
        asyncio.run(log_in(port, private, users, int(line)))
        print("done", flush=True)


@contextmanager
def client(port: int, key: Path, users: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """Start a process that logs in when it is told to."""
    words = [sys.executable, "-m", "bench.logins", "--client", str(port), str(key), *users]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def all_log_in(clients: Sequence[subprocess.Popen[str]], count: int) -> None:
    for process in clients:
        assert process.stdin is not None
        process.stdin.write(f"{count // len(clients)}\n")
        process.stdin.flush()
    for process in clients:
        assert process.stdout is not None
        if process.stdout.readline() != "done\n":
            raise SystemExit("a login has failed")


# --- the server ---


@contextmanager
def accounts() -> Iterator[list[str]]:
    """Make the accounts; yield their names."""
    names = [f"nacre-{os.getpid()}-{number}" for number in range(ACCOUNTS)]
    with ExitStack() as stack:
        for name in names:
            words = ["--home-dir", "/", "--shell", "/bin/sh", "--password", "*", name]
            root = ["--non-unique", "--uid", "0"] if name == names[0] else []
            subprocess.run(["/usr/sbin/useradd", *root, *words], check=True)
            stack.callback(subprocess.run, ["/usr/sbin/userdel", "--force", name], check=True)
        yield names


def serving(directory: Path) -> Daemon:
    """Start nacre-sshd, which lets everybody in who has the key."""
    directory.chmod(0o755)  # the accounts read the keys
    key, host_key = (nacre.generate("ssh-ed25519") for _ in range(2))
    (directory / "authorized_keys").write_text(f"{key.public}\n")
    for name, private in (("key", key), ("host_key", host_key)):
        (directory / name).write_bytes(nacre.dump_private(private))
        (directory / name).chmod(0o600)

    def start(port: int) -> Daemon:
        lines = [
            f"ListenAddress 127.0.0.1:{port}",
            f"HostKey {directory / 'host_key'}",
            f"AuthorizedKeysFile {directory / 'authorized_keys'}",
            *("StrictModes no", "UsePAM no", "PermitRootLogin yes", "PidFile none"),
        ]
        config = directory / "config"
        config.write_text("\n".join(lines) + "\n")
        return Daemon("nacre-sshd", [f"{NACRE[0]}-sshd", "-D", "-e", "-f", config])

    return on_free_port(start, r"^listening on")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.logins")
    parser.add_argument("--count", type=int, default=10_000, help="logins")
    parser.add_argument("--every", type=int, default=1000, help="logins between two rows")
    parser.add_argument("--client", nargs="+", help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.client:
        port, key, *users = told.client
        serve_parent(int(port), Path(key), users)
        return
    # Ended from outside, it removes its accounts all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    with (
        tempfile.TemporaryDirectory(prefix="nacre-bench-") as place,
        accounts() as users,
        serving(Path(place)) as server,
        ExitStack() as stack,
    ):
        key = Path(place) / "key"
        clients = [stack.enter_context(client(server.port, key, users)) for _ in range(CLIENTS)]
        rows = [at_rest(server.pid, 0)]
        print(head(rows[0]), rows[0], sep="\n", flush=True)
        for logins in range(told.every, told.count + 1, told.every):
            all_log_in(clients, told.every)
            rows.append(at_rest(server.pid, logins))
            print(rows[-1], flush=True)
    if found := grown(rows):
        raise SystemExit("it has grown: " + "; ".join(found))


def head(row: Row) -> str:
    """Return the lines above the table."""
    names = " ".join(f"{one.name:>21}" for one in row.held)
    columns = " ".join(f"{'fds':>5} {'RSS':>7} {'USS':>7}" for _ in row.held)
    return f"{'':17} {names}\n{'logins':>7} {'processes':>9} {columns}"


if __name__ == "__main__":
    main()
