"""Measure nacre beside its peers: python -m bench [--only NAME,…] [--pairs N] [--size MIB]"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench import forward, report
from bench.bulk import KINDS, bulk, tree, wan
from bench.ground import CHACHA, PEERS_PYTHON, Ground, Size
from bench.idle import idle, idle_10000
from bench.jump import jump
from bench.measure import Workload, run
from bench.service import KINDS as SERVICE
from bench.service import service
from bench.small import STARTS, cli, cli_config, cli_mux, commands, logins, starts, stats
from bench.users import idle_further, idle_user

WHOLE = 1024
"""MiB of the large file in a run whose results are kept."""

WORKLOADS: dict[str, Callable[[Ground], Workload]] = {
    **{kind: partial(bulk, kind=kind) for kind in KINDS},
    **{f"{kind}-chacha": partial(bulk, kind=kind, cipher=CHACHA) for kind in KINDS},
    "sftp-tree-get": partial(tree, direction="get"),
    "sftp-tree-put": partial(tree, direction="put"),
    "sftp-stat": partial(stats, at_once=1),
    "sftp-stat-64": partial(stats, at_once=64),
    "login": partial(logins, at_once=1),
    "login-20": partial(logins, at_once=20),
    "exec": commands,
    **{f"{what}-start": partial(starts, what=what) for what in STARTS},
    "cli": cli,
    "cli-config": cli_config,
    "cli-mux": cli_mux,
    "forward-echo": forward.echo,
    "forward-bulk": forward.bulk,
    "jump": jump,
    "wan-get": partial(wan, direction="get"),
    "wan-put": partial(wan, direction="put"),
    "idle": idle,
    "idle-10000": idle_10000,
    "idle-user": idle_user,
    "idle-further": idle_further,
    **{name: partial(service, name=name) for name in SERVICE},
}

ON_REQUEST = {"idle-10000", "idle-user", "idle-further", *SERVICE}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--only", default="", help="workloads, or beginnings of their names")
    parser.add_argument("--pairs", type=int, default=5, help="how often all run in turn")
    parser.add_argument("--size", type=int, default=WHOLE, help="MiB of the large file")
    told = parser.parse_args()
    if not PEERS_PYTHON.exists():
        parser.error(f"the peers' environment is missing: {PEERS_PYTHON}")
    names = chosen(told.only)
    if not names:
        parser.error(f"no workload {told.only!r}: there are {', '.join(WORKLOADS)}")
    # Ended from outside, it ends its servers and removes its files all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    # Installed programs have their modules compiled.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    begin = time.monotonic()
    results = []
    with (
        tempfile.TemporaryDirectory(prefix="nacre-bench-", dir=memory()) as directory,
        Ground(Size.of(told.size), Path(directory)) as ground,
    ):
        for name in names:
            results.append(run(WORKLOADS[name](ground), told.pairs, say))
            say(report.text(results[-1]))
            if told.size == WHOLE:
                report.keep(name, results[-1])
    if told.size == WHOLE:
        report.write()
    else:
        say(f"not written to {report.PAGE.name}: that takes the whole size, {WHOLE}")
    say(f"{time.monotonic() - begin:.0f} seconds")


def chosen(only: str) -> list[str]:
    """Return the names that the words mean: a whole name, else all that begin so."""
    if not only:
        return [name for name in WORKLOADS if name not in ON_REQUEST]
    names = []
    for word in only.split(","):
        same = [name for name in WORKLOADS if name == word]
        names += same or [name for name in WORKLOADS if name.startswith(word)]
    return list(dict.fromkeys(names))


def memory() -> str | None:
    """Return where files lie in memory."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def say(line: str) -> None:
    print(line, flush=True, file=sys.stdout)


if __name__ == "__main__":
    main()
