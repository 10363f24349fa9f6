"""A server in this process for the transfer tools, and the tools as programs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nacre
import nacre.blocking
from nacre.keys import dump_private

HOST_KEY = nacre.generate("ssh-ed25519")
USER_KEY = nacre.generate("ssh-ed25519")
DEADLINE = 30


@dataclass
class Served:
    """A server, the root of its files, and a directory to start the tools in."""

    port: int
    root: Path
    here: Path
    key: Path

    def words(self) -> list[str]:
        known = self.key.with_name("known_hosts")
        options = ["StrictHostKeyChecking=no", f"UserKnownHostsFile={known}", "LogLevel=ERROR"]
        listed = [word for option in options for word in ("-o", option)]
        return ["-F", "none", "-P", str(self.port), "-i", str(self.key), *listed]

    def run(self, tool: str, *words: str, input: str = "") -> subprocess.CompletedProcess[str]:
        """Run ``sftp`` or ``scp`` to its end."""
        program = f"from nacre.cli.{tool}.command import main; main()"
        kept = {k: v for k, v in os.environ.items() if not k.startswith("SSH_")}
        return subprocess.run(
            [sys.executable, "-c", program, *self.words(), *words],
            input=input,
            cwd=self.here,
            env={**kept, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "80"},
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            start_new_session=True,
        )

    def batch(self, *lines: str, words: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Run ``sftp`` with a batch."""
        text = "\n".join(lines) + "\n"
        return self.run("sftp", "-b", "-", *words, "alice@127.0.0.1", input=text)


@contextmanager
def serving(
    directory: Path,
    handler: Callable[[nacre.blocking.Session], int | None] | None = None,
    users: type[nacre.Users] = nacre.Users,
) -> Iterator[Served]:
    """Serve files, or with a handler what that does."""
    root, here, key = directory / "root", directory / "here", directory / "key"
    root.mkdir()
    here.mkdir()
    key.write_bytes(dump_private(USER_KEY))
    key.chmod(0o600)
    options: dict[str, Any] = {"handler": handler}
    if handler is None:
        options = {"sftp": lambda session: nacre.LocalFilesystem(root)}
    with nacre.blocking.listen(
        host_keys=[HOST_KEY],
        policy=users({"alice": USER_KEY.public}),
        log=lambda record: None,
        **options,
    ) as server:
        yield Served(server.port, root, here, key)
