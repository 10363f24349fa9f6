"""What costs round trips and processes: stats, logins, commands, the start of the program."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from bench.bulk import ASYNCSSH, CLIENT, NACRE, OPENSSH
from bench.ground import Daemon, Ground, environment
from bench.measure import Comparison, Target, Workload

WORKERS = "nacre-nacre (2 workers)"
ACCOUNT = "nacre-nacre (own account)"
"""A server of root, whose user has another account."""

HOSTS = 300
"""Blocks of the file of ``cli-config``, each with four keywords; the last is the host's."""


def stats(ground: Ground, at_once: int) -> Workload:
    """Return stats, one after another or so many at once."""
    count = ground.size.stats // at_once * at_once
    fewer = max(at_once, count // 4 // at_once * at_once)

    def stat(library: str, server: Daemon, count: int) -> float:
        path = str(ground.blob(1 << 20))
        return count / ground.library(
            library, server, "stat", path=path, count=count, at_once=at_once
        )

    contenders = {
        NACRE: lambda: stat("nacre", ground.nacre, count),
        ASYNCSSH: lambda: stat("asyncssh", ground.asyncssh, fewer),
        CLIENT: lambda: stat("nacre", ground.sshd, count),
        "AsyncSSH-sshd": lambda: stat("asyncssh", ground.sshd, fewer),
    }
    comparisons = [
        Comparison(NACRE, ASYNCSSH, *((3.0, 5.0) if at_once == 1 else ())),
        Comparison(CLIENT, "AsyncSSH-sshd"),
    ]
    if at_once == 1:
        contenders["Paramiko-sshd"] = lambda: stat("paramiko", ground.sshd, fewer)
        comparisons.append(Comparison(CLIENT, "Paramiko-sshd"))
    return Workload(
        "sftp-stat" if at_once == 1 else f"sftp-stat-{at_once}",
        f"{count} stats ({fewer} by the peers), "
        + ("one after another" if at_once == 1 else f"{at_once} at a time"),
        "stats/s",
        contenders,
        comparisons,
    )


def logins(ground: Ground, at_once: int) -> Workload:
    """Return whole connections: kex, Ed25519 login, `true`, goodbye."""
    count = ground.size.logins if at_once > 1 else ground.size.logins // 4

    def login(library: str, server: Daemon, count: int = count) -> float:
        return count / ground.library(library, server, "login", count=count, at_once=at_once)

    return Workload(
        "login" if at_once == 1 else f"login-{at_once}",
        f"{count} connections, each logs in with Ed25519 and runs `true`, "
        + ("one after another" if at_once == 1 else f"{at_once} at a time")
        + "; OpenSSH starts a process for each",
        "logins/s",
        {
            NACRE: lambda: login("nacre", ground.nacre),
            WORKERS: lambda: login("nacre", ground.nacre_workers),
            **({ACCOUNT: lambda: login("nacre", ground.nacre_account)} if not os.geteuid() else {}),
            ASYNCSSH: lambda: login("asyncssh", ground.asyncssh),
            OPENSSH: lambda: _openssh_logins(ground, max(20, count // 4), at_once),
            CLIENT: lambda: login("nacre", ground.sshd, max(20, count // 4)),
            "AsyncSSH-sshd": lambda: login("asyncssh", ground.sshd, max(20, count // 4)),
            "Paramiko-sshd": lambda: login("paramiko", ground.sshd, max(20, count // 4)),
        },
        [
            Comparison(NACRE, ASYNCSSH, *((4.0, 8.0) if at_once > 1 else ())),
            Comparison(WORKERS, ASYNCSSH),
            Comparison(NACRE, OPENSSH),
            Comparison(CLIENT, "AsyncSSH-sshd"),
            Comparison(CLIENT, "Paramiko-sshd"),
        ],
    )


def _openssh_logins(ground: Ground, count: int, at_once: int) -> float:
    host = f"{ground.login(ground.sshd).user}@127.0.0.1"
    command = ground.program("OpenSSH", "ssh", ground.sshd, host, "true")
    begin = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(lambda _: ground.time(command), range(count)))
    return count / (time.perf_counter() - begin)


def commands(ground: Ground) -> Workload:
    """Return commands, one after another on one connection."""
    count = ground.size.commands

    fewer = max(20, count // 4)

    def run(library: str, server: Daemon, count: int = count) -> float:
        return count / ground.library(library, server, "exec", count=count)

    return Workload(
        "exec",
        f"`true` {count} times (Paramiko {fewer}), one after another on one connection",
        "commands/s",
        {
            NACRE: lambda: run("nacre", ground.nacre),
            ASYNCSSH: lambda: run("asyncssh", ground.asyncssh),
            CLIENT: lambda: run("nacre", ground.sshd),
            "AsyncSSH-sshd": lambda: run("asyncssh", ground.sshd),
            "Paramiko-sshd": lambda: run("paramiko", ground.sshd, fewer),
        },
        [
            Comparison(NACRE, ASYNCSSH),
            Comparison(CLIENT, "AsyncSSH-sshd"),
            Comparison(CLIENT, "Paramiko-sshd"),
        ],
    )


STARTS = {
    "sftp": ("a session of SFTP, until VERSION is there", 2.5, 1.5),
    "command": ("`true`, until its exit status is there", 1.3, 1.15),
    "terminal": ("`true` at a terminal, until its exit status is there", 1.3, 1.15),
}
"""What begins, and how much longer than with sshd it may and should take at most."""


def starts(ground: Ground, what: str) -> Workload:
    """Return how long the start of a session takes on a connection that is open.

    :param what: one of :data:`STARTS`.
    """
    about, bar, stretch = STARTS[what]
    count = max(20, ground.size.commands // 2)

    def milliseconds(server: Daemon) -> float:
        return ground.library("nacre", server, "start", what=what, count=count) * 1e3

    ours = {
        "nacre-sshd": lambda: milliseconds(ground.nacre_sshd),
        "nacre serve": lambda: milliseconds(ground.nacre),
    }
    if what == "sftp":
        ours["nacre-sshd (confined)"] = lambda: milliseconds(ground.nacre_sshd_confined)
    return Workload(
        f"{what}-start",
        f"{about}: the median of {count} on one connection, 20 ms apart, so that it counts what a "
        "server has ready; the client is nacre",
        "ms",
        {**ours, "sshd": lambda: milliseconds(ground.sshd)},
        [Comparison(one, "sshd", bar, stretch, at_most=True) for one in ours],
    )


def cli(ground: Ground) -> Workload:
    """Return `nacre ssh host true` and `ssh host true`, both with sshd."""
    host = f"{ground.login(ground.sshd).user}@127.0.0.1"

    def milliseconds(client: str) -> float:
        command = ground.program(client, "ssh", ground.sshd, host, "true")
        return ground.time(command) * 1e3

    return Workload(
        "cli",
        "the whole run of `nacre ssh host true` and of `ssh host true`, both with sshd",
        "ms",
        {"nacre ssh": lambda: milliseconds("nacre"), "ssh": lambda: milliseconds("OpenSSH")},
        [Comparison("nacre ssh", "ssh", 1.3, 1.0, at_most=True)],
        rounds=15,
    )


def cli_mux(ground: Ground) -> Workload:
    """Return `nacre ssh host true` and `ssh host true` through the connections of masters."""
    host = f"{ground.login(ground.sshd).user}@127.0.0.1"

    def milliseconds(client: str, master: str) -> float:
        path = str(ground.directory / f"{master}-master")

        def command(program: str, *words: str) -> list[str]:
            return ground.program(program, "ssh", ground.sshd, "-S", path, *words)

        if not os.path.exists(path):
            start = command(master, "-M", "-N", "-f", host)
            # It would outlive the server, whose process of this connection does.
            ground.at_end(command(master, "-O", "exit", host))
            subprocess.run(start, env=environment(), check=True, timeout=60)
        return ground.time(command(client, host, "true")) * 1e3

    ours, theirs = "nacre", "OpenSSH"
    return Workload(
        "cli-mux",
        "the whole run of `nacre ssh host true` and of `ssh host true` through the connections of "
        "`nacre ssh -M` and of `ssh -M`, with sshd",
        "ms",
        {
            "nacre ssh": lambda: milliseconds(ours, theirs),
            "ssh": lambda: milliseconds(theirs, theirs),
            "nacre ssh (nacre's master)": lambda: milliseconds(ours, ours),
            "ssh (nacre's master)": lambda: milliseconds(theirs, ours),
        },
        [
            Comparison("nacre ssh", "ssh", at_most=True),
            Comparison("nacre ssh (nacre's master)", "ssh", at_most=True),
        ],
        [
            Target("nacre ssh", 25.0, 15.0, at_most=True),
            Target("nacre ssh (nacre's master)", 25.0, 15.0, at_most=True),
        ],
        rounds=15,
    )


def _processor_time(command: Sequence[str]) -> float:
    """Return the seconds of processor time that a program takes."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=environment(),
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def cli_config(ground: Ground) -> Workload:
    """Return what a configuration file adds to the start of `nacre ssh` and of `ssh`.

    Processor time is measured, with `-G`, which reads the configuration as a session does and makes
    no connection: a session's time varies by more than a file costs.
    """
    user = ground.login(ground.sshd).user
    host = f"{user}@127.0.0.1"
    file = ground.directory / "config"
    blocks = [
        f"Host host{number} *.zone{number}.example.org\n    HostName host{number}.example.org\n"
        f"    User user{number}\n    Port {2000 + number}\n    IdentityFile ~/.ssh/{number}\n"
        for number in range(1, HOSTS)
    ]
    last = (
        f"Host 127.0.0.1\n    HostName 127.0.0.1\n    User {user}\n"
        f"    Port {ground.sshd.port}\n    IdentityFile {ground.key}\n"
    )
    file.write_text("".join([*blocks, last]))
    home = ground.directory / "home"
    home.mkdir(exist_ok=True)

    def milliseconds(client: str, *files: str) -> float:
        none = ["env", f"HOME={home}", *ground.program(client, "ssh", ground.sshd, "-G", host)]
        at = none.index("-F")
        some = [*none[:at], *files, *none[at + 2 :]]
        # Of several times the least: what the rest of the machine does only adds to them.
        times = [(_processor_time(some), _processor_time(none)) for _ in range(5)]
        return (min(with_file for with_file, _ in times) - min(no for _, no in times)) * 1e3

    return Workload(
        "cli-config",
        f"the processor time that a file of {HOSTS} hosts, the last of them the host, adds to the "
        "start of `nacre ssh host` and of `ssh host`, as `-G` shows it, and what it costs to find "
        "no file of the user and read the system's",
        "ms",
        {
            "nacre ssh": lambda: milliseconds("nacre", "-F", str(file)),
            "ssh": lambda: milliseconds("OpenSSH", "-F", str(file)),
            "nacre ssh (no file)": lambda: milliseconds("nacre"),
            "ssh (no file)": lambda: milliseconds("OpenSSH"),
        },
        targets=[
            Target("nacre ssh", 8.0, 4.0, at_most=True),
            Target("nacre ssh (no file)", 1.0, 0.5, at_most=True),
        ],
        rounds=15,
    )
