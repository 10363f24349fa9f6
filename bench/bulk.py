"""A large file through a command's standard output and input, and through SFTP; a long link."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from bench.ground import AES, CHACHA, Daemon, Ground
from bench.link import link
from bench.measure import Comparison, Target, Workload

OPENSSH = "OpenSSH-OpenSSH"
NACRE = "nacre-nacre"
CLIENT = "nacre-sshd"
SERVER = "ssh-nacre"
ASYNCSSH = "AsyncSSH-AsyncSSH"
LIBRARY = "nacre-nacre (library)"
LIBRARY_CLIENT = "nacre-sshd (library)"
"""A library's figures begin with the connect: beside a library stands ours, not the program."""

RATE, ROUND_TRIP = 125e6, 0.1
"""1 Gbit/s and 100 ms."""

KINDS = {
    "exec-down": "what `cat` prints, to a file here",
    "exec-up": "a file here, to what `cat` reads",
    "sftp-get": "a file, by SFTP from the server",
    "sftp-put": "a file, by SFTP to the server",
}


def bulk(ground: Ground, kind: str, cipher: str = AES) -> Workload:
    """Return one of :data:`KINDS`."""
    count = ground.size.bulk if cipher == AES else ground.size.bulk // 4
    part = ground.size.part
    over_openssh = (2.0, 3.0) if kind.startswith("sftp") else (1.8, 2.5)
    contenders: dict[str, Callable[[], float]] = {
        NACRE: lambda: by_program(ground, "nacre", ground.nacre, kind, cipher, count),
        OPENSSH: lambda: by_program(ground, "OpenSSH", ground.sshd, kind, cipher, count),
        CLIENT: lambda: by_program(ground, "nacre", ground.sshd, kind, cipher, count),
        SERVER: lambda: by_program(ground, "OpenSSH", ground.nacre, kind, cipher, count),
        LIBRARY: lambda: _library(ground, "nacre", ground.nacre, kind, cipher, part),
        LIBRARY_CLIENT: lambda: _library(ground, "nacre", ground.sshd, kind, cipher, part),
        ASYNCSSH: lambda: _library(ground, "asyncssh", ground.asyncssh, kind, cipher, part),
        "AsyncSSH-sshd": lambda: _library(ground, "asyncssh", ground.sshd, kind, cipher, part),
        "Paramiko-sshd": lambda: _library(ground, "paramiko", ground.sshd, kind, cipher, part),
    }
    comparisons = [
        Comparison(NACRE, OPENSSH, *over_openssh),
        Comparison(CLIENT, OPENSSH, 1.1, 1.4),
        Comparison(SERVER, OPENSSH, 1.1, 1.4),
        Comparison(LIBRARY, ASYNCSSH, 4.0, 6.0),
        Comparison(LIBRARY_CLIENT, "AsyncSSH-sshd"),
        Comparison(LIBRARY_CLIENT, "Paramiko-sshd"),
    ]
    name = kind if cipher == AES else f"{kind}-chacha"
    about = f"{KINDS[kind]}: {count >> 20} MiB (libraries {part >> 20} MiB), {cipher}"
    if cipher == CHACHA:
        kept = [NACRE, OPENSSH, LIBRARY, ASYNCSSH]
        contenders = {name: contenders[name] for name in kept}
        comparisons = [Comparison(NACRE, OPENSSH), Comparison(LIBRARY, ASYNCSSH)]
    return Workload(
        name, about, "MB/s", contenders, comparisons, rounds=3 if cipher == CHACHA else None
    )


def _ends(ground: Ground, kind: str, count: int) -> tuple[Path, Path]:
    """Return the original, and where its copy goes."""
    original = ground.blob(count)
    copy = ground.files / "copy"
    copy.unlink(missing_ok=True)
    return original, copy


def by_program(
    ground: Ground, client: str, server: Daemon, kind: str, cipher: str, count: int
) -> float:
    original, copy = _ends(ground, kind, count)
    host = f"{ground.login(server).user}@127.0.0.1"
    if kind == "exec-down":
        command = ground.program(client, "ssh", server, host, f"cat {original}", cipher=cipher)
        seconds = ground.time(command, stdout=copy)
    elif kind == "exec-up":
        command = ground.program(client, "ssh", server, host, f"cat > {copy}", cipher=cipher)
        seconds = ground.time(command, stdin=original)
    else:
        command = ground.program(client, "sftp", server, "-q", "-b", "-", host, cipher=cipher)
        line = f"get {original} {copy}\n" if kind == "sftp-get" else f"put {original} {copy}\n"
        seconds = ground.time(command, typed=line)
    ground.verify(copy, original)
    return count / seconds / 1e6


def _library(
    ground: Ground, library: str, server: Daemon, kind: str, cipher: str, count: int
) -> float:
    original, copy = _ends(ground, kind, count)
    _, do = kind.split("-")
    there, here = (original, copy) if do in ("down", "get") else (copy, original)
    seconds = ground.library(library, server, do, remote=str(there), local=str(here), cipher=cipher)
    ground.verify(copy, original)
    return count / seconds / 1e6


