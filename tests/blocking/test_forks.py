"""What was opened before a fork belongs to the parent: the child is refused, and harms nothing."""

from __future__ import annotations

import gc
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import nacre
import nacre.blocking
from blocking.forks import in_child
from nacre.blocking.background import background

PASSWORD = "open sesame"
REFUSED = "NotUsableHere"


class Everything(nacre.Policy):
    def password(self, user: str, password: str, connection: object) -> bool:
        return password == PASSWORD

    def session_request(self, session: object, request: object) -> bool:
        return True

    def direct_connection(self, host: str, port: int, connection: object) -> bool:
        return True

    def remote_listen(self, host: str, port: int, connection: object) -> str:
        return host


def handle(session: nacre.blocking.Session) -> int | None:
    if session.command == b"echo":
        session.stdout.write(b"echo")
        return 0
    if session.command == b"fork":
        said = [in_child(lambda: session.stdout.write(b"child")), in_child(session.stdin.read)]
        said.append(in_child(lambda: session.exit(9)))
        session.stdout.write(" ".join(said).encode())
        return 4
    for line in session.stdin:
        session.stdout.write(b"> " + line)
    return None


class Opened:
    """One of everything that the blocking API opens, and what each does when it is used."""

    def __init__(self, directory: Path, port: int, server: nacre.blocking.Server) -> None:
        self.server = server
        self.port = port
        self.ssh = self.connect()
        self.process = self.ssh.process("shell")
        self.sftp = self.ssh.sftp()
        self.file = self.sftp.open("/written", "wb")
        self.read = self.sftp.open("/written", "rb")
        self.raw = self.sftp.open("/raw", "wb", buffering=0)
        self.goal = socket.create_server(("127.0.0.1", 0))
        goal = self.goal.getsockname()
        self.local = self.ssh.forward_local(*goal)
        self.remote = self.ssh.forward_remote(*goal)
        self.tunnel = self.ssh.open_connection(*goal)
        self.accepted = self.goal.accept()[0]

    def connect(self) -> nacre.blocking.Connection:
        trust = nacre.AnyHostKey()
        return nacre.blocking.connect(
            "127.0.0.1", self.port, user="u", password=PASSWORD, keys=[], agent=False, trust=trust
        )

    def write(self) -> None:
        self.file.write(bytes(3_000_000))
        self.file.flush()


USES: dict[str, Callable[[Opened], object]] = {
    "run": lambda o: o.ssh.run("echo"),
    "process": lambda o: o.ssh.process("echo"),
    "sftp": lambda o: o.ssh.sftp(),
    "keepalive": lambda o: o.ssh.keepalive(),
    "rekey": lambda o: o.ssh.rekey(),
    "forward": lambda o: o.ssh.forward_local("localhost", 1),
    "forward-remote": lambda o: o.ssh.forward_remote("localhost", 1),
    "open-connection": lambda o: o.ssh.open_connection("localhost", 1),
    "stdin": lambda o: o.process.stdin.write(b"child\n"),
    "much": lambda o: o.process.stdin.write(bytes(3_000_000)),
    "drain": lambda o: o.process.stdin.drain(),
    "stdout": lambda o: o.process.stdout.readline(),
    "stdout-end": lambda o: o.process.stdout.read(),
    "wait": lambda o: o.process.wait(),
    "signal": lambda o: o.process.send_signal("TERM"),
    "resize": lambda o: o.process.resize(1, 1),
    "listdir": lambda o: o.sftp.listdir("/"),
    "put": lambda o: o.sftp.put(__file__, "/put"),
    "get": lambda o: o.sftp.get("/written", "/dev/null"),
    "glob": lambda o: o.sftp.glob("/*"),
    "scandir": lambda o: list(o.sftp.scandir("/")),
    "open": lambda o: o.sftp.open("/written", "rb"),
    "file": Opened.write,
    "raw": lambda o: o.raw.write(bytes(3_000_000)),
    "fsync": lambda o: o.raw.fsync(),  # type: ignore[attr-defined]
    "stat": lambda o: o.raw.stat(),  # type: ignore[attr-defined]
    "read": lambda o: o.read.read(1),
    "tunnel-writer": lambda o: o.tunnel.writer.write(b"child\n"),
    "tunnel-reader": lambda o: o.tunnel.reader.read(1),
    "reload": lambda o: o.server.reload(banner="child"),
}

CLOSINGS: dict[str, tuple[Callable[[Opened], object], ...]] = {
    "close": (lambda o: o.ssh.close(),),
    "abort": (lambda o: o.ssh.abort(),),
    "wait": (lambda o: o.ssh.wait_closed(),),
    "with": (lambda o: o.ssh.__exit__(None, None, None),),
    "process": (lambda o: o.process.close(), lambda o: o.process.wait_closed()),
    "stdin": (lambda o: o.process.stdin.write_eof(), lambda o: o.process.stdin.close()),
    "stdout": (lambda o: o.process.stdout.close(),),
    "sftp": (lambda o: o.sftp.close(), lambda o: o.sftp.wait_closed()),
    "raw": (lambda o: o.raw.close(),),
    "file": (lambda o: o.file.close(), lambda o: o.read.close()),
    "local": (lambda o: o.local.close(),),
    "remote": (lambda o: o.remote.close(),),
    "tunnel": (lambda o: o.tunnel.close(), lambda o: o.tunnel.__exit__(None, None, None)),
    "server": (lambda o: o.server.close(),),
    "loop": (lambda o: background.stop(),),
    "gone": (lambda o: o.__dict__.clear(), lambda o: gc.collect()),
}


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    root = tmp_path / "root"
    root.mkdir()
    with nacre.blocking.listen(
        host_keys=[nacre.generate("ssh-ed25519")],
        policy=Everything(),
        handler=handle,
        sftp=lambda session: nacre.LocalFilesystem(root),
    ) as server:
        one = Opened(root, server.port, server)
        try:
            yield one
        finally:
            for file in (one.file, one.raw, one.read):
                file.close()
            one.ssh.close()
            one.goal.close()
            one.accepted.close()


