"""A server that records and audits, its console, and users of each role."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from interop.api_client import address_of, make_key
from interop.clients import Login
from interop.daemons import RUN_AS, Daemon, State, start_nacre
from interop.programs import NACRE, environment, manage

PASSWORD = "right words"

PEOPLE = {"ada": "admin", "otto": "auditor", "uma": "user"}
"""Who signs in to the console, with the roles. ``alice`` has a key, and logs in with ssh; ``fil``
has the role of a user and files in a directory."""

_RECORDER = ["--record-user", "daemon"] if os.geteuid() == 0 else []


class ServedConsole:
    """A console beside its server.

    :ivar url: where the console is; ``server`` the server.
    :ivar alice: her login.
    :ivar files: the directory of fil's files.
    """

    def __init__(self, url: str, server: Daemon, alice: Login, files: Path) -> None:
        self.url = url
        self.server = server
        self.alice = alice
        self.files = files

    @contextmanager
    def terminal(self, *words: str, master: str = "") -> Iterator[subprocess.Popen[bytes]]:
        """Have OpenSSH's client at a terminal of the server; what is written to it is typed.

        :param master: the path of a socket for other clients, which share the connection.
        """
        shared = ["ControlMaster=yes", f"ControlPath={master}"] if master else []
        options = self.alice.ssh("BatchMode=yes", *shared, flags=["-tt"])
        client = subprocess.Popen(
            [*options, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(TERM="xterm"),
            start_new_session=True,
        )
        try:
            yield client
        finally:
            client.kill()
            client.communicate(timeout=30)


def add_people(state: State, key: Path) -> None:
    """Add the users, and alice with a key."""
    state.add_user("alice", keys=[key.with_suffix(".pub")])
    manage("group", "add", "staff", "--state", state.path)
    for name, role in PEOPLE.items():
        words = ["user", "add", name, "--password-stdin", "--role", role, *RUN_AS]
        manage(*words, "--state", state.path, typed=f"{PASSWORD}\n")


def add_files(state: State, directory: Path) -> None:
    """Add fil, who has files alone."""
    directory.mkdir()
    words = ["user", "add", "fil", "--password-stdin", "--role", "user", "--service", "sftp"]
    words += ["--root", str(directory), *(["--run-as", RUN_AS[1]] if RUN_AS else [])]
    manage(*words, "--state", state.path, typed=f"{PASSWORD}\n")


def add_nothing(_state: State) -> None:
    """Leave a state as it is."""


@contextmanager
def served_console(
    directory: Path, key: Path, prepare: Callable[[State], object] = add_nothing
) -> Iterator[ServedConsole]:
    """Serve in a directory, up to the end of the context.

    :param key: the private key of alice.
    :param prepare: is called before the server starts.
    """
    state = State(directory / "state")
    add_people(state, key)
    add_files(state, directory / "files")
    prepare(state)
    api_key = directory / "console.key"
    api_key.touch(0o600)
    api_key.write_text(make_key(state, "console", "sessions:write"))
    words = ["--api", "127.0.0.1:0", "--audit", "--record", str(directory / "recordings")]
    with start_nacre(state, *words, *_RECORDER) as server:
        api = f"http://{address_of(server)}"
        console = [*NACRE, "console", "--listen", "127.0.0.1:0", "--api", api]
        with Daemon("nacre console", [*console, "--key-file", api_key]) as running:
            url = running.wait_for(r"nacre console: (https?://\S+)/")[1]
            login = Login(server, "alice", directory, key)
            yield ServedConsole(url, server, login, directory / "files")
            assert "Traceback" not in running.tail()