# --- many small files ---


def tree(ground: Ground, direction: str) -> Workload:
    """Return the small files, ``get`` or ``put``."""
    return Workload(
        f"sftp-tree-{direction}",
        f"{ground.size.files} files of 4 KiB by SFTP, "
        + ("from the server" if direction == "get" else "to the server"),
        "files/s",
        {
            NACRE: lambda: tree_by_program(ground, "nacre", ground.nacre, direction),
            OPENSSH: lambda: tree_by_program(ground, "OpenSSH", ground.sshd, direction),
            CLIENT: lambda: tree_by_program(ground, "nacre", ground.sshd, direction),
            LIBRARY: lambda: _library_tree(ground, "nacre", ground.nacre, direction),
            ASYNCSSH: lambda: _library_tree(ground, "asyncssh", ground.asyncssh, direction),
        },
        [
            Comparison(NACRE, OPENSSH, 2.0, 5.0),
            Comparison(CLIENT, OPENSSH),
            Comparison(LIBRARY, ASYNCSSH),
        ],
    )


def tree_by_program(ground: Ground, client: str, server: Daemon, direction: str) -> float:
    source, copy = ground.tree, ground.files / "tree-copy"
    shutil.rmtree(copy, ignore_errors=True)
    host = f"{ground.login(server).user}@127.0.0.1"
    command = ground.program(client, "sftp", server, "-q", "-b", "-", host)
    if direction == "get":
        line = f"get -r {source} {copy}\n"
    else:
        # OpenSSH's sftp does not make the top directory itself.
        there = str(copy)
        line = f"mkdir {there}\nput -r {source}/* {there}\n"
    seconds = ground.time(command, typed=line)
    ground.verify_tree(copy)
    shutil.rmtree(copy)
    return ground.size.files / seconds


def _library_tree(ground: Ground, library: str, server: Daemon, direction: str) -> float:
    source, copy = ground.tree, ground.files / "tree-copy"
    shutil.rmtree(copy, ignore_errors=True)
    there, here = (source, copy) if direction == "get" else (copy, source)
    remote = str(there)
    seconds = ground.library(library, server, direction, remote=remote, local=str(here), tree=True)
    ground.verify_tree(copy)
    shutil.rmtree(copy)
    return ground.size.files / seconds


# --- a long link ---


def wan(ground: Ground, direction: str) -> Workload:
    """Return a transfer over a long link: the share of its rate that is used."""
    return Workload(
        f"wan-{direction}",
        f"{ground.size.wan >> 20} MiB (where a peer is, a quarter) by SFTP, "
        + ("from" if direction == "get" else "to")
        + " the server, over 1 Gbit/s with a round trip of 100 ms; the login is not counted",
        "share",
        {
            NACRE: lambda: _wan(ground, "nacre", ground.nacre, direction, ground.size.wan),
            CLIENT: lambda: _wan(ground, "nacre", ground.sshd, direction, ground.size.wan // 4),
            ASYNCSSH: lambda: _wan(
                ground, "asyncssh", ground.asyncssh, direction, ground.size.wan // 4
            ),
            OPENSSH: lambda: _openssh_wan(ground, direction, ground.size.wan // 4),
        },
        [Comparison(NACRE, OPENSSH), Comparison(NACRE, ASYNCSSH)],
        [Target(NACRE, 0.85, 0.95)],
        rounds=3,
    )


def _wan(ground: Ground, library: str, server: Daemon, direction: str, count: int) -> float:
    original, copy = _ends(ground, direction, count)
    if direction == "get":
        remote, local = str(original), copy
    else:
        remote, local = str(copy), original
    with link(server.port, rate=RATE, round_trip=ROUND_TRIP) as port:
        seconds = ground.library(
            library, server, direction, port=port, remote=remote, local=str(local), warm=True
        )
    ground.verify(copy, original)
    return count / seconds / RATE


def _openssh_wan(ground: Ground, direction: str, count: int) -> float:
    """The program can't say when it was logged in: an empty file's time is taken off."""
    empty = ground.files / "empty"
    empty.touch()
    original, copy = _ends(ground, direction, count)
    seconds = []
    with link(ground.sshd.port, rate=RATE, round_trip=ROUND_TRIP) as port:
        command = ground.program("OpenSSH", "sftp", ground.sshd, "-q", "-b", "-")
        command[command.index("-P") + 1] = str(port)
        command.append(f"{ground.login(ground.sshd).user}@127.0.0.1")
        for path in (empty, original):
            copy.unlink(missing_ok=True)
            seconds.append(ground.time(command, typed=f"{direction} {path} {copy}\n"))
    ground.verify(copy, original)
    return count / (seconds[1] - seconds[0]) / RATE
