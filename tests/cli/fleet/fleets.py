"""``nacre fleet`` in this process, with a server that has commands or files for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from click.testing import CliRunner, Result

import nacre.blocking
from cli.transfers import Served, serving
from nacre.cli.fleet.command import command


class Answers:
    """Runs commands for tests.

    :ivar released: ends the commands that hang.
    """

    def __init__(self) -> None:
        self.released = threading.Event()

    def __call__(self, session: nacre.blocking.Session) -> int | None:
        name, *words = (session.command or b"").decode().split()
        match name:
            case "say":
                session.stdout.write(" ".join(words).encode() + b"\n")
            case "exit":
                return int(words[0])
            case "cat":
                session.stdout.write(session.stdin.readall() or b"")
            case "hang":
                self.released.wait(60)
        return 0


class Fleet:
    """The program, with the options that lead to a server.

    :param here: a directory for the file of runs.
    """

    def __init__(self, served: Served, answers: Answers, here: Path) -> None:
        self.served = served
        self.answers = answers
        self.state = here / "fleet.db"

    def words(self, *, kept: bool = True) -> list[str]:
        """Return the options of a login, and of a run that is kept."""
        known = self.served.key.with_name("known_hosts")
        options = ["StrictHostKeyChecking=no", f"UserKnownHostsFile={known}", "HostName=127.0.0.1"]
        listed = [word for option in options for word in ("-o", option)]
        login = ["-l", "alice", "-p", str(self.served.port), "-i", str(self.served.key)]
        state = ["--state", str(self.state)] if kept else []
        return ["-F", "none", *login, *listed, *state]

    def run(self, name: str, *words: str, input: str = "") -> Result:
        """Run a command that works on hosts."""
        return self.do(name, *self.words(), *words, input=input)

    def do(self, *words: str, input: str = "") -> Result:
        """Run a command with nothing but these words."""
        return CliRunner().invoke(command, list(words), input=input)


@contextmanager
def fleet(directory: Path, *, files: bool = False) -> Iterator[Fleet]:
    """Serve commands, or files, to a fleet."""
    answers = Answers()
    with serving(directory, None if files else answers) as served:
        try:
            yield Fleet(served, answers, directory)
        finally:
            answers.released.set()
