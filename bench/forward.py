"""Small messages and much data through a forwarded port."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from bench.bulk import ASYNCSSH, CLIENT, NACRE, OPENSSH, SERVER
from bench.ground import ENDS, LONGEST, MIB, Daemon, Ground
from bench.measure import Comparison, Workload

_MESSAGE = bytes(64)
_PORTION = bytes(MIB)


def echo(ground: Ground) -> Workload:
    """Return round trips of small messages, one after another."""
    count = ground.size.stats

    def measure(sock: socket.socket) -> float:
        sock.sendall(b"e")
        for _ in range(10):
            _there_and_back(sock)
        begin = time.perf_counter()
        for _ in range(count):
            _there_and_back(sock)
        return count / (time.perf_counter() - begin)

    return _workload(
        ground,
        "forward-echo",
        f"{count} messages of {len(_MESSAGE)} bytes through `-L` to an echo and back, one after "
        "another",
        "round trips/s",
        measure,
    )


def _there_and_back(sock: socket.socket) -> None:
    sock.sendall(_MESSAGE)
    if len(sock.recv(len(_MESSAGE), socket.MSG_WAITALL)) != len(_MESSAGE):
        raise SystemExit("the echo broke off")


def bulk(ground: Ground) -> Workload:
    """Return a large transfer to the server's side."""
    count = max(1, ground.size.bulk // 2 // MIB) * MIB

    def measure(sock: socket.socket) -> float:
        begin = time.perf_counter()
        sock.sendall(b"s")
        for _ in range(count // MIB):
            sock.sendall(_PORTION)
        sock.shutdown(socket.SHUT_WR)
        if sock.makefile("rb").read() != str(count).encode():
            raise SystemExit("what came is not what was sent")
        return count / 1e6 / (time.perf_counter() - begin)

    about = f"{count >> 20} MiB through `-L` to where they are counted"
    return _workload(ground, "forward-bulk", about, "MB/s", measure)


def _workload(
    ground: Ground, name: str, about: str, unit: str, measure: Callable[[socket.socket], float]
) -> Workload:
    def program(client: str, server: str) -> float:
        with _target(ground) as target, _program(ground, client, server, target) as sock:
            return measure(sock)

    def asyncssh() -> float:
        with _target(ground) as target, _library(ground, target) as sock:
            return measure(sock)

    return Workload(
        name,
        about,
        unit,
        {
            NACRE: lambda: program("nacre", "nacre"),
            OPENSSH: lambda: program("OpenSSH", "sshd"),
            CLIENT: lambda: program("nacre", "sshd"),
            SERVER: lambda: program("OpenSSH", "nacre"),
            ASYNCSSH: asyncssh,
        },
        [
            Comparison(NACRE, OPENSSH),
            Comparison(CLIENT, OPENSSH),
            Comparison(SERVER, OPENSSH),
            Comparison(NACRE, ASYNCSSH),
        ],
    )


@contextmanager
def _target(ground: Ground) -> Iterator[int]:
    with Daemon("target", [sys.executable, ENDS / "target.py"]) as daemon:
        yield int(daemon.wait_for(r"^listening on (\d+)$")[1])


@contextmanager
def _program(ground: Ground, client: str, server: str, target: int) -> Iterator[socket.socket]:
    daemon = ground.nacre if server == "nacre" else ground.sshd
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    where = f"127.0.0.1:{port}:127.0.0.1:{target}"
    host = f"{ground.login(daemon).user}@127.0.0.1"
    command = ground.program(client, "ssh", daemon, "-N", "-L", where, host)
    with Daemon(client, command) as process:
        with _connected(port, process) as sock:
            yield sock
        _end(process)


def _end(client: Daemon) -> None:
    """End a client. OpenSSH's loses a signal that comes just before it waits, now and then."""
    for _ in range(10):
        client.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            client.process.wait(1)
            return


@contextmanager
def _library(ground: Ground, target: int) -> Iterator[socket.socket]:
    with ground.forwarding(ground.asyncssh, target) as process:
        port = int(process.wait_for(r"^listening on (\d+)$")[1])
        with _connected(port, process) as sock:
            yield sock


def _connected(port: int, process: Daemon) -> socket.socket:
    """Connect as soon as somebody listens."""
    deadline = time.monotonic() + 30
    while True:
        try:
            sock = socket.create_connection(("127.0.0.1", port), timeout=LONGEST)
        except OSError:
            if process.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{process.name} does not listen:\n{process.tail()}") from None
            time.sleep(0.02)
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