def check_parent(opened: Opened) -> None:
    """Everything still works, and nothing of the child came through."""
    opened.process.stdin.write(b"parent\n")
    assert opened.process.stdout.readline() == b"> parent\n"
    assert opened.ssh.run("echo", timeout=10).stdout == "echo"
    opened.file.write(b"parent")
    opened.file.close()
    opened.raw.close()
    assert opened.sftp.read_bytes("/written") == b"parent"
    assert opened.sftp.read_bytes("/raw") == b""
    opened.tunnel.writer.write(b"tunnel")
    opened.accepted.settimeout(30)
    assert opened.accepted.recv(100) == b"tunnel"
    for listener in (opened.local, opened.remote):
        with socket.create_connection((listener.host, listener.port), 10) as there:
            opened.goal.settimeout(30)
            with opened.goal.accept()[0] as here:
                there.sendall(b"forwarded")
                here.settimeout(30)
                assert here.recv(100) == b"forwarded"
        listener.close()
    with opened.connect() as another:
        assert another.run("echo", timeout=10).stdout == "echo"


@pytest.mark.slow
def test_every_use_in_a_child_is_refused_and_harms_nothing(opened: Opened) -> None:
    said = {name: in_child(lambda use=use: use(opened)) for name, use in USES.items()}  # type: ignore[misc]
    assert said == dict.fromkeys(USES, REFUSED)
    check_parent(opened)


@pytest.mark.slow
def test_closing_in_a_child_is_quiet_and_harms_nothing(opened: Opened) -> None:
    def close(closings: tuple[Callable[[Opened], object], ...]) -> str:
        for closing in closings:
            closing(opened)
        return "quiet"

    said = {name: in_child(lambda c=c: close(c)) for name, c in CLOSINGS.items()}  # type: ignore[misc]
    assert said == dict.fromkeys(CLOSINGS, "quiet")
    check_parent(opened)


def test_a_handler_s_child_is_refused_the_session(opened: Opened) -> None:
    """A handler that forks, as one does that uses multiprocessing, in a thread of the server."""
    process = opened.ssh.process("fork")
    assert process.stdout.read() == " ".join([REFUSED] * 3).encode()
    assert process.wait() == 4
    check_parent(opened)


def test_a_child_makes_connections_and_servers_of_its_own(opened: Opened) -> None:
    def work() -> str:
        with opened.connect() as ssh:
            with ssh.sftp() as sftp:
                sftp.write_bytes("/child", b"child")
            return ssh.run("echo", timeout=10).stdout

    def serve() -> str:
        key = nacre.generate("ssh-ed25519")
        with nacre.blocking.listen(host_keys=[key], policy=Everything(), handler=handle) as server:
            opened.port = server.port
            return work_run()

    def work_run() -> str:
        with opened.connect() as ssh:
            return ssh.run("echo", timeout=10).stdout

    assert in_child(work) == "echo"
    assert in_child(serve) == "echo"
    assert in_child(lambda: in_child(work_run)) == "echo"
    assert opened.sftp.read_bytes("/child") == b"child"
    check_parent(opened)


def test_the_error_says_what_is_wrong_and_what_to_do(opened: Opened) -> None:
    def text() -> str:
        try:
            opened.ssh.run("echo")
        except nacre.NacreError as error:
            return str(error)
        return "no error"

    assert "fork" in (said := in_child(text))
    assert "again in this process" in said


@pytest.mark.slow
def test_a_child_that_ends_like_any_program_says_nothing(opened: Opened) -> None:
    """``os.fork`` and the normal end of the interpreter, with everything still open."""
    program = f"""
        import os, sys, nacre, nacre.blocking
        ssh = nacre.blocking.connect(
            "127.0.0.1", {opened.port}, user="u", password={PASSWORD!r}, keys=[], agent=False,
            trust=nacre.AnyHostKey())
        sftp = ssh.sftp()
        file = sftp.open("/both", "wb")
        idle = sftp.open("/idle", "wb")
        process = ssh.process("shell")
        with sftp, ssh:
            file.write(b"parent")
            pid = os.fork()
            if pid:
                assert os.waitpid(pid, 0)[1] == 0
                process.stdin.write(b"line\\n")
                print(process.stdout.readline())
                file.close()
                idle.close()
            del file
        if pid == 0:
            sys.exit(0)
    """
    done: Any = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("b'> line\\n'\n", "", 0)
    assert opened.sftp.read_bytes("/both") == b"parent"
