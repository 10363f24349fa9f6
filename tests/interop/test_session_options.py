"""Options of a session: nacre-ssh does and prints the same as ssh, with OpenSSH's server."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from interop.clients import Login
from interop.programs import check, environment, require, run

NACRE_SSH = str(Path(sys.executable).with_name("nacre-ssh"))
CLIENTS: dict[str, Callable[[], str]] = {"ssh": lambda: require("ssh"), "nacre": lambda: NACRE_SSH}

CASES: dict[str, tuple[list[str], list[str]]] = {
    "input": ([], ["cat; exit 3"]),
    "-n": (["-n"], ["cat; exit 3"]),
    "-t without a terminal": (["-t"], ["tty -s; echo $?"]),
    "-tt": (["-tt", "-n"], ["tty -s; echo $?"]),
    "RequestTTY=force and -T": (["-oRequestTTY=force", "-T"], ["tty -s; echo $?"]),
    "SessionType=subsystem without one": (["-oSessionType=subsystem"], []),
    "RemoteCommand": (["-oRemoteCommand=echo %n %r %p; cat"], []),
    "LocalCommand": (["-oPermitLocalCommand=yes", "-oLocalCommand=echo %n %p %r %T"], ["id -u"]),
    "LocalCommand is not permitted": (["-oLocalCommand=echo x"], ["id -u"]),
    "-f without a command": (["-f"], []),
    "a port in use": (["-oExitOnForwardFailure=yes", "-L", "127.0.0.1:{taken}:h:1", "-N"], []),
    "ClearAllForwardings": (
        ["-oExitOnForwardFailure=yes", "-oClearAllForwardings=yes", "-L", "127.0.0.1:{taken}:h:1"],
        ["echo yes"],
    ),
    "ConnectionAttempts": (["-oPort={closed}", "-oConnectionAttempts=2"], ["true"]),
    "-q": (["-q", "-oPort={closed}"], ["true"]),
    "a signal": ([], ["kill -USR1 $$"]),
    "-E": (["-E", "{log}", "-oPort={closed}"], ["true"]),
}


@pytest.mark.timeout(200)
def test_the_same_is_done_and_printed(to_sshd: Login, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        words = {"taken": taken.getsockname()[1], "closed": closed.getsockname()[1]}
        found = {
            name: {
                client: _outcome(program(), name, to_sshd, tmp_path / client, words)
                for client, program in CLIENTS.items()
            }
            for name in CASES
        }
    assert {name: its["nacre"] for name, its in found.items()} == {
        name: its["ssh"] for name, its in found.items()
    }


def _outcome(
    program: str, name: str, login: Login, log: Path, words: dict[str, int]
) -> tuple[int, bytes, str, str]:
    """Return the status, the output, how the errors begin, and how those in the log do."""
    log.unlink(missing_ok=True)
    before, after = CASES[name]
    given = [word.format(log=log, **words) if "{" in word else word for word in before]
    command = [program, *given, *login.options(), f"{login.user}@127.0.0.1", *after]
    done = run(command, input=b"typed\n", timeout=60)
    logged = log.read_text() if log.exists() else ""
    return done.returncode, done.stdout, _start(done.stderr.decode()), _start(logged)


def _start(errors: str) -> str:
    """Return the first words of the first line: nacre adds the remedy to many."""
    line = errors.partition("\n")[0].rstrip("\r. ")
    return re.sub(r"[:;.,] .*", "", line.removeprefix("ssh: "))


def test_a_subsystem_that_is_not_there(to_sshd: Login) -> None:
    for program in CLIENTS.values():
        done = run([program(), "-s", *to_sshd.options(), f"{to_sshd.user}@127.0.0.1", "nosuch"])
        assert (done.returncode, done.stdout, b"subsystem" in done.stderr) == (255, b"", True)


def test_a_server_that_is_silent(to_sshd: Login, tmp_path: Path) -> None:
    options = to_sshd.options("LogLevel=INFO", "ServerAliveInterval=1", "ServerAliveCountMax=1")
    for client, program in CLIENTS.items():
        pid = tmp_path / client
        stop = f"echo $PPID > {pid}; kill -STOP $PPID; sleep 20"
        done = run([program(), *options, f"{to_sshd.user}@127.0.0.1", stop], timeout=60)
        try:
            assert done.returncode == 255
            assert b"Timeout, server 127.0.0.1 not responding." in done.stderr
        finally:
            os.kill(int(pid.read_text()), signal.SIGKILL)


SERVICES = {"throughput": "0x8", "cs1": "0x20", "none": "0x0", "af21": "0x48"}
"""Classes of service as ``ss`` shows them; the default differs between versions of OpenSSH."""


@pytest.mark.parametrize(
    ("options", "keepalive"),
    [([], True), (["TCPKeepAlive=no", "IPQoS=cs2 af21"], False)],
    ids=["default", "otherwise"],
)
def test_the_socket(to_sshd: Login, options: list[str], keepalive: bool) -> None:
    sockets = [require("ss"), "--tcp", "--numeric", "--options", "--extended", "--tos"]
    for program in CLIENTS.values():
        words = [*to_sshd.options(*options), f"{to_sshd.user}@127.0.0.1"]
        settings = check([program(), "-G", *words]).decode()
        said = re.search(r"^ipqos \S+ (\S+)$", settings, re.MULTILINE)
        assert said
        with subprocess.Popen(
            [program(), *words, "echo ready; cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=environment(),
        ) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stdout.read(6) == b"ready\n"
            shown = check([*sockets, "dst", f"127.0.0.1:{to_sshd.server.port}"]).decode()
            process.communicate(timeout=20)
        line = next(line for line in shown.splitlines() if "ESTAB" in line)
        assert ("timer:(keepalive" in line) == keepalive
        assert f"tos:{SERVICES[said[1]]} " in shown


def test_a_command_without_traffic_is_closed(to_sshd: Login) -> None:
    """ssh has ChannelTimeout since 9.3, so this is nacre alone."""
    # Long enough for a server with much to do to start the command.
    options = to_sshd.options("ChannelTimeout=session:command=5s")
    silent = [NACRE_SSH, *options, f"{to_sshd.user}@127.0.0.1", "echo one; sleep 60; echo two"]
    done = run(silent, timeout=50)
    assert (done.returncode, done.stdout) == (255, b"one\n")
