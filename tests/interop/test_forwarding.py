"""Ports and agents forwarded by real clients through nacre's server, and by nacre's client."""

from __future__ import annotations

import hashlib
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from interop.clients import Account, Login
from interop.daemons import Daemon, State, start_nacre
from interop.programs import NACRE, check, environment, require, run
from interop.ssh1_peers import SSH1

DATA = random.Random(11).randbytes(8 << 20)
LITTLE = DATA[: 1 << 20]
"""For SSH-1: PuTTY's 3DES takes its time."""

DEADLINE = 30.0


class Target:
    """A server that answers with what it was sent, when it was all sent: half closing works."""

    def __init__(self, answer: Callable[[bytes], bytes], path: str = "") -> None:
        """Listen on a port of the system's choice, or on the Unix socket ``path``."""
        self._answer = answer
        if path:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(path)
            self._listener.listen()
        else:
            self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = 0 if path else self._listener.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(sock,), daemon=True).start()

    def _talk(self, sock: socket.socket) -> None:
        # A client that does not want the answer may go.
        with sock, sock.makefile("rb") as file, suppress(ConnectionError):
            sock.settimeout(DEADLINE)
            sock.sendall(self._answer(file.read()))

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def target() -> Iterator[Target]:
    target = Target(answer)
    yield target
    target.close()


def answer(data: bytes) -> bytes:
    return hashlib.sha256(data).digest() + data


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def round_trip(sock: socket.socket, data: bytes = DATA) -> bytes:
    """Send everything, say that nothing follows, and return what comes back."""
    sending = threading.Thread(target=_send, args=(sock, data), daemon=True)
    sending.start()
    with sock.makefile("rb") as file:
        answer = file.read()
    sending.join(DEADLINE)
    return answer


def _send(sock: socket.socket, data: bytes) -> None:
    sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)


def through_proxy(sock: socket.socket, port: int) -> None:
    """Ask a SOCKS 5 proxy for 127.0.0.1, as a name (RFC 1928)."""
    sock.sendall(b"\x05\x01\x00")
    assert sock.recv(2, socket.MSG_WAITALL) == b"\x05\x00"
    sock.sendall(b"\x05\x01\x00\x03\x09127.0.0.1" + port.to_bytes(2, "big"))
    assert sock.recv(10, socket.MSG_WAITALL)[:2] == b"\x05\x00"


