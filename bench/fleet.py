"""A fleet of real endpoints on loopback addresses, some of which misbehave: python -m bench.fleet

The servers run in a process of their own. Of the hosts 5 % refuse, hang in each phase, or die
while the task runs; the run has to end within its deadline, with the right verdict for each. It
prints the processor time of the run and the memory that it took for a host, and fails where a
verdict is wrong or a host takes more than 60 kB.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
from collections import Counter
from itertools import cycle
from pathlib import Path
from typing import Any

import nacre
import nacre.fleet
from nacre.fleet import FleetHost, FleetPlan

PASSWORD = "of the bench"
_BYTES = 60_000
"""What a host may take, by the issue."""

BAD = {
    "refuses": "refused (connect)",
    "silent": "timeout (version)",
    "stuck": "timeout (kex)",
    "undecided": "timeout (authentication)",
    "hangs": "timeout (run)",
    "dies": "unknown",
}
"""What hosts do that misbehave, and their verdicts."""


class _Undecided(nacre.Users):
    """Never answers one of the users."""

    def password(self, user: str, password: str, connection: Any) -> Any:
        if user == "undecided":
            return asyncio.Event().wait()
        return super().password(user, password, connection)


async def _handle(session: nacre.Session) -> int:
    if session.user == "hangs":
        await asyncio.Event().wait()
    if session.user == "dies":
        session.connection.abort()
    await session.stdout.write(b"the same everywhere\n")
    return 0


async def serve(key: nacre.PublicKey | None) -> None:
    """Serve the endpoints until standard input ends, after a line with their ports.

    :param key: one that lets in as well.
    """
    users: dict[str, Any] = dict.fromkeys(("good", *BAD), PASSWORD)
    if key is not None:
        users["good"] = [PASSWORD, key]
    server = await nacre.listen(
        host_keys=[nacre.generate("ssh-ed25519")],
        policy=_Undecided(users),
        handler=_handle,
        log=lambda record: None,
        host="0.0.0.0",
        max_startups="10000",
    )
    kept: list[asyncio.StreamWriter] = []

    def saying(text: bytes) -> Any:
        def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(text)
            kept.append(writer)

        return asyncio.start_server(keep, "0.0.0.0", 0)

    silent, stuck = await saying(b""), await saying(b"SSH-2.0-stuck\r\n")
    closed = await saying(b"")
    ports = {"good": server.port, "refuses": closed.sockets[0].getsockname()[1]}
    closed.close()
    ports |= {"silent": silent.sockets[0].getsockname()[1]}
    ports |= {"stuck": stuck.sockets[0].getsockname()[1]}
    print(json.dumps(ports), flush=True)
    await asyncio.to_thread(sys.stdin.read)


def _hosts(count: int, ports: dict[str, int]) -> list[FleetHost]:
    kinds = cycle(BAD)
    found = []
    for number in range(count):
        kind = next(kinds) if number % 20 == 0 else "good"
        address = f"127.{1 + number // 62500}.{number // 250 % 250}.{1 + number % 250}"
        port = ports.get(kind, ports["good"])
        found.append(FleetHost(f"{kind}-{number}", address, port, kind))
    return found


async def measure(count: int, parallel: int, ports: dict[str, int]) -> bool:
    """Run the fleet, and return whether all was right."""
    warm = _hosts(20, {**ports, **dict.fromkeys(BAD, ports["good"])})[1:2]
    options: dict[str, Any] = {
        "password": PASSWORD,
        "keys": [],
        "agent": False,
        "trust": nacre.AnyHostKey(),
        "config": None,
    }
    await nacre.fleet.run(warm, "x", **options)
    before = resource.getrusage(resource.RUSAGE_SELF)
    plan = FleetPlan(parallel=parallel, login=20, timeout=40, deadline=900)
    report = await nacre.fleet.run(_hosts(count, ports), "x", plan=plan, **options)
    after = resource.getrusage(resource.RUSAGE_SELF)
    wrong = Counter(
        (name.partition("-")[0], verdict.summary)
        for name, verdict in report.verdicts.items()
        if verdict.summary != BAD.get(name.partition("-")[0], "ok")
    )
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    size = (after.ru_maxrss - before.ru_maxrss) * 1024 / count
    print(f"{count:,} hosts, {parallel} at a time: {dict(report.counts())}")
    print(f"{seconds / count * 1000:.1f} ms of the processor and {size / 1000:.1f} kB for a host")
    for (kind, summary), number in sorted(wrong.items()):
        print(f"wrong: {number} that should be {kind} are {summary}")
    return not wrong and size <= _BYTES


def main() -> int:
    """Start the servers and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hosts", type=int, default=2000)
    parser.add_argument("--parallel", type=int, default=100)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--key", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        key = None
        if arguments.key is not None:
            key, _ = nacre.load_public(Path(arguments.key).read_bytes())
        asyncio.run(serve(key))
        return 0
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    command = [sys.executable, "-m", "bench.fleet", "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as servers:
        assert servers.stdout is not None
        assert servers.stdin is not None
        ports = json.loads(servers.stdout.readline())
        try:
            right = asyncio.run(measure(arguments.hosts, arguments.parallel, ports))
        finally:
            servers.stdin.close()
            servers.kill()
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
