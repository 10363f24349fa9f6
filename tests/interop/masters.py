"""Masters of shared connections, and the files that clients of them need."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from interop.daemons import Daemon
from interop.programs import NACRE, check, require, run

PROGRAMS = {"ssh": ["ssh"], "nacre": [*NACRE, "ssh"]}


class Master:
    """A shared connection to a server.

    :ivar config: a configuration that names its socket, and the server as ``server``.
    """

    def __init__(self, daemon: Daemon, user: str, key: Path, directory: Path) -> None:
        self.path = directory / "m"
        self.config = directory / "config"
        lines = [
            *("Host server", "HostName 127.0.0.1", f"Port {daemon.port}", f"User {user}"),
            *(
                f"IdentityFile {key}",
                "IdentitiesOnly yes",
                "StrictHostKeyChecking no",
                "BatchMode yes",
            ),
            *("UserKnownHostsFile /dev/null", f"ControlPath {self.path}", "LogLevel ERROR"),
            *("Host told", "LogLevel INFO", "HostName 127.0.0.1", f"ControlPath {self.path}"),
        ]
        # "told" is the same with messages, and has nothing to log in with.
        self.config.write_text("\n".join(lines) + "\n")

    def words(self, program: str, *words: str, host: str = "server") -> list[str]:
        """Return a command line of ``ssh`` or ``nacre``: options, then what is behind the host."""
        at = next((n for n, word in enumerate(words) if word == "--"), len(words))
        options, command = words[:at], words[at + 1 :]
        return [*PROGRAMS[program], "-F", str(self.config), *options, host, *command]


@contextmanager
def master_of(
    program: str, daemon: Daemon, user: str, key: Path, *options: str, **more_environment: str
) -> Iterator[Master]:
    """Run ``ssh`` or ``nacre`` as the master of a connection to a server."""
    require("ssh")
    directory = Path(tempfile.mkdtemp(dir="/tmp"))  # the path of a socket must be short
    master = Master(daemon, user, key, directory)
    try:
        check(master.words(program, "-M", "-N", "-f", *options), **more_environment)
        yield master
        run(master.words("ssh", "-O", "exit"))
    finally:
        shutil.rmtree(directory, ignore_errors=True)  # a master that ends removes it too