@contextmanager
def running(command: list[str | Path], **env: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(**env),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def connected(port: int, process: subprocess.Popen[bytes]) -> socket.socket:
    """Connect as soon as somebody listens."""
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
        except OSError:
            if process.poll() is not None:
                raise AssertionError(process.communicate()[0].decode()) from None
            assert time.monotonic() < deadline
            time.sleep(0.05)


Client = Callable[..., tuple[list[str | Path], dict[str, Any]]]
"""Gets flags, and a command or none; returns a command line and an environment."""

SSH1_WAYS = ("ssh1-nacre", "plink1-nacre", "nacre1-nacre")


@pytest.fixture(params=["OpenSSH-nacre", "nacre-OpenSSH", "nacre-nacre", *SSH1_WAYS])
def client(request: pytest.FixtureRequest, keys: dict[str, Path], tmp_path: Path) -> Client:
    """Each client with each server that it speaks to; ``1`` is SSH-1."""
    way: str = request.param
    if way in SSH1_WAYS:
        found: SSH1 = request.getfixturevalue("ssh1")
        return _ssh1_client(way, found)
    login: Login = request.getfixturevalue("to_sshd" if way == "nacre-OpenSSH" else "to_nacre")
    make = login.ssh if way == "OpenSSH-nacre" else login.nacre_ssh

    def command(*flags: str, run: str | None = None) -> tuple[list[str | Path], dict[str, str]]:
        words = make("ExitOnForwardFailure=yes", flags=flags if run else ("-N", *flags))
        return [*words, *([run] if run else [])], {}

    return command


def _ssh1_client(way: str, found: SSH1) -> Client:
    def command(*flags: str, run: str | None = None) -> tuple[list[str | Path], dict[str, str]]:
        # SSH-1 forwards ports only beside a session.
        line = [run or "cat"]
        if way == "ssh1-nacre":
            return [*found.ssh1(*flags), *line], found.environment
        if way == "nacre1-nacre":
            start: list[str | Path] = [
                *NACRE,
                "ssh",
                *found.options("LogLevel=ERROR"),
                "-p",
                str(found.server.port),
            ]
            identity: list[str | Path] = [
                "-i",
                found.key,
                "-oIdentitiesOnly=yes",
                "-oExitOnForwardFailure=yes",
            ]
            return [*start, *identity, *flags, "any@127.0.0.1", *line], found.environment
        words = found.putty("plink")
        if "-A" in flags:
            words.remove("-noagent")
        return [*words, "-i", found.puttys, *flags, "127.0.0.1", *line], found.environment

    return command


def test_local(client: Client, target: Target) -> None:
    port = free_port()
    command, env = client("-L", f"127.0.0.1:{port}:127.0.0.1:{target.port}")
    with running(command, **env) as process:
        for _ in range(2):
            with connected(port, process) as sock:
                assert round_trip(sock, LITTLE) == answer(LITTLE)


def test_dynamic(client: Client, target: Target) -> None:
    port = free_port()
    command, env = client("-D", f"127.0.0.1:{port}")
    with running(command, **env) as process, connected(port, process) as sock:
        through_proxy(sock, target.port)
        assert round_trip(sock, LITTLE) == answer(LITTLE)


def test_remote(client: Client, target: Target) -> None:
    port = free_port()
    command, env = client("-R", f"{port}:127.0.0.1:{target.port}")
    with running(command, **env) as process, connected(port, process) as sock:
        assert sock.getpeername()[0] == "127.0.0.1"
        assert round_trip(sock, LITTLE) == answer(LITTLE)


@contextmanager
def agent() -> Iterator[str]:
    started = check([require("ssh-agent"), "-s"]).decode()
    words = dict(part.split("=", 1) for part in started.replace(";", "\n").split() if "=" in part)
    try:
        yield words["SSH_AUTH_SOCK"]
    finally:
        os.kill(int(words["SSH_AGENT_PID"]), signal.SIGTERM)


def test_agent(client: Client, keys: dict[str, Path]) -> None:
    """A process of the session lists the keys of our agent, and then its socket is gone."""
    with agent() as sock:
        check([require("ssh-add"), "-q", keys["ecdsa256"]], SSH_AUTH_SOCK=sock)
        line = f"{require('ssh-add')} -l; echo $SSH_AUTH_SOCK"
        command, env = client("-A", run=line)
        done = run(command, SSH_AUTH_SOCK=sock, **env)
    assert done.returncode == 0, done.stderr.decode()
    assert b"(ECDSA)" in done.stdout, done.stderr.decode()
    path = done.stdout.decode().split()[-1]
    assert path != sock
    assert not os.path.exists(path)


def test_no_agent_where_none_is_lent(client: Client) -> None:
    with agent() as sock:
        command, env = client("-a", run="echo agent=$SSH_AUTH_SOCK")
        assert run(command, SSH_AUTH_SOCK=sock, **env).stdout == b"agent=\n"


# --- what SSH-2 alone has ---


@pytest.fixture(params=["OpenSSH", "nacre"])
def to_nacre_with(request: pytest.FixtureRequest, to_nacre: Login) -> Callable[..., list[str]]:
    return to_nacre.ssh if request.param == "OpenSSH" else to_nacre.nacre_ssh


@pytest.mark.parametrize("server", ["nacre", "OpenSSH"])
def test_standard_streams(
    server: str, request: pytest.FixtureRequest, target: Target, to_sshd: Login, to_nacre: Login
) -> None:
    login = to_nacre if server == "nacre" else to_sshd
    place = f"127.0.0.1:{target.port}"
    assert check(login.nacre_ssh(flags=["-W", place]), input=DATA) == answer(DATA)
    assert check(login.ssh(flags=["-W", place]), input=DATA) == answer(DATA)


def test_a_port_that_the_server_chooses(
    to_nacre_with: Callable[..., list[str]], target: Target
) -> None:
    command = to_nacre_with("LogLevel=INFO", flags=["-N", "-R", f"0:127.0.0.1:{target.port}"])
    with running([*command]) as process:
        assert process.stdout is not None
        while not (match := re.search(rb"Allocated port (\d+)", process.stdout.readline())):
            assert process.poll() is None
        with connected(int(match[1]), process) as sock:
            assert round_trip(sock) == answer(DATA)


def test_a_session_waits_for_forwarded_connections(
    to_nacre_with: Callable[..., list[str]], target: Target
) -> None:
    port = free_port()
    where = f"127.0.0.1:{port}:127.0.0.1:{target.port}"
    command = to_nacre_with(flags=["-L", where])
    with running([*command, "read line"]) as process:
        assert process.stdin is not None
        with connected(port, process) as sock:
            process.stdin.write(b"\n")
            process.stdin.flush()
            assert round_trip(sock) == answer(DATA)
        assert process.wait(DEADLINE) == 0


def test_ports_that_are_taken(to_nacre: Login, target: Target) -> None:
    taken = str(target.port)
    for flags in (["-L", f"127.0.0.1:{taken}:h:1"], ["-D", f"127.0.0.1:{taken}"]):
        done = run([*to_nacre.nacre_ssh("ExitOnForwardFailure=yes", flags=flags), "echo no"])
        assert (done.returncode, done.stdout) == (255, b"")
        assert f"bind [127.0.0.1]:{taken}: Address already in use; choose".encode() in done.stderr
        done = run([*to_nacre.nacre_ssh(flags=flags), "echo yes"])
        assert (done.returncode, done.stdout) == (0, b"yes\n")
    done = run([*to_nacre.nacre_ssh("ExitOnForwardFailure=yes", flags=["-R", f"{taken}:h:1"]), "x"])
    assert done.returncode == 255
    assert b"remote port forwarding failed for listen port" in done.stderr


# --- what a server allows ---


@contextmanager
def serving(directory: Path, key: Path, *words: str, service: str = "all") -> Iterator[Login]:
    state = State(directory / "state")
    state.add_user("any", keys=[key.with_suffix(".pub")], service=service)
    options = [part for word in words for part in ("-o", word)]
    with start_nacre(state, *options) as daemon:
        yield Login(daemon, "any", directory, key)


@pytest.mark.parametrize(
    ("words", "service"),
    [
        (["AllowTcpForwarding=no"], "all"),
        (["DisableForwarding=yes"], "all"),
        (["PermitOpen=127.0.0.1:1", "PermitListen=1"], "all"),
        ([], "sftp"),
    ],
)
def test_what_a_server_refuses(
    words: list[str], service: str, keys: dict[str, Path], target: Target, tmp_path: Path
) -> None:
    with serving(tmp_path, keys["ed25519"], *words, service=service) as login:
        done = run(login.ssh(flags=["-W", f"127.0.0.1:{target.port}"]))
        assert done.returncode == 255
        failing = login.ssh("ExitOnForwardFailure=yes", flags=["-N", "-R", "0:127.0.0.1:1"])
        assert run(failing).returncode == 255
    assert target.connections == 0


def test_ports_for_everybody(keys: dict[str, Path], target: Target, tmp_path: Path) -> None:
    for word, bound in (("GatewayPorts=no", {"127.0.0.1"}), ("GatewayPorts=yes", {"0.0.0.0"})):
        directory = tmp_path / word
        directory.mkdir()
        port = free_port()
        with serving(directory, keys["ed25519"], word) as login:
            flags = ["-N", "-R", f"*:{port}:127.0.0.1:{target.port}"]
            with running([*login.ssh(flags=flags)]) as process, connected(port, process):
                assert listening(port) == bound


def listening(port: int) -> set[str]:
    """Return the IPv4 addresses on which somebody listens."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    rows = [line.split() for line in lines]
    local = [row[1].split(":") for row in rows if row[3] == "0A"]
    addresses = [address for address, number in local if int(number, 16) == port]
    return {socket.inet_ntoa(bytes.fromhex(one)[::-1]) for one in addresses}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root serves accounts of the system")
def test_options_of_keys(
    system_account: Account, keys: dict[str, Path], target: Target, tmp_path: Path
) -> None:
    """``authorized_keys`` binds what its keys forward; the agent's socket is the account's."""
    file = system_account.home / ".ssh" / "authorized_keys"
    before = file.read_text()
    public = keys["ed25519"].with_suffix(".pub").read_text()
    where, elsewhere = f"127.0.0.1:{target.port}", f"127.0.0.1:{free_port()}"
    state = State(tmp_path / "state")
    try:
        daemon = _start_system(state)
        with daemon, agent() as sock:
            login = Login(daemon, system_account.name, tmp_path, keys["ed25519"])
            for options, opens, lends in (
                ("", True, True),
                ("restrict ", False, False),
                ("no-port-forwarding ", False, True),
                ("no-agent-forwarding ", True, False),
                (f'permitopen="{where}" ', True, True),
                (f'permitopen="{elsewhere}" ', False, True),
                (f'permitopen="localhost:{target.port}" ', False, True),
            ):
                file.write_text(options + public)
                done = run(login.ssh(flags=["-W", where]), input=b"x")
                assert (done.returncode == 0) is opens, options
                line = "test -S $SSH_AUTH_SOCK && ls -ln $SSH_AUTH_SOCK"
                done = run([*login.ssh(flags=["-A"]), line], SSH_AUTH_SOCK=sock)
                assert (b"srw-------" in done.stdout) is lends, options
                if lends:
                    owner = os.stat(system_account.home).st_uid
                    assert done.stdout.split()[2] == str(owner).encode()
    finally:
        file.write_text(before)


def _start_system(state: State) -> Daemon:
    words: list[str | Path] = [
        "serve",
        "--state",
        state.path,
        "--listen",
        "127.0.0.1:0",
        "--users",
        "system",
    ]
    daemon = Daemon("nacre serve", [*NACRE, *words])
    daemon.port = int(daemon.wait_for(r"^listening on .*:(\d+)$")[1])
    return daemon
