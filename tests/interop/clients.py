"""Command lines of the clients: OpenSSH's, nacre's, PuTTY's, Dropbear's."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from interop.daemons import Daemon
from interop.programs import NACRE, require

ME = getpass.getuser()
"""Whom OpenSSH's server lets in with a key when somebody who is not root runs it."""

PASSWORD = "correct horse battery"
"""The password of every user of ``nacre serve``."""


@dataclass(frozen=True)
class Account:
    """An account of this system, made for the tests."""

    name: str
    password: str
    home: Path


@dataclass(frozen=True)
class Login:
    """Whom to log in as where, and a directory for what the client keeps."""

    server: Daemon
    user: str
    directory: Path
    key: Path | None = None

    def using(self, key: Path | None) -> Login:
        return replace(self, key=key)

    def options(self, *options: str) -> list[str]:
        """Return the options of ``ssh`` that this login needs; ``options`` are Key=Value."""
        # The first value of a keyword counts, so what a test says comes before what all say.
        words = [*options, "StrictHostKeyChecking=no", "LogLevel=ERROR"]
        words.append(f"UserKnownHostsFile={self.directory / 'known_hosts'}")
        words.append("IdentitiesOnly=yes" if self.key else "PubkeyAuthentication=no")
        identity = ["-i", str(self.key)] if self.key else []
        listed = [part for word in words for part in ("-o", word)]
        return ["-F", "none", "-p", str(self.server.port), *identity, *listed]

    def config(self, alias: str, *lines: str) -> Path:
        """Write an ssh_config with a block for ``alias``, and return its path.

        The block has all that the login needs.
        """
        block = [
            "HostName 127.0.0.1",
            f"Port {self.server.port}",
            f"User {self.user}",
            f"IdentityFile {self.key}",
            "IdentitiesOnly yes",
            f"UserKnownHostsFile {self.directory / 'known_hosts'}",
            "StrictHostKeyChecking accept-new",
            *lines,
        ]
        path = self.directory / "ssh_config"
        others = "Host other\n    Port 1\n    User nobody\n"
        path.write_text("\n    ".join([f"{others}Host {alias}", *block]) + "\n")
        return path

    def ssh(self, *options: str, flags: Sequence[str] = ()) -> list[str]:
        """Return OpenSSH's command line up to the host."""
        return [require("ssh"), *self.options(*options), *flags, f"{self.user}@127.0.0.1"]

    def nacre_ssh(self, *options: str, flags: Sequence[str] = ()) -> list[str]:
        """Return the same command line for ``nacre ssh``."""
        return [*NACRE, "ssh", *self.options(*options), *flags, f"{self.user}@127.0.0.1"]


def askpass(directory: Path, *answers: str) -> dict[str, Any]:
    """Return the environment that makes OpenSSH ask a script: the answers one after another.

    The last answer is given for every further question; ``directory/asked`` has the last line of
    each.
    """
    for number, answer in enumerate(answers, 1):
        (directory / f"answer{number}").write_text(answer + "\n")
    asked = directory / "asked"
    asked.write_text("")
    script = directory / "askpass"
    script.write_text(
        "#!/bin/sh\n"
        f"printf '%s\\n' \"$1\" | tail -n 1 >> {asked}\n"
        f"n=$(wc -l < {asked})\n"
        f'test "$n" -le {len(answers)} || n={len(answers)}\n'
        f'cat {directory}/answer"$n"\n'
    )
    script.chmod(0o700)
    return {"SSH_ASKPASS": str(script), "SSH_ASKPASS_REQUIRE": "force"}
