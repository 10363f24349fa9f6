"""Does the time of an answer tell who has an account: python -m bench.enumeration [--users system]

Users of several kinds are asked for in turn. For each kind the least time and the median of all are
printed, and how far they are apart: two unknown users show how far chance brings them. A denial's
own time, which is drawn by the name, is subtracted: the server is a child of this process, and its
gates are given the same secret. It is one with which all names draw nearly the same time, because
who sleeps for longer is woken later, too, by some 3 % of the time. With system accounts it needs
root.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.ground import PEERS_PYTHON as PEERS_PYTHON  # that module sets the path of the tests

# isort: split
from attacks.links import inside
from attacks.logins import password, request
from nacre.aio.versions import client_engine
from nacre.cli.entry import nacre
from nacre.crypto.password import hash_password
from nacre.daemon.processes import template
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import StoredKey, StoredUser
from nacre.keys import generate
from nacre.protocol.asks import Ask, AskArithmetic, AskAuthentication
from nacre.protocol.engine import Engine
from nacre.protocol.options import ClientOptions
from nacre.server.admission import denials
from nacre.server.admission.denials import LOOKUP, padded
from nacre.ssh2.auth.messages import PublicKeyQuery
from nacre.testing import agreeable

EACH = 40
"""Attempts on one connection."""

ALIKE = 0.25
"""Milliseconds between the times that the names draw, at most."""


STORE = {
    "unknown": "ghost",
    "also unknown": "phantom",
    "with keys": "alice",
    "without keys": "bob",
    "without password": "carol",
    "disabled": "dave",
}
SYSTEM = {
    "unknown": "ghost",
    "also unknown": "phantom",
    "with keys": "daemon",
    "without keys": "bin",
}

_KEY = generate("ssh-ed25519").public
_QUERY = PublicKeyQuery(False, "ssh-ed25519", generate("ssh-ed25519").public.blob).encode()

METHODS: dict[str, Callable[[str], bytes]] = {
    "none": lambda user: request(user, "none"),
    "publickey": lambda user: request(user, "publickey", _QUERY),
    "password": lambda user: password(user, "a wrong guess"),
}
"""What is sent for each method: the key is nobody's, and the password wrong."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.enumeration")
    parser.add_argument("--users", choices=["store", "system"], default="store")
    parser.add_argument("--tries", type=int, default=1000, help="for each kind of users")
    parser.add_argument("--gates", type=int, help="of the server; 0 for one process")
    parser.add_argument("--methods", default=",".join(METHODS), help="some of these")
    told = parser.parse_args()
    users = STORE if told.users == "store" else SYSTEM
    draw_alike(list(users.values()))
    with (
        tempfile.TemporaryDirectory(prefix="nacre-bench-") as directory,
        serving(told.users, told.gates, Path(directory)) as port,
    ):
        for method in told.methods.split(","):
            report(method, users, measured(port, method, users, told.tries))


def draw_alike(names: list[str]) -> None:
    """Draw secrets until all names draw nearly the same time of a denial."""
    while True:
        denials._SECRET = os.urandom(32)
        drawn = [padded(0.0, name) for name in names]
        if 1000 * (max(drawn) - min(drawn)) <= ALIKE:
            return


def measured(port: int, method: str, users: dict[str, str], tries: int) -> dict[str, list[float]]:
    """Return the seconds that each answer took, by the kind of its user."""
    times: dict[str, list[float]] = {kind: [] for kind in users}
    kinds = list(users)
    link = Link(port)
    for number in range(tries):
        # Each kind comes first as often as any other.
        turn = number % len(kinds)
        for kind in kinds[turn:] + kinds[:turn]:
            if link.sent == EACH:
                link.close()
                link = Link(port)
            user = users[kind]
            times[kind].append(link.time(METHODS[method](user)))
    link.close()
    return times


def report(method: str, users: dict[str, str], times: dict[str, list[float]]) -> None:
    part = LOOKUP if method == "none" else 1.0
    least = {kind: beyond(min(some), users[kind], part) for kind, some in times.items()}
    median = {
        kind: beyond(statistics.median(some), users[kind], part) for kind, some in times.items()
    }
    for kind, some in times.items():
        print(f"{method:10} {kind:17} {len(some):5} {least[kind]:8.3f} {median[kind]:8.3f} ms")
    apart = [max(figures.values()) - min(figures.values()) for figures in (least, median)]
    print(f"{method:10} apart                   {apart[0]:8.3f} {apart[1]:8.3f} ms", flush=True)


