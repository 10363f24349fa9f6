"""Escapes at a terminal: nacre's client beside OpenSSH's, with OpenSSH's server."""

from __future__ import annotations

import shlex
import socket
import subprocess
from pathlib import Path

import pytest

from interop.clients import Login
from interop.programs import NACRE, environment, require
from interop.terminal import Terminal

CLIENTS = {"ssh": lambda: [require("ssh")], "nacre": lambda: [*NACRE, "ssh"]}
SHELL = "stty -echo; PS1='ready> '; export PS1; exec sh"


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> list[str]:
    command: list[str] = CLIENTS[request.param]()
    return command


def command_line(terminal: Terminal, line: str, answer: str) -> str:
    terminal.type("~C")
    terminal.expect("ssh> ")
    terminal.type(f"{line}\n")
    return terminal.expect(answer)[0]


def banner(port: int) -> bytes:
    """Return what the server behind a forwarded port says first."""
    with socket.create_connection(("127.0.0.1", port), 20) as sock:
        return sock.recv(8)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.mark.usefixtures("terminal_from_sshd")
def test_the_command_line(client: list[str], to_sshd: Login, tmp_path: Path) -> None:
    server, one, two, three = to_sshd.server.port, free_port(), free_port(), free_port()
    options = to_sshd.options(
        "LogLevel=INFO", "EnableEscapeCommandline=yes", "PermitLocalCommand=yes"
    )
    with Terminal([*client, *options, "-tt", f"{to_sshd.user}@127.0.0.1", SHELL]) as terminal:
        terminal.expect("ready> ")
        shown = command_line(terminal, "?", r"Commands:(.|\n)*!args[^\n]*\n")
        for line in ("-L[bind_address:]port:host:hostport", "-KR[bind_address:]port"):
            assert line in shown
        command_line(terminal, f"-L {one}:127.0.0.1:{server}", "Forwarding port.")
        command_line(terminal, f"R{two}:127.0.0.1:{server}", "Forwarding port.")
        command_line(terminal, f"-D127.0.0.1:{three}", "Forwarding port.")
        assert banner(one) == banner(two) == b"SSH-2.0-"
        socket.create_connection(("127.0.0.1", three), 20).close()
        for line in (f"-KL{one}", f"-KR {two}", f"KD127.0.0.1:{three}"):
            command_line(terminal, line, "Canceled forwarding.")
        for port in (one, three):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), 20)
        command_line(terminal, f"-KL{one}", "Unknown port forwarding")
        command_line(terminal, "-X", "Invalid command")
        command_line(terminal, f"!echo here > {tmp_path}/local; echo $((40 + 2)) >&2", "42")
        assert (tmp_path / "local").read_text() == "here\n"
        command_line(terminal, "", "")
        # The terminal is raw again, and what is typed goes to the shell.
        terminal.type("\nstty -a | grep -c .; echo 'a~C' ~~.\n")
        terminal.expect(r"a~C ~~?\.")
        terminal.type("exit 3\n")
        assert terminal.wait() == 3


@pytest.mark.usefixtures("terminal_from_sshd")
def test_other_escapes(client: list[str], to_sshd: Login) -> None:
    words = [*client, *to_sshd.options("LogLevel=INFO"), "-tt", f"{to_sshd.user}@127.0.0.1", SHELL]
    with Terminal(words) as terminal:
        terminal.expect("ready> ")
        for typed, shown in (
            ("~C", "commandline disabled"),
            ("~v", r"~v \[LogLevel VERBOSE\]"),
            ("~V", r"~V \[LogLevel INFO\]"),
            ("~#", "~#\r\n"),
            ("~?", r"Supported escape sequences:(.|\n)*verbosity(.|\n)*newline"),
            ("~B", "~B\r\n"),
            ("~R\necho $((6 * 7))\n", "42"),
        ):
            terminal.type(typed)
            terminal.expect(shown)
        terminal.type("echo x~.; exit 4\n")
        terminal.expect(r"x~\.")
        assert terminal.wait() == 4


@pytest.mark.usefixtures("terminal_from_sshd")
def test_the_background(client: list[str], to_sshd: Login) -> None:
    """The user has the terminal back, and a forwarded connection goes on to its end."""
    port = free_port()
    forward = ["-L", f"{port}:127.0.0.1:{to_sshd.server.port}"]
    words = [*client, *to_sshd.options(), *forward, "-tt", f"{to_sshd.user}@127.0.0.1", SHELL]
    # A shell as the user's: when the first process of a terminal ends, all get SIGHUP.
    with Terminal(["sh", "-c", f"{shlex.join(words)}; echo back $?; read line"]) as terminal:
        terminal.expect("ready> ")
        inner = subprocess.Popen(
            [require("ssh"), f"-p{port}", *to_sshd.options(), f"{to_sshd.user}@127.0.0.1", "cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), bufsize=0,
        )  # fmt: skip
        with inner:
            assert inner.stdin is not None
            assert inner.stdout is not None
            inner.stdin.write(b"one")
            assert inner.stdout.read(3) == b"one"
            terminal.type("~&")
            terminal.expect(r"back 0\r\n")
            inner.stdin.write(b"two")
            assert inner.stdout.read(3) == b"two"
            inner.stdin.close()
            assert inner.wait(20) == 0
