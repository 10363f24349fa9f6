"""OpenSSH's ssh as the client of the examples with apps."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from interop.programs import environment, require
from interop.terminal import Terminal

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@contextmanager
def example(name: str, *words: object, cwd: Path) -> Iterator[list[str]]:
    """Start an example that is a server; yields the command of a client."""
    program = subprocess.Popen(
        [sys.executable, str(EXAMPLES / name), "0", "secret", *map(str, words)],
        stdout=subprocess.PIPE,
        cwd=cwd,
        env=environment(),
    )
    try:
        assert program.stdout is not None
        port = program.stdout.readline().split()[2].decode()
        options = ["StrictHostKeyChecking=no", f"UserKnownHostsFile={cwd / 'known'}"]
        options += ["PubkeyAuthentication=no", "LogLevel=ERROR"]
        given = [part for option in options for part in ("-o", option)]
        yield [require("ssh"), "-F", "none", "-tt", "-p", port, *given, "alice@127.0.0.1"]
    finally:
        program.terminate()
        program.wait(30)
        assert program.stdout is not None
        program.stdout.close()


def log_in(terminal: Terminal) -> None:
    terminal.expect("Password:")
    terminal.type("secret\n")


def test_a_file_is_found_in_the_browser(tmp_path: Path) -> None:
    (tmp_path / "files" / "inner").mkdir(parents=True)
    (tmp_path / "files" / "notes.txt").write_text("remember [the] milk\n")
    (tmp_path / "files" / "out").symlink_to("/etc")
    with (
        example("file_browser.py", tmp_path / "files", cwd=tmp_path) as command,
        Terminal(command) as terminal,
    ):
        log_in(terminal)
        terminal.expect("Files for alice")
        terminal.expect("notes")
        terminal.resize(30, 100)
        terminal.type("\x1b[B\x1b[B\r")
        terminal.expect(r"remember \[the\] milk")
        terminal.type("q")
        assert terminal.wait() == 0
        assert " out" not in terminal.shown
        assert terminal.shown.rstrip().endswith("\x1b[?25h")


def test_the_menu_is_walked_through(tmp_path: Path) -> None:
    with example("menu_server.py", cwd=tmp_path) as command, Terminal(command) as terminal:
        log_in(terminal)
        terminal.expect("Welcome, alice")
        terminal.type("\x1b[B\r\t\r")
        terminal.expect("You are alice")
        terminal.type("\r")
        terminal.expect("Welcome, alice")
        terminal.type("\t\t\r")
        assert terminal.wait() == 0


def test_a_shell_of_one_s_own(tmp_path: Path) -> None:
    with example("own_shell.py", cwd=tmp_path) as command:
        with Terminal(command) as terminal:
            log_in(terminal)
            terminal.expect("sum>")
            terminal.type("1 + 2\r")
            terminal.expect(r"\[\?2004l3\r")
            terminal.type("\x1b[A0\r")
            terminal.expect(r"\[\?2004l21\r")
            terminal.type("\x04")
            assert terminal.wait() == 0
        with Terminal([*command, "20 + 22"]) as terminal:
            log_in(terminal)
            terminal.expect("42")
            assert terminal.wait() == 0
