"""OpenSSH's sshd and nacre-sshd with the same configuration, and what their clients see of both."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from interop.clients import Account, Login, askpass
from interop.daemons import Daemon, on_free_port, without_penalties
from interop.nacre_sshd import SSHD
from interop.programs import require, run

SERVERS = ("sshd", "nacre")
READY = {"sshd": r"Server listening on 127\.0\.0\.1", "nacre": r"^listening on 127\.0\.0\.1"}


def start(server: str, directory: Path, host_key: Path, config: Sequence[str]) -> Daemon:
    """Start one of the servers; they have the same file, but for the port."""
    program = require("sshd") if server == "sshd" else SSHD
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd does not start without

    def started(port: int) -> Daemon:
        own = [f"Port {port}", "ListenAddress 127.0.0.1", f"HostKey {host_key}", "PidFile none"]
        file = directory / f"{server}.conf"
        pam = [] if {"UsePAM no", "UsePAM yes"}.intersection(config) else ["UsePAM yes"]
        lines = [*own, *without_penalties(server), *pam, "UseDNS no", *config]
        file.write_text("\n".join(lines) + "\n")
        return Daemon(server, [program, "-D", "-e", "-f", file])

    return on_free_port(started, READY[server])


@dataclass(frozen=True)
class Both:
    """The two servers, the account, and keys of it."""

    logins: dict[str, Login]
    account: Account
    directory: Path

    def ssh(
        self,
        *words: str,
        user: str | None = None,
        options: Sequence[str] = (),
        flags: Sequence[str] = (),
        answers: Sequence[str] = (),
        input: bytes = b"",
    ) -> dict[str, subprocess.CompletedProcess[bytes]]:
        """Run ``ssh`` with each server; ``answers`` are the passwords that it is given."""
        found = {}
        for name, login in self.logins.items():
            one = login if user is None else Login(login.server, user, login.directory, login.key)
            asked = askpass(self.directory, *answers) if answers else {}
            command = [*one.ssh(*options, flags=flags), *words]
            found[name] = run(command, input=input, **asked)
        return found

    def sftp(self, *lines: str) -> dict[str, subprocess.CompletedProcess[bytes]]:
        """Run ``sftp`` with these commands; a line that fails ends it."""
        found = {}
        for name, login in self.logins.items():
            options = ["-P" if word == "-p" else word for word in login.options()]
            command = [require("sftp"), "-b", "-", *options, f"{login.user}@127.0.0.1"]
            found[name] = run(command, input="\n".join([*lines, ""]).encode())
        return found


def alike(
    done: dict[str, subprocess.CompletedProcess[bytes]],
) -> subprocess.CompletedProcess[bytes]:
    """Check that status and output are those of sshd, and return them."""
    sshd, nacre = (done[name] for name in SERVERS)
    seen = [(one.returncode, one.stdout) for one in (sshd, nacre)]
    assert seen[0] == seen[1], f"sshd: {seen[0]} {sshd.stderr!r}\nnacre: {seen[1]} {nacre.stderr!r}"
    return sshd


@contextmanager
def put(path: Path, text: str, owner: str) -> Iterator[None]:
    """Have a file for a while."""
    path.write_text(text)
    shutil.chown(path, owner)
    try:
        yield
    finally:
        path.unlink()