def beyond(seconds: float, user: str, part: float) -> float:
    """Return how many milliseconds more an answer took than the last time that it waited for."""
    waited = padded(0.0, user, part)
    if seconds < waited:
        return 1000 * seconds  # it did not wait
    while 2 * waited <= seconds:
        waited *= 2
    return 1000 * (seconds - waited)


class Link:
    """A connection whose requests to log in are made by hand.

    :ivar sent: how many of them were sent.
    """

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), 60)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._engine = client_engine(ClientOptions(user="nobody"), (2,))
        self._engine.start(0.0)
        self.sent = 0
        while not self._settled(self._engine):
            self._sock.sendall(self._engine.take_output())
            self._engine.receive(self._sock.recv(1 << 16), 0.0)
        self._sock.sendall(self._engine.take_output())

    @staticmethod
    def _settled(engine: Engine) -> bool:
        """Answer what the engine asks; return whether it asks how to log in."""
        for event in engine.take_events():
            if isinstance(event, AskAuthentication):
                return True
            if isinstance(event, AskArithmetic):
                engine.answer(event.ask_id, event.compute())
            elif isinstance(event, Ask) and (answer := agreeable(event)) is not None:
                engine.answer(event.ask_id, answer)
        return False

    def time(self, payload: bytes) -> float:
        """Send a request; return the seconds until the answer comes."""
        outbox = inside(self._engine)._outbox
        outbox.send_parts(payload, b"")
        data = outbox.take()
        begin = time.perf_counter()
        self._sock.sendall(data)
        answer = self._sock.recv(1 << 16)
        seconds = time.perf_counter() - begin
        if not answer:
            raise ConnectionError("the server has ended the connection")
        self.sent += 1
        return seconds

    def close(self) -> None:
        self._sock.close()


@contextmanager
def serving(users: str, gates: int | None, directory: Path) -> Iterator[int]:
    """Run ``nacre serve`` in a child; yield its port."""
    state = directory / "state"
    state.mkdir(mode=0o700)
    words = ["--state", str(state), "--listen", "127.0.0.1:0"]
    # PAM sleeps for seconds after a wrong password.
    words += ["-o", f"MaxAuthTries={2 * EACH}", "-o", "LoginGraceTime=0"]
    words += [] if gates is None else ["--gates", str(gates)]
    if users == "store":
        fill(UserStore(state / FILE))
        words += ["--run-as", "nobody"] if os.geteuid() == 0 else []
    else:
        (directory / SYSTEM["with keys"]).write_text(f"{_KEY}\n")
        directory.chmod(0o755)
        words += ["--users", "system", "-o", f"AuthorizedKeysFile={directory}/%u"]
    log = directory / "log"
    child = multiprocessing.get_context("fork").Process(target=_serve, args=(words, log))
    child.start()
    try:
        yield _port(log)
    finally:
        child.terminate()
        child.join()


def _serve(words: list[str], log: Path) -> None:
    os.dup2(os.open("/dev/null", os.O_RDWR), 0)
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT, 0o600), 2)
    sys.argv = ["nacre", "serve", *words]
    code = template._code
    template._code = lambda more: _with_same_secret(code(more))
    nacre()


def _with_same_secret(code: str) -> str:
    """Return the program of the template, an isolated Python whose forks the gates are."""
    path, run = code.split("; from ", 1)
    secret = f"denials._SECRET = {denials._SECRET!r}"
    return f"{path}; from nacre.server.admission import denials; {secret}; from {run}"


def _port(log: Path) -> int:
    """Wait for the server's line; return the port in it."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        text = log.read_text() if log.exists() else ""
        if (found := re.search(r"^listening on .*:(\d+)$", text, re.MULTILINE)) is not None:
            return int(found[1])
        time.sleep(0.02)
    raise ConnectionError(f"the server did not start:\n{text}")


def fill(store: UserStore) -> None:
    """Add a user of each kind that is known."""
    secret, key = hash_password(b"secret", os.urandom), StoredKey(_KEY, "")
    store.add(StoredUser(name=STORE["with keys"], password=secret), [key])
    store.add(StoredUser(name=STORE["without keys"], password=secret))
    store.add(StoredUser(name=STORE["without password"]), [key])
    store.add(StoredUser(name=STORE["disabled"], password=secret, disabled=True), [key])
    store.close()


if __name__ == "__main__":
    main()
